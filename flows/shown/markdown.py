"""Markdown for the Prefect UI. What comes from a pool is text: no letter of it is markup, a link or an image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tasks.reporting.wording import short

LONGEST = 160  # letters of a caption that are shown


def plain(value: object, longest: int = LONGEST) -> str:
    """One line in which every sign that Markdown or HTML could begin with is escaped.

    A word joiner stands where an address would become a link: the UI makes links of escaped addresses, too.
    """
    line = re.sub(r"(?=://|@)|(?<=www)(?=\.)", "\u2060", short(str(value), longest), flags=re.IGNORECASE)
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", line)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table's lines; a head that ends in ` #` is of a column of numbers. Cells are Markdown already."""
    names = [head.removesuffix(" #") for head in heads]
    rules = ["---:" if head.endswith(" #") else "---" for head in heads]
    return ["", *(f"| {' | '.join(cells)} |" for cells in (names, rules, *rows)), ""]
