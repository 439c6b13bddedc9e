"""The page of the SQL: one question a file, with the grain that its first comment states."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from infra.docs.comments import opening
from infra.docs.markdown import code, page, plain, table

INTRODUCTION = """\
`sql/<area>/<question>.sql` holds one question each. DuckDB answers them over views of the lake's Parquet files;
parameters are bound, never pasted into the text. The first comment of a file says what one row is."""


def questions_page(folder: Path) -> str:
    """folder: sql/."""
    files = sorted(folder.glob("*/*.sql"))
    areas = []
    for area, paths in groupby(files, lambda path: path.parent.name):
        rows = ((code(path.stem), plain(opening(path.read_text("utf-8")))) for path in paths)
        areas.append(f"## {area}\n\n{table(('question', 'answer'), rows)}")
    return page("SQL questions", INTRODUCTION, *areas)
