"""Embeddings that came with the pool, in clip-retrieval's layout: img_emb/*.npy beside metadata/*.parquet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from tasks.errors import ConfigError
from tasks.files import write_array
from tasks.lake import Part, Version


def _files(folder: Path) -> list[tuple[Path, Path]]:
    """Embedding files with their metadata files, in order. ConfigError where the layout is another."""
    arrays = sorted(folder.glob("img_emb/img_emb_*.npy"), key=lambda path: int(path.stem.rsplit("_", 1)[1]))
    pairs = [(path, folder / "metadata" / f"metadata_{path.stem.rsplit('_', 1)[1]}.parquet") for path in arrays]
    lacking = [str(meta) for _, meta in pairs if not meta.exists()]
    if not pairs or lacking:
        found = f"missing: {', '.join(lacking)}" if lacking else "there is no img_emb/img_emb_*.npy"
        raise ConfigError(f"embed.embeddings: a clip-retrieval folder was expected at {folder}; {found}")
    return pairs


def folder_digest(folder: str, digest: Callable[[Path], str]) -> str:
    """sha256 over all files of the folder."""
    lines = [digest(path) for pair in _files(Path(folder)) for path in pair]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def take_embeddings(folder: Path, draft: Version, parts: list[Part]) -> None:
    """Write the embedding files of `parts`, rows matched by uid, else by key (clip-retrieval's image_path).

    A sample that the folder lacks gets zeros, which the caller quarantines. ConfigError: rows and metadata disagree.
    """
    arrays, place = _index(folder)
    dimension = arrays[0].shape[1]
    for part in parts:
        table = pq.read_table(draft.column_path("samples", part), columns=["uid", "key"], partitioning=None)
        out = np.zeros((table.num_rows, dimension), dtype=np.float16)
        for row, (uid, key) in enumerate(zip(table["uid"].to_pylist(), table["key"].to_pylist(), strict=True)):
            found = place.get(uid) or place.get(key)
            if found is not None:
                out[row] = _unit(arrays[found[0]][found[1]])
        write_array(draft.column_path("embedding", part), out)


def _index(folder: Path) -> tuple[list[np.ndarray], dict[str, tuple[int, int]]]:
    arrays: list[np.ndarray] = []
    place: dict[str, tuple[int, int]] = {}
    for number, (path, meta) in enumerate(_files(folder)):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        table = pq.read_table(meta, partitioning=None)
        if array.ndim != 2 or len(array) != table.num_rows or (arrays and array.shape[1] != arrays[0].shape[1]):
            raise ConfigError(
                f"{path}: {table.num_rows} rows of one dimension were expected, its shape is {array.shape}"
            )
        names = [name for name in ("uid", "key", "image_path") if name in table.column_names]
        if not names:
            raise ConfigError(f"{meta}: a column uid, key or image_path was expected, to match samples by")
        for name in names:
            for row, value in enumerate(table[name].to_pylist()):
                place.setdefault(Path(value).stem if name == "image_path" else str(value), (number, row))
        arrays.append(array)
    return arrays, place


def _unit(vector: np.ndarray) -> np.ndarray:
    """The vector at unit norm; zeros where it is zero or not finite."""
    wide = vector.astype(np.float32)
    norm = float(np.linalg.norm(wide))
    if not np.isfinite(norm) or norm == 0.0:
        return np.zeros_like(wide)
    return wide / norm
