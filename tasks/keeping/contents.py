"""What lies in a pool's folder, on a disk or in an object store: listed with bytes and age, and removed."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tasks.errors import LakeError
from tasks.files import TEMPORARY
from tasks.storing import objects
from tasks.storing.addresses import is_copy
from tasks.storing.copying import WHOLE, forget_listings


class Entry(NamedTuple):
    """A file, or an object of a store."""

    bytes: int
    changed: float  # seconds since 1970; of an object when it was stored, by the store's clock


def contents(area: Path) -> dict[str, dict[str, Entry]]:
    """Each folder in `area`: path within it → what is there; what is only half written is left out."""
    return _stored(area) if is_copy(area) else _here(area)


def _here(area: Path) -> dict[str, dict[str, Entry]]:
    folders = sorted(path for path in area.glob("*") if path.is_dir() and not path.name.startswith(TEMPORARY))
    return {folder.name: {name: _entry(path) for name, path in _files(folder)} for folder in folders}


def _files(folder: Path) -> list[tuple[str, Path]]:
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(TEMPORARY))
    return [(path.relative_to(folder).as_posix(), path) for path in found]


def _entry(path: Path) -> Entry:
    stat = path.stat()
    return Entry(stat.st_size, stat.st_mtime)


def _stored(area: Path) -> dict[str, dict[str, Entry]]:
    found: dict[str, dict[str, Entry]] = {}
    for name, facts in objects.find(area).items():
        folder, _, file = name.partition("/")
        found.setdefault(folder, {})[file] = Entry(facts.bytes, facts.changed)
    return found


def remove(paths: Iterable[Path]) -> None:
    """Remove files and folders, each at once or not at all. LakeError names one that cannot be removed.

    Of an object store: the objects, of an artifact first the one that says that it is whole; and this machine's copy.
    """
    for path in paths:
        if is_copy(path):
            _remove_stored(path)
        try:
            _remove_folder(path) if path.is_dir() and not path.is_symlink() else _remove_file(path)
        except OSError as problem:
            raise LakeError(f"{path} cannot be removed ({problem}); the versions are whole; run again") from None
    forget_listings()


def _remove_stored(path: Path) -> None:
    if path.parent.name != "artifacts":
        objects.remove(path)
        return
    objects.remove(path / WHOLE)
    with ThreadPoolExecutor(objects.AT_ONCE) as pool:
        list(pool.map(objects.remove, [path / name for name in objects.find(path)]))


def _remove_folder(folder: Path) -> None:
    aside = folder.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    folder.rename(aside)
    shutil.rmtree(aside)


def _remove_file(path: Path) -> None:
    path.unlink(missing_ok=True)
    if path.parent.parent.name == "columns" and path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
