"""Deletion requests: a sample's caption, vector and pictures leave every file of the lake, and it never comes back.

Every sample of the same image bytes goes with it. What stays is a row without content in each file, since all files are
row-aligned, and a salted hash (reading/tombstones.py). The pool itself is not touched: whoever keeps it has to delete
the image there. A request is written down before it is begun, and what a kill interrupts the next run finishes.
"""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks import publish
from tasks.errors import UsageError
from tasks.files import TEMPORARY, digests, read_table, write_json
from tasks.forgetting import annotated, erase
from tasks.forgetting.erase import TEXTS, Erasure
from tasks.lake import Lake, Version
from tasks.lock import hold, now
from tasks.reading import tombstones
from tasks.records.event_log import rewrite_events
from tasks.storing.copying import refuse
from tasks.words import tokens

# Artifacts that hold all vectors or all captions' words, and are made anew when they are asked for.
CACHES: Final = ("regions", "search", "words", "phrases", "units", "pool")
_UID: Final = re.compile(r"[0-9a-f]{32}")
_NEAR: Final = 20  # near-duplicates named


class Sample(NamedTuple):
    """One row of the lake that is to go."""

    part: str
    row: int
    uid: str
    sha256: str | None  # of the image's bytes; None where it was never read
    caption: str | None


class Outcome(NamedTuple):
    """What a request did."""

    request: str
    samples: dict[str, str]  # uid → the pseudonym that stands in its place
    versions: list[int]  # that held them, and are annotated


def forget(lake: Lake, uids: Sequence[str]) -> Outcome:
    """Serve a deletion request. UsageError: no such sample; LakeError: a run holds the lake."""
    refuse(lake.home, "forgetting")
    request = uuid.uuid4().hex
    with hold(lake.home, f"forget {request}"):
        finish(lake)
        going = find(lake, uids)
        stones, time = tombstones.begin(lake), now()
        tombstones.add(lake, stones, (sample._asdict() for sample in going), time)
        names = {sample.uid: stones.pseudonym(sample.uid) for sample in going}
        rows: dict[str, dict[int, str]] = {}
        for sample in going:
            rows.setdefault(sample.part, {})[sample.row] = names[sample.uid]
        captions = sorted({sample.caption for sample in going if sample.caption})
        before = {_name(lake, path): lake.digest(path) for path in _columns(lake, rows)}
        facts = {"request": request, "time": time, "pseudonyms": names, "captions": captions}
        write_json(_journal(lake), {**facts, "rows": rows, "before": before})
        done = finish(lake)
    assert done is not None
    return done


def finish(lake: Lake) -> Outcome | None:
    """Do what the journal says, from wherever a kill left it; None where there is none. The lock must be held."""
    path = _journal(lake)
    if not path.exists():
        return None
    facts = json.loads(path.read_text("utf-8"))
    rows = {part: {int(row): name for row, name in places.items()} for part, places in facts["rows"].items()}
    what = Erasure(facts["pseudonyms"], frozenset(facts["captions"]), rows, _vectors(lake, rows))
    held = [version for version in lake.versions() if any(part.part in rows for part in version.parts)]
    _artifacts(lake, what)
    _texts(lake, what)
    erase.each(_columns(lake, rows), erase.erase_column, what)
    for version in held:
        _tokens_anew(version)
    _publish_anew(lake, held)
    for version in held:
        count = sum(len(rows.get(part.part, ())) for part in version.parts)
        annotated.annotate(version, facts["request"], facts["time"], count, facts["before"])
    rewrite_events(lake)
    digests(lake.home).save()
    path.unlink()
    return Outcome(facts["request"], facts["pseudonyms"], [version.number or 0 for version in held])


def _journal(lake: Lake) -> Path:
    return lake.home / "forgotten" / "journal.json"


def _name(lake: Lake, path: Path) -> str:
    return path.relative_to(lake.home).as_posix()


# --- what is to go


def find(lake: Lake, uids: Sequence[str]) -> list[Sample]:
    """Every row of the lake with one of these uids, or with the image bytes of one. UsageError: a uid has none."""
    asked = [uid.lower() for uid in uids]
    for uid in asked:
        if not _UID.fullmatch(uid):
            raise UsageError(f"a uid of 32 hex digits was expected, {uid!r} was found; `sluice why` tells a key's uid")
    mine = _rows_with(lake, "uid", asked)
    missing = sorted(set(asked) - {sample.uid for sample in mine})
    if missing:
        raise UsageError(_unknown(lake, missing[0]))
    images = sorted({sample.sha256 for sample in mine if sample.sha256 is not None})
    return sorted({*mine, *_rows_with(lake, "sha256", images)}, key=lambda sample: sample[:3])


def _unknown(lake: Lake, uid: str) -> str:
    stones = tombstones.read_tombstones(lake)
    if stones.salt and stones.hash_of("uid", uid) in stones.hashes:
        return f"{uid} was forgotten already; nothing was changed"
    return f"pool {lake.pool!r} has no sample with the uid {uid} in any version; nothing was changed"


def _rows_with(lake: Lake, column: str, values: Sequence[str]) -> list[Sample]:
    found = []
    wanted = pa.array(values, pa.string())
    for path in sorted((lake.home / "columns").glob("samples-*/*.parquet")):
        table = read_table(path, ["uid", "sha256", "caption"])
        rows = pc.indices_nonzero(pc.is_in(table[column], value_set=wanted))
        facts = table.take(rows).to_pylist()
        found += [Sample(path.stem, row, **fact) for row, fact in zip(rows.to_pylist(), facts, strict=True)]
    return found


def near_duplicates(version: Version, uids: Sequence[str]) -> list[dict[str, Any]]:
    """uid and caption of others in the samples' near-duplicate groups: a request may well mean them too."""
    if "groups" not in version.artifacts:
        return []
    table = read_table(version.artifact("groups") / "groups.parquet", ["group", "uid", "caption"])
    mine = pc.is_in(table["uid"], value_set=pa.array(uids, pa.string()))
    others = pc.and_(pc.is_in(table["group"], value_set=table["group"].filter(mine).combine_chunks()), pc.invert(mine))
    return table.filter(others).select(["uid", "caption"]).slice(0, _NEAR).to_pylist()


def _vectors(lake: Lake, rows: dict[str, dict[int, str]]) -> tuple[NDArray[np.float64], ...]:
    """(n, d) unit vectors of the rows that still have one, an array for each of their embedding files."""
    found = []
    for part, places in rows.items():
        for path in sorted((lake.home / "columns").glob(f"embedding-*/{part}.npy")):
            values = np.load(path, mmap_mode="r")[sorted(places)].astype(np.float64)
            norms = np.linalg.norm(values, axis=1)
            there = np.isfinite(norms) & (norms > 0)
            found.append(values[there] / norms[there, None])
    return tuple(found)


# --- where it is


def _columns(lake: Lake, rows: dict[str, dict[int, str]]) -> list[Path]:
    """Column files of the samples' parts; and all decisions, which name whom a sample is a duplicate of."""
    files = (lake.home / "columns").glob("*/*")
    return sorted(
        path
        for path in files
        if path.suffix in (".npy", ".parquet") and (path.stem in rows or path.parent.name.startswith("decision-"))
    )


def _artifacts(lake: Lake, what: Erasure) -> None:
    """Caches go, tables and arrays are rewritten; what is published is made anew afterwards."""
    referred = {version.artifact("published") for version in lake.versions() if "published" in version.artifacts}
    for folder in sorted((lake.home / "artifacts").glob("*")):
        kind = folder.name.rpartition("-")[0]
        if kind in CACHES or (kind == publish.KIND and folder not in referred):
            _remove(folder)
        elif kind == "tokens":
            for part in what.rows:
                (folder / f"{part}.parquet").unlink(missing_ok=True)
        elif kind != publish.KIND:
            table = erase.erase_groups if kind == "groups" else erase.erase_table
            erase.each(list(folder.rglob("*.parquet")), table, what)
            erase.each(list(folder.rglob("*.npy")), erase.erase_array, what)
            erase.each(list(folder.rglob("*.npz")), erase.erase_arrays, what)
            erase.each(list(folder.rglob("*.safetensors")), erase.erase_tensors, what)


def _remove(folder: Path) -> None:
    """A folder that is gone at once, or not at all."""
    aside = folder.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    folder.rename(aside)
    shutil.rmtree(aside)


def _texts(lake: Lake, what: Erasure) -> None:
    """JSON, CSV and other texts of artifacts, versions, runs and rounds; logs of labels in place."""
    logs = list((lake.home / "labels").glob("*.csv"))
    erase.each(logs, erase.erase_log, what)
    for folder in ("artifacts", "versions", "runs", "labels/rounds"):
        files = [path for path in (lake.home / folder).rglob("*") if path.suffix in TEXTS and path.is_file()]
        erase.each(files, erase.erase_text, what)


def _tokens_anew(version: Version) -> None:
    """The words of the parts whose captions have changed."""
    if "tokens" in version.artifacts and all(version.column_path("samples", part).exists() for part in version.parts):
        tokens.write_tokens(version, lambda function, items: [function(item) for item in items])


def _publish_anew(lake: Lake, held: Sequence[Version]) -> None:
    """Table, report and card of each version that held the samples; removed where the version lacks files by now."""
    for number in [version.number or 0 for version in held if "published" in version.artifacts]:
        version = lake.version(number)  # read again: its summary was rewritten
        folder = version.artifact(publish.KIND)
        if [path for path in version.missing() if path != str(folder)]:
            shutil.rmtree(folder, ignore_errors=True)
            continue
        config = {**version.config["publish"], "feature": tuple(version.config["publish"]["feature"])}
        aside = folder.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
        aside.mkdir(parents=True)
        publish.write(version, publish.Config(**config), aside)
        folder.mkdir(exist_ok=True)
        for path in sorted(aside.iterdir()):
            path.replace(folder / path.name)
        aside.rmdir()
