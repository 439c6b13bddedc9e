"""HTML on the dashboard's pages: templates that escape what they are given, in the report's style.

Streamlit shows HTML without its SVG, so a drawing becomes a picture of its own: there it can run nothing, either.
"""

from __future__ import annotations

import base64
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import streamlit as st
from markupsafe import Markup, escape

from tasks import reporting
from tasks.certifying.certificate import percent_down, percent_up
from tasks.reporting import wording

if TYPE_CHECKING:
    from jinja2 import Environment

REPORT: Final = Path(reporting.__file__).parent
COLOURS: Final = {"kept": "#2a7f74", "filtered": "#c4572e", "duplicate": "#7a62b5", "soft": "#80868c", "ink": "#1d2327"}
DARK: Final = "(prefers-color-scheme: dark)"  # the dashboard is light for everyone
OWN: Final = """
img.drawing { width: 100%; max-width: 944px; display: block; }
.key img { width: 14px; display: inline-block; margin-right: 7px; vertical-align: -2px; }
.frame img { filter: none; }
.frame.duplicate { border: 3px solid var(--duplicate); }
.callout p { max-width: 110ch; }
bdi { unicode-bidi: isolate; }
& { --card: #fbfbfa; }
dl.facts { padding-left: 0; grid-template-columns: repeat(auto-fit, minmax(128px, 1fr)); column-gap: 16px; }
h2 { font-size: 19px; margin: 22px 0 4px; } h3 { margin-top: 20px; }
"""
HEADINGS: Final = '[data-testid="stHeading"] h3 { font-size: 19px; padding: .7rem 0 .2rem; }'
FONT: Final = 'svg { font-family: "Source Sans", system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }'

_DRAWING: Final = re.compile(r'<svg((?: class="[a-z ]*")?)( viewBox="[0-9. ]+")([^>]*)>(.*?)</svg>', re.DOTALL)
_LABEL: Final = re.compile(r'aria-label="([^"]*)"')
_FILE: Final = re.compile(r'<a href="[a-z_]+\.csv">(.*?)</a>')


def prepare() -> None:
    """The style of what `show` shows; once a page."""
    st.html(f"<style>.sluice-report {{ {_style().replace(':root', '&')} {OWN} }} {HEADINGS}</style>")


def show(template: str, **facts: Any) -> None:
    """A template of this folder or of the report, as a part of the page."""
    shown = as_pictures(_templates().get_template(template).render(facts))
    st.html(f'<div class="sluice-report">{shown}</div>')


def as_pictures(html: str) -> Markup:
    """HTML with its drawings as pictures, those for narrow screens left out, and no links to files beside a report."""
    return Markup(_DRAWING.sub(_picture, _FILE.sub(r"\1", html)))


def _picture(found: re.Match[str]) -> str:
    classes, box, rest, inside = found.groups()
    if "narrow" in classes:
        return ""
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg"{box}><style>{_style()}{FONT}</style>{inside}</svg>'
    label = _LABEL.search(rest)
    data = base64.b64encode(drawing.encode()).decode()
    kind = ' class="drawing"' if label else ""
    return f'<img{kind} src="data:image/svg+xml;base64,{data}" alt="{label[1] if label else ""}">'


@cache
def _style() -> str:
    return (REPORT / "report.css").read_text("utf-8").replace(DARK, "not all")


@cache
def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader([Path(__file__).parent, REPORT]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = (
        wording.count, wording.share, wording.signed, wording.figures, wording.short, wording.sentence, wording.odds,
        wording.percentage_points, wording.plural, percent_down, percent_up, code,
    )  # fmt: skip
    made.filters |= {word.__name__: word for word in words}
    return made


def code(text: str) -> Markup:
    """Text whose `commands` stand out; everything in it is escaped."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))
