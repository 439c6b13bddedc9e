"""What the exports share that turn weights into repeats: the survivors' weights, and a folder that appears whole."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from tasks import committing
from tasks.errors import LakeError, UsageError
from tasks.files import TEMPORARY
from tasks.lake import Version
from tasks.samples import KEPT


class Weighted(NamedTuple):
    """The kept samples of a version, in its order."""

    rows: npt.NDArray[np.int64]  # (n,) row of the version
    uids: list[str]  # (n,)
    weights: npt.NDArray[np.float64]  # (n,) positive; their mean is 1 as reweight makes them


def weighted(version: Version) -> Weighted:
    """The survivors and their weights. UsageError: none is kept, or they have no weights."""
    decided = version.table("decision", ["verdict", "weight"])
    kept = pc.equal(decided["verdict"], KEPT)
    rows = pc.indices_nonzero(kept).to_numpy().astype(np.int64)
    if not len(rows):
        raise UsageError(f"{_named(version)} keeps no sample, so there is nothing to export; see `sluice versions`")
    weights = decided["weight"].filter(kept)
    if weights.null_count:
        raise UsageError(
            f"{_named(version)} has no weight for {weights.null_count:,} of {len(rows):,} kept samples; export a "
            "version that reweight made (`sluice versions`; method none makes all weights 1)"
        )
    values = weights.to_numpy()
    if not (np.isfinite(values) & (values > 0)).all():
        raise LakeError(f"{_named(version)}: weights above 0 were expected, {values.min()} was found; reweight again")
    return Weighted(rows, version.table("samples", ["uid"])["uid"].filter(kept).to_pylist(), values)


def _named(version: Version) -> str:
    return "the draft" if version.number is None else f"version {version.number}"


def identity(version: Version) -> dict[str, Any]:
    """What an export.json begins with: the pool, and the version's number and digest."""
    return {"pool": version.lake.pool, "version": version.number, "digest": committing.digest(version)}


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to fill, renamed to `out` when the block ends without an exception.

    UsageError where `out` is a file or a folder that holds anything: a trainer reads all that lies in a folder.
    """
    final = Path(out).resolve()
    if final.exists() and not (final.is_dir() and not any(final.iterdir())):
        what = "is a file" if not final.is_dir() else f"already holds {min(p.name for p in final.iterdir())}"
        raise UsageError(f"{out} {what}; give a new or an empty folder")
    aside = final.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    aside.mkdir(parents=True)
    try:
        yield aside
        aside.rename(final)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
