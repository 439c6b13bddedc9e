"""Where the copy of an object store is on this machine, and which object a path in it stands for.

    <SLUICE_CACHE, else ~/.cache/sluice>/s3/<endpoint>/<bucket>/<prefix>/…

A path below that folder is the copy of the object of that name: every process can tell by the path alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tasks.errors import UsageError

_ADDRESS: Final = re.compile(r"s3:/+(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>(/[^/]+)*)/*")


def located(lake: Path | str) -> Path:
    """A lake's folder: that of the copy, where s3://bucket/prefix is given. UsageError where that is no address."""
    if not is_address(lake):
        return Path(lake)
    bucket, prefix = _split(str(lake))
    if not prefix:
        raise UsageError(f"--lake: an address such as s3://bucket/folder was expected, {str(lake)!r} was found")
    return copies() / bucket / prefix


def located_pool(pool: str) -> Path:
    """What a pool's address stands for: an object, a folder, or a pattern of them. UsageError where that is none."""
    return copies().joinpath(*_split(pool))


def is_address(place: Path | str) -> bool:
    return str(place).startswith("s3:/")  # a Path makes one slash of two


def _split(address: str) -> tuple[str, str]:
    """Bucket and prefix."""
    found = _ADDRESS.fullmatch(address)
    if found is None or (found["prefix"] and not is_plain(found["prefix"][1:])):
        told = "one with an @" if "@" in address else repr(address)  # which may hold a key
        raise UsageError(
            f"an address such as s3://bucket/folder was expected, {told} was found; keys come from the environment"
        )
    return found["bucket"], found["prefix"][1:]


def copies() -> Path:
    """The folder of what is copied from the store that the environment names."""
    return _copies(os.environ.get("SLUICE_CACHE") or "~/.cache/sluice", endpoint() or "https://amazonaws.com")


@lru_cache  # every path that is written or handed out is asked whether it is a copy
def _copies(cache: str, address: str) -> Path:
    place = urlsplit(address)
    folder = f"{place.hostname}{f':{place.port}' if place.port else ''}"
    return Path(cache).expanduser().resolve() / "s3" / folder


def endpoint() -> str | None:
    """The store's address, where it is not Amazon's."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def is_copy(path: Path | str) -> bool:
    """Whether a path stands for an object, or a folder of objects."""
    return Path(path).is_relative_to(copies())


def name_of(path: Path) -> str:
    """bucket/key of the object that a path stands for."""
    return path.relative_to(copies()).as_posix()


def shown(path: Path | str) -> str:
    """A path for a message: an address, where it is one or stands for an object."""
    if is_address(path):
        path = located_pool(str(path))
    return f"s3://{name_of(Path(path))}" if is_copy(path) else str(Path(path))


def is_plain(name: str) -> bool:
    """Whether a name leads nowhere but down: what others may have put into the store becomes a path here."""
    parts: Iterable[str] = name.split("/")
    return all(part not in ("", ".", "..") and not set("\\\0") & set(part) for part in parts)
