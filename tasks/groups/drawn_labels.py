"""Labels that were drawn per group and score bin: a file that people fill in, then read to correct a classifier.

CSV, one row a drawn sample. `uid` and `label` (1: the attribute is there, 0: it is not, empty: not answered yet);
`groups` and `bin`, the sample's stratum, and how many were `drawn` of it; and on each row how all were drawn: `among`
(the groups told apart), `edges` (of the bins), `seed`. From these the draw can be repeated, so that labels of any other
origin are found out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from tasks.errors import ConfigError

COLUMNS: Final = ("uid", "label", "groups", "bin", "drawn", "among", "edges", "seed")
DESIGN: Final = ("among", "edges", "seed")
BETWEEN: Final = "; "  # names of groups, and edges; no group's name has it
_LABELS: Final[Mapping[str, int | None]] = {"": None, "0": 0, "1": 1}

Rows = list[tuple[int, dict[str, str]]]  # the line in the file, and the values that are needed


@dataclass(frozen=True)
class DrawnLabels:
    """Labels of an attribute, and how their samples were drawn."""

    among: tuple[str, ...]  # groups that the strata tell apart
    edges: tuple[float, ...]  # scores between the bins, ascending; none: one bin
    seed: int
    labels: tuple[tuple[str, int | None], ...] = ()  # uid, label; None is not answered yet; in order of uid
    drawn: tuple[
        tuple[str, str, int], ...
    ] = ()  # how many of each stratum, by its groups and its bin as they are written


def read_drawn(path: Path) -> DrawnLabels:
    """Raises ConfigError, naming file, line and value: no such file, not CSV, a column missing, wrong labels."""
    rows = _rows(path)
    among, edges, seed = _design(path, rows)
    labels: dict[str, int | None] = {}
    for line, row in rows:
        uid, label = row["uid"].strip().lower(), row["label"].strip()
        if not uid or label not in _LABELS:
            what = (
                f"label: 1, 0 or nothing was expected, {label!r}"
                if uid
                else "uid: a sample's uid was expected, nothing"
            )
            raise ConfigError(f"{path}, line {line}: {what} was found")
        if labels.setdefault(uid, _LABELS[label]) != _LABELS[label]:
            raise ConfigError(f"{path}, line {line}: {uid} has two different labels; decide for one of them")
    return DrawnLabels(among, edges, seed, tuple(sorted(labels.items())), _drawn(path, rows))


def _rows(path: Path) -> Rows:
    try:
        reader = csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline=""), strict=True)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise ConfigError(
                f"{path}: the columns {', '.join(COLUMNS)} were expected, {', '.join(missing)} not found: only labels "
                "of samples that were drawn for this can correct a classifier; draw them, and fill in their labels"
            )
        rows = [(reader.line_num, {name: row[name] or "" for name in COLUMNS}) for row in reader]
    except OSError as problem:
        raise ConfigError(f"{path}: a file of drawn labels was expected: {problem.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as problem:
        raise ConfigError(f"{path}: not a CSV file in UTF-8: {problem}; save it as that") from None
    if not rows:
        raise ConfigError(f"{path}: a row a drawn sample was expected, none was found; draw samples again")
    return rows


def _design(path: Path, rows: Rows) -> tuple[tuple[str, ...], tuple[float, ...], int]:
    """What each row says of the draw, which is the same."""
    first = {name: rows[0][1][name] for name in DESIGN}
    for line, row in rows:
        other = next((name for name in DESIGN if row[name] != first[name]), None)
        if other:
            raise ConfigError(
                f"{path}, line {line}: {other}: {first[other]!r} was expected, as in the rows above, {row[other]!r} "
                "was found; keep the rows of one draw in a file"
            )
    among = tuple(name for name in first["among"].split(BETWEEN) if name)
    try:
        edges, seed = tuple(float(edge) for edge in first["edges"].split(BETWEEN) if edge), int(first["seed"])
    except ValueError as problem:
        raise ConfigError(f"{path}: edges and seed: numbers were expected: {problem}") from None
    if not all(low < high for low, high in pairwise((0.0, *edges, 1.0001))):
        raise ConfigError(f"{path}: edges: ascending scores from 0 to 1 were expected, {first['edges']!r} was found")
    return among, edges, seed


def _drawn(path: Path, rows: Rows) -> tuple[tuple[str, str, int], ...]:
    """What the rows say of the number drawn of their stratum, which is the same for each of its rows."""
    found: dict[tuple[str, str], int] = {}
    for line, row in rows:
        stratum, number = (row["groups"], row["bin"]), row["drawn"].strip()
        if not number.isdecimal() or found.setdefault(stratum, int(number)) != int(number):
            expected = found.get(stratum, "a number")
            raise ConfigError(f"{path}, line {line}: drawn: {expected} was expected, {number!r} was found")
    return tuple((groups, bin_, number) for (groups, bin_), number in sorted(found.items()))


def write_drawn(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """The rows of a plan (groups/label_draw.py) as a CSV file. Raises ConfigError where the file is there."""
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    except FileExistsError:
        raise ConfigError(f"{path}: a new file was expected; it may hold labels: name another") from None
