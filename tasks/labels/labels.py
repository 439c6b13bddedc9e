"""A labels file: which samples a person called positive or negative for a category.

CSV with the columns uid, category and label (0 or 1); other columns and other categories' rows are ignored.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tasks.errors import LabelsError
from tasks.given_text import read_utf8

COLUMNS: Final = ("uid", "category", "label")
LABELS: Final = {"0": False, "1": True}


@dataclass(frozen=True)
class Labels:
    """One category's labels. Of labels that contradict each other the positive stands: recall first."""

    by_uid: Mapping[str, bool]  # in order of uid
    contradicting: tuple[str, ...]  # uids that were given both labels, in order


def read_labels(path: Path, category: str) -> Labels:
    """Raises LabelsError, naming file, row and value: no such file, not UTF-8, a column missing, a wrong value."""
    given: dict[str, bool] = {}
    contradicting: set[str] = set()
    others: set[str] = set()
    for line, row in _rows(path):
        name = (row["category"] or "").strip()
        if name != category:
            others.add(name)
            continue
        uid, label = (row["uid"] or "").strip().lower(), LABELS.get((row["label"] or "").strip())
        if label is None:
            raise LabelsError(f"{path}, row {line}: label: 0 or 1 was expected, {row['label'] or ''!r} was found")
        if not uid:
            raise LabelsError(f"{path}, row {line}: uid: a sample's uid was expected, nothing was found")
        if given.setdefault(uid, label) != label:
            contradicting.add(uid)
            given[uid] = True
    if not given:
        found = ", ".join(sorted(others)[:10]) or "no rows"
        raise LabelsError(f"{path}: rows of category {category!r} were expected, found: {found}")
    return Labels(dict(sorted(given.items())), tuple(sorted(contradicting)))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Line number in the file and values by column."""
    reader = csv.DictReader(io.StringIO(read_utf8(path, "a labels file", LabelsError), newline=""), strict=True)
    try:
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            found = ", ".join(reader.fieldnames or ()) or "an empty file"
            raise LabelsError(f"{path}: the columns {', '.join(COLUMNS)} were expected, found: {found}")
        for row in reader:
            yield reader.line_num, row
    except csv.Error as problem:
        raise LabelsError(
            f"{path}, after row {reader.line_num}: not CSV: {problem}; save the file as CSV again"
        ) from None
