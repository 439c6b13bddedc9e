"""The pool that the audit counts in: what became of each caption, and which captions are of near-duplicates."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks import samples
from tasks.files import read_table, write_array
from tasks.lake import Lake, Version
from tasks.queries import database
from tasks.words.tokens import THREADS

UNIT = 2**24  # masses and parts of groups are counted in its inverse
UNUSABLE, REMOVED, DUPLICATE, KEPT = range(4)  # what became of a caption
MEMORY = "256MB"  # of DuckDB, which spills beyond

FILES = ("state", "mass", "unit", "size")  # of a pool that is stored

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

STATES = {
    samples.QUARANTINED: UNUSABLE,
    samples.FILTERED: REMOVED,
    samples.DUPLICATE: DUPLICATE,
    samples.KEPT: KEPT,
}


@dataclass(frozen=True)
class Pool:
    """What became of each of n captions, and which are near-duplicates of each other."""

    state: NDArray[np.int8]  # (n,)
    mass: Floats  # (n,) weight in units of 2^-24, 0 unless kept: whole numbers
    unit: NDArray[np.int32]  # (n,) near-duplicate group of several usable captions, −1 of one that stands alone
    size: Ints  # (g,) usable captions of each group

    @cached_property
    def alone(self) -> int:
        """Usable captions without near-duplicates."""
        return int(np.count_nonzero(self.state) - self.size.sum())

    @cached_property
    def units(self) -> int:
        return self.alone + len(self.size)

    @cached_property
    def centre(self) -> float:
        """Mean mass of the captions that have any; 0 without weights."""
        return float(self.mass.sum() / max(np.count_nonzero(self.mass), 1))

    @cached_property
    def mean(self) -> float:
        """Mean mass of the units."""
        return float(self.mass.sum() / max(self.units, 1))

    @cached_property
    def grouped(self) -> Ints:
        """Captions with near-duplicates, group by group."""
        rows = np.flatnonzero(self.unit >= 0)
        return rows[np.argsort(self.unit[rows], kind="stable")]

    @cached_property
    def away(self) -> Floats:
        """(g,) 1 − mass / mean mass of each group."""
        return 1 - np.bincount(self.unit[self.grouped], self.mass[self.grouped], minlength=len(self.size)) / self.mean

    @cached_property
    def everyone(self) -> tuple[float, float]:
        """Over all units, the sums of the square and of the fourth power of 1 − mass / mean mass."""
        squares = np.square(1 - self.mass[(self.unit < 0) & (self.state != UNUSABLE)] / self.mean)
        together = np.square(self.away)
        return squares.sum() + together.sum(), np.square(squares).sum() + np.square(together).sum()

    def columns(self, rows: slice | Ints) -> Floats:
        """(rows, 3) usable, through the filter, kept; with weights (rows, 9): mass, and 1, d, … d⁴ of those alone.

        d = mass / centre − 1, of captions that have mass and no near-duplicates.
        """
        state, mass = self.state[rows], self.mass[rows]
        columns = [state != UNUSABLE, state >= DUPLICATE, state == KEPT]
        if self.centre:
            heavy = (self.unit[rows] < 0) & (mass > 0)
            columns += [mass, *powers_of(mass / self.centre - 1, 4, heavy.astype(np.float64))]
        return np.stack(columns, axis=1).astype(np.float64)


def powers_of(values: Floats, highest: int, first: Floats | None = None) -> list[Floats]:
    """first (default 1) times the powers 0 to `highest`, by products: measured many times faster than pow."""
    found = [np.ones_like(values) if first is None else first]
    for _ in range(highest):
        found.append(found[-1] * values)
    return found


def pool_key(version: Version) -> str:
    parts = [part.part for part in version.parts]
    return Lake.key("pool", parts, version.columns["decision"], version.artifacts.get("groups"))


def units_key(version: Version) -> str:
    parts = [part.part for part in version.parts]
    return Lake.key("units", version.columns["samples"], parts, version.artifacts["groups"])


def pool_of(version: Version) -> Pool:
    """The version's samples; weights in units of 2^-24, so that sums are exact (sql/audit/pool.sql).

    From artifacts/pool-<key>, which is made where it is missing: to open every part's decision takes a fifth of a
    second for 3,000,000 samples, and every audit, and every count of keywords or groups, asks.
    """
    key = pool_key(version)
    if not version.lake.has_artifact("pool", key):
        pool = _counted(version)
        with version.lake.new_artifact("pool", key) as folder:
            for name in FILES:
                write_array(folder / f"{name}.npy", getattr(pool, name))
    folder = version.lake.artifact_path("pool", key)
    return Pool(*(np.load(folder / f"{name}.npy") for name in FILES))


def _counted(version: Version) -> Pool:
    with ThreadPoolExecutor(THREADS) as threads:
        tables = list(threads.map(_read_decision, [version.column_path("decision", part) for part in version.parts]))
    state = np.concatenate([np.empty(0, np.int8), *(_states(table["verdict"]) for table in tables)])
    weight = np.concatenate([np.empty(0), *(pc.fill_null(table["weight"], 0.0).to_numpy() for table in tables)])
    mass = np.where(state == KEPT, np.round(weight * UNIT), 0.0)
    return _with_groups(state, mass, near_duplicates(version))


def _read_decision(path: Path) -> pa.Table:
    file = pq.ParquetFile(path, read_dictionary=["verdict"])
    return file.read(["verdict", "weight"], use_threads=False).combine_chunks()


def _states(verdicts: pa.ChunkedArray) -> NDArray[np.int8]:
    """(n,) dictionary-encoded verdicts → (n,)"""
    found = [np.empty(0, np.int8)]
    for chunk in verdicts.chunks:
        codes = np.array([STATES[verdict] for verdict in chunk.dictionary.to_pylist()], np.int8)
        found.append(codes[chunk.indices.to_numpy()])
    return np.concatenate(found)


def _with_groups(state: NDArray[np.int8], mass: NDArray[np.float64], group: NDArray[np.int32]) -> Pool:
    """group: (n,) near-duplicate group, −1 of none; one with a single usable caption is none."""
    group = np.where(state != UNUSABLE, group, -1)
    size = np.bincount(group[group >= 0])
    number = np.append(np.where(size > 1, np.cumsum(size > 1) - 1, -1), -1).astype(np.int32)
    return Pool(state, mass, number[group], size[size > 1])


def near_duplicates(version: Version) -> NDArray[np.int32]:
    """(n,) number of each sample's near-duplicate group, −1 where it has none; a uid in two groups is in the first.

    From artifacts/units-<key>, which is made of the artifact `groups` where it is missing: to find 3,000,000 uids takes
    most of a second, and every audit and every count of term groups asks.
    """
    if "groups" not in version.artifacts:
        return np.full(version.rows, -1, np.int32)
    key = units_key(version)
    if not version.lake.has_artifact("units", key):
        with version.lake.new_artifact("units", key) as folder:
            write_array(folder / "units.npy", _found_groups(version))
    return np.load(version.lake.artifact_path("units", key) / "units.npy")


def _found_groups(version: Version) -> NDArray[np.int32]:
    """The question of sql/audit/placed.sql, which reads samples part by part: uids of a large pool fill the memory."""
    schema = pa.schema([("sample", pa.int32()), ("uid", pa.string())])

    def batches() -> Iterator[pa.RecordBatch]:
        start = 0
        for part in version.parts:
            uids = read_table(version.column_path("samples", part), ["uid"])["uid"].combine_chunks()
            yield pa.record_batch([np.arange(start, start + len(uids), dtype=np.int32), uids], schema=schema)
            start += len(uids)

    groups = read_table(version.artifact("groups") / "groups.parquet", ["group", "uid"])
    with database({"near_duplicate": groups}, memory=MEMORY) as db:
        db.connection.register("sample", pa.RecordBatchReader.from_batches(schema, batches()))
        found = db.run("audit", "placed")
    number = np.full(version.rows, -1, np.int32)
    number[found["sample"].to_numpy()] = np.unique(found["group"].to_numpy(), return_inverse=True)[1]
    return number
