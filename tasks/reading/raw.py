"""What a reader hands over: a shard, its raw samples with nothing judged yet, and why reading ended early."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Final

READABLE: Final = frozenset(("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff"))
IMAGES: Final = READABLE | frozenset(  # the rest is recognised, so that it is quarantined and not overlooked
    ("avif", "heic", "heif", "jp2", "jxl", "svg", "psd", "ico", "eps", "pdf", "ppm", "pgm", "pbm")
)
CAPTION_COLUMNS: Final = ("caption", "text", "TEXT", "txt")
TEXT_BYTES: Final = 16 << 20  # a caption or a sidecar larger than this is not read


@dataclasses.dataclass(frozen=True)
class Shard:
    """One piece of a pool that becomes one part."""

    path: str  # relative to the pool
    layout: str  # tar | parquet | folder
    files: tuple[str, ...]  # what it consists of; a folder's files in order


@dataclasses.dataclass
class Raw:
    """One sample as the shard has it, nothing judged yet."""

    key: str
    member: str = ""
    offset: int = 0
    image: bytes | None = None
    caption: bytes | str | None = None
    uid: Any = None
    url: Any = None
    problem: str | None = None  # why the shard itself already rules the sample out


@dataclasses.dataclass(frozen=True)
class Broken:
    """The last thing that a shard yields when not all of it could be read."""

    why: str


def bytes_of(raw: Raw | None) -> int:
    """What a raw sample holds in memory, nearly."""
    return len(raw.image) if raw is not None and raw.image is not None else 0


def ending_of(name: str) -> str:
    """What follows the last dot, in lower case; nothing where there is no dot."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def leading_nowhere(path: str) -> str:
    """A path without root, "." and "..": what becomes a key never leads out of the folder that it is written to."""
    return "/".join(part for part in path.split("/") if part not in ("", ".", ".."))


def as_text(name: str) -> str:
    """A file's or member's name as text that any file format can hold: bytes that are not UTF-8 become \\xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def json_object(data: bytes | None) -> dict[str, Any]:
    """The JSON object in `data`; empty where it is none, for a damaged sidecar costs its facts and not the sample.

    Bytes that are not UTF-8 become lone surrogates, so that a caption which holds them is found not to be UTF-8.
    """
    try:
        value = json.loads((data or b"{}").decode("utf-8", "surrogateescape").removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def caption_in(facts: dict[str, Any]) -> str | None:
    """The caption among a sidecar's facts; None where there is none that is text."""
    return next((facts[name] for name in CAPTION_COLUMNS if isinstance(facts.get(name), str)), None)
