"""Pieces of Markdown: tables whose cells hold any text, and the note that a page is made, not written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

COMMAND: Final = "python -m flows.commands.reference_pages"
MADE: Final = f"<!-- Made from the code by `{COMMAND}`: change the code, then run it. -->"


def page(title: str, *blocks: str) -> str:
    """A page's text, one empty line between blocks, one line break at its end."""
    return "\n\n".join([MADE, f"# {title}", *(block.strip("\n") for block in blocks if block.strip())]) + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; cells are text in Markdown, whose line breaks and bars are made harmless."""
    lines = [list(heads), ["---"] * len(heads), *([cell(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def code(text: str) -> str:
    """Text as code; nothing stays nothing. Source texts hold no backtick."""
    return f"`{text}`" if text else ""


def plain(text: str) -> str:
    """A comment or a help text as Markdown: the same characters, code in backticks, links to pages of docs/."""
    parts = text.split("`")
    text = "`".join(part if i % 2 else re.sub(r"([\\*_<>\[\]])", r"\\\1", part) for i, part in enumerate(parts))
    return re.sub(r"docs/([\w-]+)\.md", r"[\1](../\1.md)", text)
