"""The command `sluice audit`: a version's captions against the pool's, or against any other version's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer

from flows.commands.options import HERE, JsonOption, LakeOption, PoolOption, show, tell
from tasks.errors import UsageError
from tasks.groups.comparison import Asked
from tasks.groups.term_groups import TermGroups, read_groups
from tasks.lake import Version, find_pool

Tables = Mapping[str, pa.Table]


def audit(
    version: Annotated[str, typer.Argument(metavar="V", help="A version's number, a tag, or latest.")],
    against: Annotated[str | None, typer.Option(metavar="W", help="Another version; default the pool.")] = None,
    keywords: Annotated[Path | None, typer.Option(help="A file of words and phrases, one a line.")] = None,
    groups: Annotated[Path | None, typer.Option(help="A TOML file of term groups.")] = None,
    targets: Annotated[Path | None, typer.Option(help="A TOML file of targets, to tell which groups lack.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="A folder for the whole tables as CSV.")] = None,
    lake: LakeOption = HERE,
    pool: PoolOption = None,
    rows: Annotated[int, typer.Option(help="Terms to print, largest change first.")] = 30,
    as_json: JsonOption = False,
) -> None:
    """How a version's captions differ from the pool's, or from another version's: terms and groups, with intervals.

    Example: sluice audit latest --against 5 --keywords words.txt --out ./audit
    """
    from flows.commands import tables

    home = find_pool(lake, pool)
    found = home.version(version).whole()
    asked = _lines(keywords) if keywords is not None else ()
    known = read_groups(groups) if groups is not None else None
    shares = _shares(targets, known)
    if against is None:
        made = _against_pool(found, asked, known, shares)
    else:
        made = _against(found, home.version(against).whole(), Asked(asked, target_share=shares), known)
    draw = tables.audit_table if against is None else tables.comparison_table
    if out is not None:
        tell(f"wrote {_write(out, made)}")
    if as_json:
        print(json.dumps(made["words"].to_pylist(), ensure_ascii=False))
        return
    for table in made.values():
        if {"term", "group"} & set(table.column_names[:1]):
            show(draw(table, rows))


def _lines(path: Path) -> tuple[str, ...]:
    from tasks.words.tokens import tokenise

    try:
        found = tuple(dict.fromkeys(line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()))
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(
            f"--keywords {path}: a text file with a word or phrase a line was expected: {problem}"
        ) from None
    for number, line in enumerate(found, 1):
        if not tokenise(line):
            raise UsageError(f"--keywords {path}: line {number}, {line!r}, has no letter or digit; take it out")
    return found


def _here(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """map_parts without a cluster: a run has cut the tokens already."""
    return [function(item) for item in items]


def _shares(path: Path | None, groups: TermGroups | None) -> dict[str, float]:
    """The margins that a file of targets declares of the groups."""
    from tasks.weights.targets import read_targets

    known = {group.name for group in groups.groups} if groups is not None else set()
    margins = read_targets(path).margins if path is not None else {}
    for name in margins:
        if name not in known:
            raise UsageError(
                f"--targets {path}: {name!r} is no group of --groups; known are: {', '.join(known) or 'none'}"
            )
    return dict(margins)


def _against_pool(
    version: Version, keywords: Sequence[str], groups: TermGroups | None, shares: Mapping[str, float]
) -> Tables:
    """The tables of the run's own audit; counted anew where other keywords or groups are asked for."""
    from tasks import audit as stage
    from tasks.files import read_table

    if "decision" not in version.columns:
        raise UsageError(f"version {version.number} has no audit; see `sluice versions` for one after filter")
    if not keywords and groups is None and "audit" in version.artifacts:
        return {
            path.stem: read_table(path) for path in sorted(version.artifact("audit").glob("*.parquet"), reverse=True)
        }
    return stage.audit(version, stage.Config(keywords=tuple(keywords), target_share=shares), _here, groups)[0]


def _against(version: Version, other: Version, asked: Asked, groups: TermGroups | None) -> Tables:
    from tasks.groups.comparison import compare

    made, facts = compare(version, other, asked, _here, groups)
    samples = facts["samples"]
    tell(
        f"version {facts['subject']} against {facts['reference']}: {samples['reference']:,} kept before, "
        f"{samples['left']:,} left, {samples['entered']:,} came in, {samples['subject']:,} kept; "
        f"{facts['significant']:,} of {facts['tested']:,} terms changed significantly"
    )
    return made


def _write(out: Path, made: Tables) -> Path:
    from pyarrow import csv

    out.mkdir(parents=True, exist_ok=True)
    for name, table in made.items():
        csv.write_csv(table, out / f"{name}.csv")
    return out
