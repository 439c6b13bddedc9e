"""The copy of a lake that this machine has: files come when they are asked for, and go to the store when written.

Nearly all that a lake holds is named after what it was made from and never changes: what is here need not be asked for
again. The little that changes is compared with the store whenever the lake is opened (`refresh`). The copy may be
removed while no run is going; nothing is in it alone.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from tasks.errors import LakeError, UsageError
from tasks.storing import objects
from tasks.storing.addresses import is_copy, shown
from tasks.storing.objects import AT_ONCE

WHOLE: Final = ".whole"  # the object that an artifact gets last
TEMPORARY: Final = ".tmp-"  # what a name begins with until the file or folder is whole
FETCHING: Final = ".fetching-"  # what a name begins with until the copy is whole
CACHE: Final = "cache"  # a pool's folder that concerns this machine only
UNCHANGING: Final = ("columns", "artifacts", "versions", "lease", CACHE)  # a pool's folders that `refresh` leaves alone
COPIED: Final = ".copied.json"  # the ETags of what `refresh` copied
LISTED: Final = 2.0  # seconds that a listing answers for: who asks for part after part asks the store once

_listings: dict[Path, tuple[float, dict[str, int]]] = {}  # when it was asked for, and the answer
_written: dict[Path | None, float] = {}  # since when a folder's answer does not count, None: any folder's


def listing(folder: Path, fresh: bool = False) -> dict[str, int]:
    """Names below a folder in the store → bytes; asked for just now, or at most LISTED seconds ago."""
    known, now = _listings.get(folder), time.monotonic()
    since = max(now - LISTED, _written.get(folder, 0.0), _written.get(None, 0.0))
    if known is None or fresh or known[0] <= since:
        sizes = {name: one.bytes for name, one in objects.find(folder).items()}
        known = _listings[folder] = (now, sizes)  # what was written while the store was asked may lack
    return known[1]


def forget_listings(folder: Path | None = None) -> None:
    """Others have written since, into this folder or anywhere."""
    if folder is None:
        _listings.clear()
    _written[folder] = time.monotonic()


def there(path: Path) -> bool:
    """Whether the lake has a column file or an artifact; the copy of one need not be here."""
    if not is_copy(path):
        return path.exists()
    return path.name in listing(path.parent) if path.parent.parent.name == "columns" else bool(listing(path))


def fetch(paths: Iterable[Path]) -> None:
    """Copy files that are not here and that the store has. LakeError where one came in part."""
    absent = sorted(path for path in paths if is_copy(path) and not path.exists())
    for folder, files in groupby(absent, key=lambda path: path.parent):
        sizes = listing(folder)
        wanted = {path: folder / f"{FETCHING}{uuid.uuid4().hex}" for path in files if path.name in sizes}
        folder.mkdir(parents=True, exist_ok=True)
        try:
            objects.get(wanted)
            for path, aside in wanted.items():
                _check(aside, sizes[path.name], path)
                aside.replace(path)
        finally:
            for aside in wanted.values():
                aside.unlink(missing_ok=True)


def fetch_folder(folder: Path, whole: bool = False) -> None:
    """Copy a folder that is not here and that the store has; where asked, only a `whole` one."""
    if not is_copy(folder) or folder.exists():
        return
    sizes = dict(listing(folder))
    if not sizes or (whole and WHOLE not in sizes):
        return
    sizes.pop(WHOLE, None)
    aside = folder.parent / f"{FETCHING}{uuid.uuid4().hex}"
    try:
        for name in sizes:
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
        objects.get({folder / name: aside / name for name in sizes})
        for name, size in sizes.items():
            _check(aside / name, size, folder / name)
        with suppress(OSError):  # another process was as fast
            aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def fetch_file(path: Path) -> Path:
    """One file of an artifact, without its others: where it is here. Nothing is there if the artifact lacks it."""
    if not is_copy(path) or path.exists():
        return path
    single = path.parents[2] / CACHE / path.parent.name / path.name
    size = listing(path.parent).get(path.name)
    if size is not None and not single.exists():
        single.parent.mkdir(parents=True, exist_ok=True)
        aside = single.parent / f"{FETCHING}{uuid.uuid4().hex}"
        try:
            objects.get({path: aside})
            _check(aside, size, path)
            aside.replace(single)
        finally:
            aside.unlink(missing_ok=True)
    return single


def _check(file: Path, size: int, path: Path) -> None:
    if file.stat().st_size != size:
        raise LakeError(f"{shown(path)}: {size} bytes were expected, {file.stat().st_size} came; run again")


def put(file: Path, path: Path) -> None:
    """Store a file under the name that a path stands for, if it stands for one; `put_folder` stores a folder's."""
    if is_copy(path) and path.parent.name != CACHE and not any(part.startswith(TEMPORARY) for part in path.parts):
        objects.put({file: path})
        if (known := _listings.get(path.parent)) is not None:
            known[1][path.name] = file.stat().st_size


def put_folder(folder: Path, path: Path) -> None:
    """Store an artifact's files, and last what says that they are all there."""
    if is_copy(path):
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        objects.put({file: path / file.relative_to(folder) for file in files})
        objects.write(path / WHOLE, b"")
        forget_listings(path)


def ensure(paths: Iterable[Path]) -> None:
    """Store what is here and not there: the store may have been cleared of what no version needed."""
    for path in paths:
        if not is_copy(path):
            continue
        if path.parent.name == "artifacts" and path.is_dir():
            files = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
            if files - listing(path).keys():
                put_folder(path, path)
        elif path.is_file() and path.name not in listing(path.parent):
            put(path, path)


def refresh(home: Path) -> None:
    """Bring the state of a pool that changes up to date; a copy of another pool of that name is removed."""
    if not is_copy(home):
        return
    found, names = objects.entries(home)
    changing = sorted(set(names) - set(UNCHANGING))
    with ThreadPoolExecutor(AT_ONCE) as threads:
        listed = list(threads.map(objects.find, [home / name for name in changing]))
    for name, files in zip(changing, listed, strict=True):
        found |= {f"{name}/{below}": one for below, one in files.items()}
    tags = {name: one.tag for name, one in found.items()}
    known = _read(home / COPIED)
    if known.get("pool.json", "") != tags.get("pool.json", "") and _identity(home) != _identity_there(home, tags):
        shutil.rmtree(home, ignore_errors=True)
        known = {}
    forget_listings()
    changed = [name for name, tag in tags.items() if known.get(name) != tag or not (home / name).exists()]

    def copy(name: str) -> None:
        with suppress(FileNotFoundError):  # it went meanwhile
            _replace(home / name, objects.read(home / name))
            os.utime(home / name, (found[name].changed, found[name].changed))  # who looks asks when it was written

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(copy, changed))
    for name in known.keys() - tags.keys():
        (home / name).unlink(missing_ok=True)
    if changed or known.keys() != tags.keys():
        _replace(home / COPIED, json.dumps(tags).encode())


def _identity(home: Path) -> Any:
    return _read(home / "pool.json").get("id")


def _identity_there(home: Path, tags: dict[str, str]) -> Any:
    return json.loads(objects.read(home / "pool.json")).get("id") if "pool.json" in tags else None


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _replace(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.parent / f"{FETCHING}{uuid.uuid4().hex}"
        aside.write_bytes(data)
        aside.replace(path)
    except OSError as problem:
        raise LakeError(
            f"{path}: a copy of {shown(path)} was to be written here ({problem.strerror}); set SLUICE_CACHE to a "
            "folder that may be written and has room"
        ) from None


def refuse(path: Path, what: str) -> None:
    """UsageError where something works on a lake in a folder only, and this one is in an object store."""
    if is_copy(path):
        raise UsageError(
            f"{shown(path)}: {what} works on a lake in a folder, and this one is in an object store; copy the lake to "
            "a folder with the store's own tool, such as `aws s3 sync`, and go on there with --lake FOLDER "
            "(docs/cluster.md)"
        )
