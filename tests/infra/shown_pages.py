"""Pages as Streamlit shows them, one at a time, without the shell around them."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

MARKS = ("alert(1)", "track.png", "smile:", "sqrt", "a head", "**bold**")  # of tests/tasks/queued.py, HOSTILE


def open_page(name: str, lake: Path, version: str = "latest", **state: Any) -> AppTest:
    """The page of infra/dashboard/pages/<name>.py of a lake with one pool; `state`: what was chosen on it before."""
    app = AppTest.from_function(_script, default_timeout=60, args=(name, str(lake)))
    for key, value in {"version": version, **state}.items():
        app.session_state[key] = value
    app.run()
    assert not app.exception
    return app


def _script(name: str, lake: str) -> None:
    from importlib import import_module
    from pathlib import Path

    from tasks.lake import find_pool

    import_module(f"infra.dashboard.pages.{name}").page(find_pool(Path(lake), None))


def everything(block: Any) -> Iterator[Any]:
    """All elements of a page, one by one."""
    for child in getattr(block, "children", {}).values():
        yield child
        yield from everything(child)


class Html(HTMLParser):
    """What a browser would make of HTML: its tags, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.pictures: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        self.links += [given["href"] or ""] if "href" in given else []
        self.pictures += [given["src"] or ""] if tag == "img" else []
        assert not any(name.startswith("on") for name in given)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def html(app: AppTest) -> Html:
    """All HTML of a page but its style sheet."""
    return Html("".join(one.proto.body for one in app.get("html") if not one.proto.body.startswith("<style")))


def written(app: AppTest) -> str:
    """What stands on the page as Markdown."""
    return "\n".join(one.value for one in [*app.markdown, *app.caption, *app.subheader])


def is_text_only(app: AppTest) -> None:
    """Nothing that a pool wrote stands where Streamlit would read it as markup, and none of it became a tag."""
    for element in everything(app._tree):
        if element.type in ("markdown", "caption", "subheader", "button", "heading"):
            assert not any(mark in str(element.proto) for mark in MARKS)
    found = html(app)
    assert not found.tags & {"script", "iframe", "object", "form"}
    assert all(link.startswith("#") for link in found.links)
    assert all(picture.startswith("data:image/") for picture in found.pictures)
