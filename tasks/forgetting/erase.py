"""Rewrites a lake's files without what is to be forgotten. Each file whole or not at all; twice is as good as once.

Rows keep their places. A uid becomes its pseudonym wherever it stands, in texts too: both are 32 hex digits.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.errors import LakeError
from tasks.files import read_table, write_array, write_aside, write_table
from tasks.reading.tombstones import FORGOTTEN, blank
from tasks.samples import QUARANTINED

STAGE: Final = "forget"  # that took the sample out of the versions which held it
SAME: Final = 1 - 1e-5  # cosine from which a stored vector is the sample's own
TEXTS: Final = (".json", ".ndjson", ".csv", ".md", ".txt", ".html")
_TOLD: Final = ("caption", "reason")  # columns of tables by uid that say something of the sample


class Erasure(NamedTuple):
    """What is to go."""

    pseudonyms: Mapping[str, str]  # uid → what stands in its place
    captions: frozenset[str]
    rows: Mapping[str, Mapping[int, str]]  # part → row → pseudonym
    vectors: tuple[NDArray[np.float64], ...]  # (n, d) unit norm each, one an encoder; what is gone already is not there


# --- column groups


def erase_column(path: Path, what: Erasure) -> None:
    """One part's file of a column group, columns/<group>-<key>/<part>.*"""
    group, rows = path.parent.name.rpartition("-")[0], what.rows.get(path.stem, {})
    if path.suffix == ".npy":
        _zero_rows(path, rows)
        return
    table = read_table(path)
    changed = _column_table(table, group, rows, what)
    if not changed.equals(table):
        write_table(path, changed.replace_schema_metadata(table.schema.metadata))


def _zero_rows(path: Path, rows: Mapping[int, str]) -> None:
    values = np.load(path, mmap_mode="r")
    places = sorted(rows)
    if places and values[places].any():
        changed = np.array(values)
        changed[places] = 0
        write_array(path, changed)


def _column_table(table: pa.Table, group: str, rows: Mapping[int, str], what: Erasure) -> pa.Table:
    if group == "samples":
        return _set_rows(table, {row: blank(_row(table, row), name) for row, name in rows.items()})
    if group == "decision":
        out: dict[str, Any] = dict.fromkeys(table.column_names)
        out |= {"verdict": QUARANTINED, "stage": STAGE, "reason": FORGOTTEN}
        return _renamed(_set_rows(table, dict.fromkeys(rows, out)), what)
    nothing = {field.name: False if pa.types.is_boolean(field.type) else None for field in table.schema}
    return _set_rows(table, dict.fromkeys(rows, nothing))


def _row(table: pa.Table, row: int) -> dict[str, Any]:
    facts: dict[str, Any] = table.slice(row, 1).to_pylist()[0]
    return facts


def _set_rows(table: pa.Table, rows: Mapping[int, Mapping[str, Any]]) -> pa.Table:
    """The table with other values in some of its rows."""
    if not rows:
        return table
    order = sorted(rows)
    mask = np.zeros(table.num_rows, np.bool_)
    mask[order] = True
    for place, field in enumerate(table.schema):
        values = pa.array([rows[row][field.name] for row in order], field.type)
        column = pc.replace_with_mask(table[field.name].combine_chunks(), pa.array(mask), values)
        table = table.set_column(place, field, column)
    return table


# --- artifacts


def erase_table(path: Path, what: Erasure) -> None:
    """A Parquet artifact: uids become pseudonyms; rows of a forgotten uid lose what they say of it."""
    table = read_table(path)
    changed = table
    if "uid" in table.column_names:
        mine = pc.is_in(pc.cast(table["uid"], pa.string()), value_set=_names(what))
        for name in set(_TOLD) & set(table.column_names):
            place, field = table.schema.get_field_index(name), table.schema.field(name)
            column = pc.if_else(mine, pa.scalar(None, field.type), changed[name])
            changed = changed.set_column(place, field, column)
    changed = _renamed(changed, what)
    if not changed.equals(table):
        write_table(path, changed.replace_schema_metadata(table.schema.metadata))


def erase_groups(path: Path, what: Erasure) -> None:
    """A table of near-duplicate groups: only usable samples are in one, so the forgotten are no members any more."""
    table = read_table(path)
    left = table.filter(pc.invert(pc.is_in(table["uid"], value_set=_names(what))))
    changed = _renamed(left, what)
    if not changed.equals(table):
        write_table(path, changed.replace_schema_metadata(table.schema.metadata))


def _names(what: Erasure) -> pa.Array:
    return pa.array([*what.pseudonyms, *what.pseudonyms.values()], pa.string())


def _renamed(table: pa.Table, what: Erasure) -> pa.Table:
    """The table with pseudonyms for uids in every column of texts."""
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            column = table[field.name]
            for uid, name in what.pseudonyms.items():
                column = pc.if_else(pc.equal(column, uid), pa.scalar(name, field.type), column)
            table = table.set_column(place, field, column)
    return table


def erase_array(path: Path, what: Erasure) -> None:
    """A .npy artifact whose rows may be vectors of samples."""
    values = np.load(path, mmap_mode="r", allow_pickle=False)
    mine = _own(values, what.vectors)
    if mine.any():
        changed = np.array(values)
        changed[mine] = 0
        write_array(path, changed)


def erase_arrays(path: Path, what: Erasure) -> None:
    """A .npz artifact: as `erase_array`, for each array."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    mine = {name: _own(values, what.vectors) for name, values in arrays.items()}
    if any(rows.any() for rows in mine.values()):
        for name, rows in mine.items():
            arrays[name][np.flatnonzero(rows)] = 0
        with write_aside(path) as aside, aside.open("wb") as out:
            np.savez(out, **arrays)


def erase_tensors(path: Path, what: Erasure) -> None:
    """A safetensors artifact (a classifier's landmarks are labelled samples) whose rows may be vectors of samples."""
    from safetensors.numpy import load_file, save_file

    tensors = load_file(path)
    mine = {name: _own(values, what.vectors) for name, values in tensors.items()}
    if any(rows.any() for rows in mine.values()):
        for name, rows in mine.items():
            if rows.any():
                tensors[name] = np.where(rows[:, None], 0, tensors[name]).astype(tensors[name].dtype)
        with write_aside(path) as aside:
            save_file(tensors, aside)


def _own(values: NDArray[Any], vectors: Sequence[NDArray[np.float64]]) -> NDArray[np.bool_]:
    """(n,) whether a row of (n, d) values is one of the vectors; never where the array is of another shape."""
    own = np.zeros(len(values) if values.ndim else 0, np.bool_)
    if values.ndim != 2 or values.dtype.kind != "f":
        return own
    for known in vectors:
        if known.shape[1] == values.shape[1]:
            rows = np.asarray(values, np.float64)
            cosines = rows @ known.T / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
            own |= (cosines >= SAME).any(axis=1)
    return own


# --- texts


def erase_text(path: Path, what: Erasure) -> None:
    """A text of any kind: uids become pseudonyms, and in JSON what `caption` and `captions` name goes."""
    data = path.read_bytes()
    changed = _pseudonymous(data, what)
    if path.suffix == ".json":
        changed = _without_captions(changed, what.captions)
    if changed != data:
        with write_aside(path) as aside:
            aside.write_bytes(changed)


def _pseudonymous(data: bytes, what: Erasure) -> bytes:
    for uid, name in what.pseudonyms.items():
        data = data.replace(uid.encode(), name.encode())
    return data


def _without_captions(data: bytes, captions: frozenset[str]) -> bytes:
    value = json.loads(data)
    changed = _walk(value, captions)
    return data if changed == value else json.dumps(changed, indent=1, ensure_ascii=False).encode()


def _walk(value: Any, captions: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {name: _said(one, captions) if name in ("caption", "captions") else _walk(one, captions)
                for name, one in value.items()}  # fmt: skip
    return [_walk(one, captions) for one in value] if isinstance(value, list) else value


def _said(value: Any, captions: frozenset[str]) -> Any:
    if isinstance(value, list):
        return [one for one in value if not (isinstance(one, str) and one in captions)]
    return None if isinstance(value, str) and value in captions else value


def erase_log(path: Path, what: Erasure) -> None:
    """A log of labels, in place and under its lock: whoever appends to it, or follows it, has the file open."""
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        data = file.read()
        changed = _pseudonymous(data, what)
        assert len(changed) == len(data)  # a pseudonym is as long as a uid
        if changed != data:
            file.seek(0)
            file.write(changed)
            file.flush()
            os.fsync(file.fileno())


def each(paths: Sequence[Path], erase: Callable[[Path, Erasure], None], what: Erasure) -> None:
    """Rewrite files in order. LakeError names one that cannot be read: it may hold what is to go."""
    from safetensors import SafetensorError

    for path in sorted(paths):
        try:
            erase(path, what)
        except (OSError, ValueError, pa.ArrowException, SafetensorError) as problem:
            raise LakeError(
                f"{path} cannot be rewritten ({problem}); restore it, or remove it, then run the same command again: "
                "the request is written down and will be finished"
            ) from None
