"""Files written whole or not at all, and digests of files remembered while the files do not change.

What is written into the copy of a lake in an object store goes to the store first: what is here whole is there too.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.errors import LakeError
from tasks.storing import copying, objects, streams
from tasks.storing.addresses import is_copy
from tasks.storing.copying import forget_listings, put, put_folder

TEMPORARY = copying.TEMPORARY
NUMPY_FULL = ("Not enough free space", " requested and ")


class Digests:
    """sha256 of files, remembered by path, size, and times of modification and of change.

    The time of change notices a file that was replaced with its time of modification kept (cp -p, rsync -t). An object
    of a store is known by what its listing tells.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / "cache" / "digests.json"
        self.known: dict[str, list[Any]] = self._read()
        self.changed = False

    def _read(self) -> dict[str, list[Any]]:
        try:
            known = json.loads(self.path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}  # a cache: what is lost is computed again
        return known if isinstance(known, dict) else {}

    def of(self, path: Path) -> str:
        state, known = _state(path), self.remembered(path)
        if known is not None:
            return known
        with streams.opened(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.known[str(path)] = [*state, digest]
        self.changed = True
        return digest

    def remembered(self, path: Path) -> str | None:
        """The digest without reading the file; None where it is new or has changed."""
        known = self.known.get(str(path))
        return str(known[3]) if known is not None and known[:3] == _state(path) else None

    def save(self) -> None:
        if self.changed:
            write_text(self.path, json.dumps(self.known))  # ASCII: a path may hold bytes that are not UTF-8
            self.changed = False


def _state(path: Path) -> list[Any]:
    if streams.in_store(path):
        return list(streams.known(path))  # bytes, tag, time of change
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


_DIGESTS: dict[Path, Digests] = {}


def digests(home: Path) -> Digests:
    """The process's one cache of a pool's file digests."""
    if home not in _DIGESTS:
        _DIGESTS[home] = Digests(home)
    return _DIGESTS[home]


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    return pq.read_table(path, columns=list(columns) if columns is not None else None, partitioning=None)


def write_table(path: Path, table: pa.Table) -> None:
    """A Parquet file, whole or not at all."""
    with write_aside(path) as aside:
        pq.write_table(table, aside, compression="zstd")


def write_array(path: Path, array: np.ndarray) -> None:
    """A .npy file, whole or not at all."""
    with write_aside(path) as aside, aside.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def write_json(path: Path, value: Any) -> None:
    with write_aside(path) as aside:
        aside.write_text(json.dumps(value, indent=1, ensure_ascii=False), "utf-8")


def write_text(path: Path, text: str) -> None:
    with write_aside(path) as aside:
        aside.write_text(text, "utf-8")


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """A path to write, renamed to `path` when the block ends without an exception. Raises as `writing` does."""
    aside = path.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield aside
            sync(aside)
            put(aside, path)
            aside.replace(path)
            sync(path.parent)  # so that a version is never found on the disk before the columns that it names
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def write_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, renamed to `path` when the block ends without an exception. Raises as `writing` does."""
    aside = path.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    with writing(path):
        aside.mkdir(parents=True)
        try:
            yield aside
            for file in aside.rglob("*"):
                if file.is_file():
                    sync(file)
            if path.exists():
                return  # its name is the digest of what it was made from: what is there is the same
            put_folder(aside, path)
            aside.rename(path)
            sync(path.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def write_new(path: Path, text: str) -> bool:
    """A file of a name that was free, whole or not at all; whether it was. Of several who try at once one succeeds."""
    aside = path.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            aside.write_text(text, "utf-8")
            sync(aside)
            if is_copy(path):
                made = objects.create(path, text.encode())
                forget_listings(path.parent)  # whoever took the name, it is known from here on
                return made and bool(aside.replace(path))
            os.link(aside, path)
            sync(path.parent)
        except FileExistsError:
            return False
        finally:
            aside.unlink(missing_ok=True)
    return True


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """LakeError, with what to do, where there is no room for what is written at `path`, or no permission."""
    try:
        yield
    except OSError as problem:
        if _is_full(problem):
            raise LakeError(
                f"{path}: no space is left on its disk; make room there, then run the same command again: what was "
                "finished is used"
            ) from problem
        here = problem.filename is None or Path(os.fsdecode(problem.filename)).is_relative_to(path.parent)
        if problem.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and here:
            raise LakeError(
                f"{path} may not be written: {problem.strerror}; run as a user who may, or choose another folder"
            ) from problem
        raise


def _is_full(problem: OSError) -> bool:
    """numpy tells of a full disk in words of its own, without the number."""
    return problem.errno in (errno.ENOSPC, errno.EDQUOT) or any(words in str(problem) for words in NUMPY_FULL)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(home: Path) -> int:
    """Remove what a killed run wrote aside; only the holder of the lock may. Returns how many."""
    found = list(home.rglob(f"{TEMPORARY}*"))
    for path in found:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(found)
