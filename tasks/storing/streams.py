"""Files of a pool, in a folder or in an object store: opened where they are, never copied as a whole.

An object is read by ranges, each with the condition that the object is still the one that was opened.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

from tasks.errors import LakeError, PoolError
from tasks.storing import objects
from tasks.storing.addresses import is_copy, is_plain, name_of, shown
from tasks.storing.objects import Entry

STREAM: Final = 8 << 20  # bytes asked for at once where a file is read from its start to its end
PIECE: Final = 256 << 10  # where single images are wanted: one request for most of them
BUFFER: Final = 64 << 10  # bytes handed over at once

_known: dict[Path, Entry] = {}  # as the last listing told


def in_store(path: Path) -> bool:
    """Whether a path stands for an object, and not for a file or the copy of one."""
    return is_copy(path) and not path.exists()


def objects_below(folder: Path) -> list[Path]:
    """All objects below a folder, as paths, in order.

    PoolError: no such bucket, the store refused, or an object has a name that is no path. Unavailable: no answer.
    """
    try:
        found = objects.every(folder)[0]
    except LakeError as problem:
        raise PoolError(str(problem)) from None
    names = {name: one for name, one in found.items() if name and not name.endswith("/")}  # others stand for folders
    odd = next((name for name in names if not is_plain(name)), None)
    if odd is not None:
        raise PoolError(
            f"{shown(folder)}: the object {odd!r} was found, and a name like a path without '.', '..' and empty parts "
            "was expected; rename it, or name the shards by a glob below another folder"
        )
    _known.update({folder / name: one for name, one in names.items()})
    return sorted(folder / name for name in names)


def is_object(path: Path) -> bool:
    return objects.entry(path) is not None


def known(path: Path) -> Entry:
    """What the last listing told of an object, or else the store now. FileNotFoundError where there is none."""
    found = _known.get(path) or objects.entry(path)
    if found is None:
        raise FileNotFoundError(f"there is no {shown(path)}")
    return found


def absent(paths: Iterable[Path]) -> list[Path]:
    """Those that are not there now. Many of one folder in a store are asked for together."""
    gone: list[Path] = []
    by_folder: dict[Path, list[Path]] = {}
    for path in paths:
        if in_store(path):
            by_folder.setdefault(path.parent, []).append(path)
        elif not path.exists():
            gone.append(path)
    for folder, files in by_folder.items():
        there = objects.entries(folder)[0] if len(files) > 1 else {file.name for file in files if objects.entry(file)}
        gone += [file for file in files if file.name not in there]
    return gone


def size(path: Path) -> int:
    """Bytes of a file."""
    return known(path).bytes if in_store(path) else path.stat().st_size


def opened(path: Path, at_once: int = STREAM) -> io.BufferedReader:
    """The file's bytes. Of an object at least `at_once` are asked for together. FileNotFoundError where it is not."""
    if not in_store(path):
        return path.open("rb")
    return io.BufferedReader(_Object(path, at_once), BUFFER)


def for_arrow(path: Path) -> Any:
    """What pyarrow reads a file from: it asks for the ranges that it wants."""
    return _Object(path, 0) if in_store(path) else path


def whole(path: Path, limit: int) -> bytes | None:
    """A file's bytes; None where there are more than `limit`. FileNotFoundError where it is not there."""
    if not in_store(path):
        return path.read_bytes() if path.stat().st_size <= limit else None
    data = objects.start_of(path, limit + 1)
    return data if len(data) <= limit else None


def has_name(folder: Path) -> Callable[[str], bool]:
    """Whether a folder has a file of a name. A folder in a store is listed once, when the first name is asked about."""

    @cache
    def names() -> frozenset[str]:
        return frozenset(objects.entries(folder)[0])

    return (lambda name: name in names()) if in_store(folder) else lambda name: (folder / name).exists()


class _Object(io.RawIOBase):
    """An object as a file: s3fs reads it, and what goes wrong is no damage of the file."""

    def __init__(self, path: Path, at_once: int) -> None:
        super().__init__()
        self._path = path
        with objects.asking(path):
            cache = {"block_size": at_once, "cache_type": "readahead"} if at_once else {"cache_type": "none"}
            self._file: Any = objects.client().open(name_of(path), "rb", **cache)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        from s3fs.utils import FileExpired

        with objects.asking(self._path):
            try:
                return int(self._file.readinto(buffer))
            except (FileNotFoundError, FileExpired):
                raise PoolError(
                    f"{shown(self._path)}: the object was replaced or removed while it was read; run again when "
                    "nothing writes to the pool"
                ) from None

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
