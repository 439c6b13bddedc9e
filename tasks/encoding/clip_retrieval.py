"""Embeddings that came with the pool, in clip-retrieval's layout: img_emb/*.npy beside metadata/*.parquet."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.errors import ConfigError
from tasks.files import read_table, write_array
from tasks.lake import Part, Version


@dataclasses.dataclass(frozen=True)
class Given:
    """The folder's embeddings, one after the other over its files."""

    arrays: list[np.ndarray]  # of each file, (rows, d)
    starts: np.ndarray  # of each file, the number of its first row
    names: dict[str, pa.Array]  # uid, key → each row's; null where there is none, or several rows have it


def folder_digest(folder: str, digest: Callable[[Path], str]) -> str:
    """sha256 over all files of the folder."""
    lines = [digest(path) for pair in _files(Path(folder)) for path in pair]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def take_embeddings(folder: Path, draft: Version, parts: list[Part]) -> None:
    """Write the embedding files of `parts`, rows matched by uid, else by key (clip-retrieval's image_path).

    A sample that the folder lacks, or whose name several rows have, gets zeros, which the caller quarantines.
    ConfigError: the layout is another, or rows and metadata disagree.
    """
    given = _read(folder)
    for part in parts:
        wanted = read_table(draft.column_path("samples", part), ["uid", "key"])
        found = np.full(wanted.num_rows, -1)
        for name, values in given.names.items():
            place = pc.fill_null(pc.index_in(wanted[name].cast(pa.string()), value_set=values), -1).to_numpy()
            found = np.where(found < 0, place, found)
        write_array(draft.column_path("embedding", part), _gather(given, found))


def _gather(given: Given, found: np.ndarray) -> np.ndarray:
    """Rows' numbers, −1 for none → (rows, d) float16 of unit norm, zeros for none."""
    out = np.zeros((len(found), given.arrays[0].shape[1]), dtype=np.float16)
    file = np.searchsorted(given.starts, found, side="right") - 1
    for number in np.unique(file[found >= 0]):
        rows = np.flatnonzero((file == number) & (found >= 0))
        out[rows] = _unit(given.arrays[number][found[rows] - given.starts[number]])
    return out


def _unit(vectors: np.ndarray) -> np.ndarray:
    """(n, d) → the vectors at unit norm; zeros where one is zero or not finite."""
    wide = vectors.astype(np.float32)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    usable = np.isfinite(norms) & (norms > 0)
    return np.where(usable, wide / np.where(usable, norms, 1), 0)


def _read(folder: Path) -> Given:
    arrays: list[np.ndarray] = []
    tables: list[pa.Table] = []
    for path, meta in _files(folder):
        array, table = _load(path), _metadata(meta)
        if array.ndim != 2 or len(array) != table.num_rows or (arrays and array.shape[1] != arrays[0].shape[1]):
            raise ConfigError(
                f"{path}: {table.num_rows} rows of one dimension were expected, its shape is {array.shape}"
            )
        arrays.append(array)
        tables.append(table)
    table = pa.concat_tables(tables)
    starts = np.cumsum([0, *map(len, arrays)])[:-1]
    return Given(arrays, starts, {"uid": table["uid"].combine_chunks(), "key": _without_repeated(table["key"])})


def _files(folder: Path) -> list[tuple[Path, Path]]:
    """Embedding files with their metadata files, in order. ConfigError where the layout is another."""
    if "s3:/" in str(folder):  # the configuration's own folder may stand before it
        raise ConfigError(
            f"embed.embeddings: a folder on this machine was expected, {folder} was found; copy it from the store, and "
            "name the copy"
        )
    numbers = [path.stem.removeprefix("img_emb_") for path in folder.glob("img_emb/img_emb_*.npy")]
    numbers = sorted((n for n in numbers if n.isdigit()), key=lambda n: (int(n), n))
    pairs = [(folder / "img_emb" / f"img_emb_{n}.npy", folder / "metadata" / f"metadata_{n}.parquet") for n in numbers]
    lacking = [str(meta) for _, meta in pairs if not meta.exists()]
    if not pairs or lacking:
        found = f"missing: {', '.join(lacking)}" if lacking else "there is no img_emb/img_emb_*.npy"
        raise ConfigError(f"embed.embeddings: a clip-retrieval folder was expected at {folder}; {found}")
    return pairs


def _load(path: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as problem:
        raise ConfigError(f"{path}: an array of embeddings was expected ({problem})") from None
    if array.dtype.kind != "f":
        raise ConfigError(f"{path}: floats were expected, {array.dtype} was found")
    return array


def _metadata(path: Path) -> pa.Table:
    """uid and key of each row as text; null where the file tells none. ConfigError where it tells neither."""
    try:
        names = [name for name in ("uid", "key", "image_path") if name in pq.read_schema(path).names]
        table = read_table(path, names)
    except (OSError, pa.ArrowException) as problem:
        raise ConfigError(f"{path}: clip-retrieval's metadata were expected ({problem})") from None
    if not names:
        raise ConfigError(f"{path}: a column uid, key or image_path was expected, to match samples by")
    nothing = pa.nulls(table.num_rows, pa.string())
    uid = pc.utf8_lower(table["uid"].cast(pa.string())) if "uid" in names else nothing
    key = table["key"].cast(pa.string()) if "key" in names else nothing
    if "key" not in names and "image_path" in names:
        key = pa.array([_key(value) for value in table["image_path"].to_pylist()], pa.string())
    return pa.table({"uid": uid, "key": key})


def _key(image_path: str | None) -> str | None:
    """clip-retrieval writes a tar sample's key, or an image file's path."""
    if image_path is None:
        return None
    return PurePosixPath(image_path).stem if PurePosixPath(image_path).suffix else image_path


def _without_repeated(names: pa.ChunkedArray) -> pa.Array:
    """The names, null where several rows have the same: shards may number their samples alike."""
    counts = pc.value_counts(names)
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    return pc.if_else(pc.is_in(names, value_set=repeated), pa.scalar(None, pa.string()), names).combine_chunks()
