"""Jobs for workers that have a copy of the lake of their own: paths travel as the names of the objects.

A job is pickled with each path of the copy replaced by its object's name. The worker unpickles it with the paths of its
own copy, fetches what they stand for, and works; what it writes goes to the store as it is written (tasks/files.py).
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tasks.storing import copying
from tasks.storing.addresses import copies, is_copy, name_of


class _Packer(pickle.Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.root = f"{copies()}/"
        self.found: set[Path] = set()

    def persistent_id(self, value: Any) -> tuple[bool, str] | None:
        text = isinstance(value, str)
        if not (text and value.startswith(self.root)) and not isinstance(value, Path):
            return None
        path = Path(value)
        if not is_copy(path):
            return None
        self.found.add(path)
        return text, name_of(path)


class _Opener(pickle.Unpickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.found: set[Path] = set()

    def persistent_load(self, name: tuple[bool, str]) -> str | Path:
        path = copies() / name[1]
        self.found.add(path)
        return str(path) if name[0] else path


def packed(function: Callable[[Any], Any], items: Sequence[Any]) -> tuple[Callable[[Any], Any], list[Any]]:
    """What to call, and with what, on workers; the same as given where the items name no object."""
    jobs, named = [], set()
    for item in items:
        file = io.BytesIO()
        packer = _Packer(file)
        packer.dump((function, item))
        if not packer.found:  # then no other does: they are alike
            return function, list(items)
        jobs.append(file.getvalue())
        named |= packer.found
    copying.ensure(named)
    return work, jobs


def work(job: bytes) -> Any:
    """Open a job on a worker and do it."""
    copying.forget_listings()
    opener = _Opener(io.BytesIO(job))
    function, item = opener.load()
    artifacts = {path for path in opener.found if path.parent.name == "artifacts"}
    copying.fetch(path for path in opener.found - artifacts if path.parent.parent.name in ("columns", "artifacts"))
    for folder in artifacts:
        copying.fetch_folder(folder)
    return function(item)
