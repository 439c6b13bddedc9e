"""How long stages took and how much they wrote in earlier runs of a pool: what another run may cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

from tasks.errors import LakeError
from tasks.keeping.contents import size
from tasks.lake import Lake, Version
from tasks.records.job_runs import read_record

RUNS: Final = 5  # newest runs in which a stage did work that a rate is made of
READS: Final = "ingest"  # the stage whose time goes by the parts that it reads; that of others by all samples
BY_PART: Final = ("samples", "embedding", "score.", "blocked", "tokens")  # written for new parts only


class Rate(NamedTuple):
    """Seconds a part that is read, or of another stage than ingest a sample: of the fastest and the slowest run."""

    of: str  # the stage
    low: float
    high: float
    runs: int


class Bytes(NamedTuple):
    """What a stage wrote, a sample: for new parts only, and for all samples whenever it decides anew."""

    new: float
    every: float


def rates(lake: Lake) -> dict[str, Rate]:
    """Stage → how fast it was where it did work; a stage that only found what was there already says nothing."""
    found: dict[str, list[float]] = {}
    numbers = set(lake.numbers())
    for record in _records(lake):
        for number, took in zip(record["versions"], record.get("stages", ()), strict=False):
            known = found.setdefault(took["stage"], [])
            if number not in numbers or len(known) == RUNS:
                continue
            manifest = lake.manifest(number)
            units = _read(lake, manifest) if took["stage"] == READS else took["samples"]
            if units and manifest["run"] == record["id"]:  # else the version was there, and the stage took no time
                known.append(took["seconds"] / units)
    return {stage: Rate(stage, min(each), max(each), len(each)) for stage, each in found.items() if each}


def _records(lake: Lake) -> list[Any]:
    """Run records, the newest first; one that is damaged tells nothing of how fast a run was."""
    found = []
    for path in (lake.home / "runs").glob("*.json"):
        try:
            found.append(read_record(path))
        except LakeError:
            continue
    return sorted(found, key=lambda record: str(record["started_at"]), reverse=True)


def _read(lake: Lake, manifest: dict[str, Any]) -> int:
    """How many parts ingest read for a version: those that the one published before had not, in the same columns."""
    previous = manifest["previous"]
    before = lake.manifest(previous) if previous is not None else {"columns": {}, "parts": []}
    same = all(before["columns"].get(group) == manifest["columns"].get(group) for group in ("samples", "embedding"))
    known = {part["part"] for part in before["parts"]} if same else set()
    return sum(part["part"] not in known for part in manifest["parts"])


def written(version: Version) -> dict[str, Bytes]:
    """Stage → what it wrote of a version, of the version's own stage and of those that it was made from."""
    found = {}
    number: int | None = version.number
    while number is not None and version.rows:
        here = version.lake.version(number)
        number = here.manifest["parent"]
        before = version.lake.version(number) if number is not None else Version(version.lake)
        found[here.stage] = _bytes(here, before)
    return found


def _bytes(version: Version, before: Version) -> Bytes:
    lake, sums = version.lake, {True: 0, False: 0}
    for group, key in set(version.columns.items()) - set(before.columns.items()):
        sums[group.startswith(BY_PART)] += sum(_size(lake.place(group, key, part.part)) for part in version.parts)
    for kind, key in set(version.artifacts.items()) - set(before.artifacts.items()):
        sums[kind.startswith(BY_PART)] += _size(lake.artifact_place(kind, key))
    return Bytes(sums[True] / version.rows, sums[False] / version.rows)


def _size(path: Path) -> int:
    return size(path) if path.exists() else 0
