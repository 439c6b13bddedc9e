"""Streams a tar shard: files that share a name up to the first dot are one sample (webdataset). Nothing is extracted.

A damaged header, which `tarfile` takes for the archive's end, is told from the end mark here, so that a cut archive is
known as one. All that lies before the break is kept.
"""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from tasks.reading.raw import (
    IMAGES,
    READABLE,
    TEXT_BYTES,
    Broken,
    Raw,
    Shard,
    as_text,
    caption_in,
    json_object,
    leading_nowhere,
)
from tasks.samples import DOTTED_KEY, DUPLICATE_KEY, TOO_MANY_BYTES, TRUNCATED_TAR
from tasks.storing.streams import STREAM, opened

HEADER_BYTES: Final = 1 << 20  # of one extended header (long names, PAX records)
_EXTENDED: Final = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
                    tarfile.GNUTYPE_LONGLINK)  # fmt: skip
DAMAGE: Final = (tarfile.TarError, EOFError, OSError, ValueError, LookupError, ArithmeticError, RecursionError,
                  MemoryError, zlib.error, lzma.LZMAError)  # fmt: skip  # what nonsense in headers and streams raises


@dataclasses.dataclass
class _Member:
    name: str
    ending: str  # after the first dot, lower case
    offset: int  # of its first byte in the archive, uncompressed
    data: bytes | None = None
    large: bool = False


@dataclasses.dataclass
class _Group:
    """The members of one name: bounded, whatever the archive repeats."""

    base: str
    first: dict[str, _Member] = dataclasses.field(default_factory=dict)  # by ending
    repeated: list[_Member] = dataclasses.field(default_factory=list)  # images whose ending was there before
    dotted: dict[str, _Member] = dataclasses.field(default_factory=dict)  # images by what precedes the last dot
    captioned: set[str] = dataclasses.field(default_factory=set)  # what precedes the last dot of dotted texts

    def add(self, member: _Member) -> bool:
        """Take a member in; says whether its bytes are wanted."""
        front, dot, last = member.ending.rpartition(".")
        if dot and last in IMAGES:
            self.dotted.setdefault(front, member)
        elif dot and last == "txt":
            self.captioned.add(front)
        elif member.ending not in self.first:
            self.first[member.ending] = member
            return member.ending in IMAGES or member.ending in ("txt", "json")
        elif member.ending in IMAGES:
            self.repeated.append(member)
        return False

    def kinds(self) -> set[str]:
        """Endings that are wholly there, the image's whatever it is called."""
        return {"image" if m.ending in IMAGES else m.ending for m in self.first.values() if m.data is not None}

    def whole(self, raw: Raw, needed: set[str]) -> bool:
        """Whether the last sample of a cut archive lost nothing to the cut, as far as the samples before it tell."""
        sidecar = self.first.get("json")
        cut = sidecar is not None and sidecar.data is None and not sidecar.large
        return raw.image is not None and raw.caption is not None and not cut and needed <= self.kinds()


def read_tar(shard: Shard, max_bytes: int) -> Iterator[Raw | Broken]:
    group: _Group | None = None
    always: set[str] | None = None  # what every sample so far consists of
    broken = None
    try:
        for info, read in tar_members(Path(shard.files[0])):
            parts = split_name(info.name)
            if parts is None or info.isdir():
                continue
            base, ending = parts
            if group is not None and group.base != base:
                yield from _samples(group)
                always = group.kinds() if always is None else always & group.kinds()
                group = None
            group = group or _Group(base)
            member = _Member(as_text(info.name), ending, info.offset_data)
            if group.add(member) and info.isreg():
                member.large = info.size > (max_bytes if ending in IMAGES else TEXT_BYTES)
                member.data = None if member.large else read()
    except DAMAGE as problem:
        broken = as_text(str(problem)) or type(problem).__name__
    if group is not None:
        yield from _samples(group, None if broken is None else always or set())
    if broken is not None:
        yield Broken(f"truncated tar: {broken}")


def split_name(name: str) -> tuple[str, str] | None:
    """A member's key, its path up to the basename's first dot, and the ending; None where webdataset sees no sample."""
    folder, _, last = name.rpartition("/")
    stem, dot, ending = last.partition(".")
    if not stem or not dot:
        return None
    return leading_nowhere(f"{folder}/{stem}"), ending.lower()


def _samples(group: _Group, cut: set[str] | None = None) -> Iterator[Raw]:
    """The samples of one name; `cut` is what a sample needs to be whole where the archive broke right after it."""
    key = as_text(group.base)
    image = next((m for kinds in (READABLE, IMAGES) for e, m in group.first.items() if e in kinds), None)
    dotted = [(f, m) for f, m in group.dotted.items() if image is None or f in group.captioned]
    if image is not None or not dotted:
        raw = _raw(key, group.first, image)
        if cut is not None and not group.whole(raw, cut):
            raw.problem = TRUNCATED_TAR
        yield raw
    for member in group.repeated:
        yield Raw(key, member.name, member.offset, problem=DUPLICATE_KEY)
    for front, member in dotted:
        yield Raw(as_text(f"{group.base}.{front}"), member.name, member.offset, problem=DOTTED_KEY)


def _raw(key: str, members: dict[str, _Member], image: _Member | None) -> Raw:
    raw = Raw(key)
    text, sidecar = members.get("txt"), members.get("json")
    if image is not None:
        raw.member, raw.offset, raw.image = image.name, image.offset, image.data
    if any(member is not None and member.large for member in (image, text)):
        raw.problem = TOO_MANY_BYTES
    facts = json_object(sidecar.data) if sidecar is not None else {}
    raw.uid, raw.url = facts.get("uid"), facts.get("url")
    raw.caption = text.data if text is not None else caption_in(facts)
    return raw


# --- the archive


class _Header(tarfile.TarInfo):
    """A member's header; one that is damaged raises, where `tarfile` would end without a word."""

    @classmethod
    def fromtarfile(cls, archive: Any) -> Any:
        block = archive.fileobj.read(tarfile.BLOCKSIZE)
        if not block:
            raise tarfile.ReadError("the archive has no end mark: it was cut between two members")
        try:
            header: Any = cls.frombuf(block, archive.encoding, archive.errors)
            if header.size < 0 or (header.type in _EXTENDED and header.size > HEADER_BYTES):
                raise tarfile.ReadError(f"a header announces {header.size} bytes")
            header.offset = archive.fileobj.tell() - tarfile.BLOCKSIZE
            return header._proc_member(archive)
        except tarfile.HeaderError as problem:
            if not any(block):
                raise  # a block of zeros is the end mark
            raise tarfile.ReadError(f"damaged or cut header ({problem})") from None


@contextmanager
def uncompressed(path: Path, at_once: int = STREAM) -> Iterator[IO[bytes]]:
    """The archive's bytes, whatever it is compressed with; of an object `at_once` are asked for together."""
    with opened(path, at_once) as file:
        magic = file.read(6)
        file.seek(0)
        openers = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ", lzma.open))
        opener: Any = next((opener for start, opener in openers if magic.startswith(start)), None)
        if opener is None:
            yield file
            return
        with opener(file, "rb") as stream:
            yield stream


def tar_members(path: Path) -> Iterator[tuple[tarfile.TarInfo, Callable[[], bytes]]]:
    """Members in the archive's order, each with what reads its bytes. Raises one of DAMAGE where it breaks."""
    with uncompressed(path) as file:
        archive: Any = tarfile.open(  # noqa: SIM115  # it holds nothing but the file
            fileobj=file, mode="r:", tarinfo=_Header, encoding="utf-8", errors="surrogateescape"
        )
        reached = 0
        while (info := archive.next()) is not None:
            archive.members.clear()  # else tarfile remembers every member of the shard
            if info.size < 0 or archive.offset <= reached:  # PAX records can make it go back for ever
                raise tarfile.ReadError(f"{as_text(info.name)} has an impossible size")
            reached = archive.offset
            yield info, partial(_read, archive, info)
        file.read(1 << 20)  # a compressed stream checks its sum at its end


def _read(archive: Any, info: tarfile.TarInfo) -> bytes:
    if info.issparse():
        whole: bytes = archive.extractfile(info).read()
        return whole
    archive.fileobj.seek(info.offset_data)
    data: bytes = archive.fileobj.read(info.size)
    if len(data) != info.size:
        raise tarfile.ReadError(f"{as_text(info.name)}: {info.size} bytes were announced, {len(data)} are there")
    return data
