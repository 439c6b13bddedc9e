"""Tar shards for tests: read, cut, or made of headers that no program would write."""

from __future__ import annotations

import tarfile
from pathlib import Path

from tasks.reading.raw import Broken, Raw, Shard
from tasks.reading.read_tar import read_tar
from tests.small_pool import LIMIT


def read(path: Path, limit: int = LIMIT) -> tuple[list[Raw], str | None]:
    items = list(read_tar(Shard(path.name, "tar", (str(path),)), limit))
    broken = [item.why for item in items if isinstance(item, Broken)]
    assert all(isinstance(item, Raw) for item in items[: len(items) - len(broken)])
    return [item for item in items if isinstance(item, Raw)], broken[0] if broken else None


def told(raws: list[Raw]) -> list[tuple[str, str | None]]:
    return [(raw.key, raw.problem) for raw in raws]


def cut(path: Path, size: int) -> Path:
    path.write_bytes(path.read_bytes()[:size])
    return path


def offsets(path: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(path) as tar:
        return {info.name: info for info in tar}


def header(name: bytes, size: bytes, kind: bytes = b"0") -> bytes:
    """A header with a right sum, whatever its fields say."""
    fields = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size.rjust(12, b"0") + b"00000000000\0"
    block = bytearray((fields + b" " * 8 + kind).ljust(257, b"\0") + b"ustar\x0000").ljust(512, b"\0")
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(*records: bytes) -> bytes:
    body = b"".join(records)
    return header(b"pax", b"%011o\0" % len(body), b"x") + body.ljust(-(-len(body) // 512) * 512, b"\0")
