"""A category's labels: an append-only log, one line a thing said, and what stands when all of it is read.

A label that a person gave is the scarcest thing in the lake. So a line is written whole, synced before it is
acknowledged, and never changed: who corrects a label appends another, who takes one back appends `undo`.
"""

from __future__ import annotations

import csv
import fcntl
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from tasks.errors import LakeError, UsageError
from tasks.files import sync
from tasks.storing.copying import refuse

POSITIVE: Final = "1"
NEGATIVE: Final = "0"
UNSURE: Final = "unsure"
UNDO: Final = "undo"  # takes back the annotator's latest entry for the uid
LABELS: Final = (POSITIVE, NEGATIVE, UNSURE, UNDO)
ADJUDICATION: Final = "adjudication"  # source of an entry that settles what annotators disagree about

LONGEST: Final = 200  # characters of a value; the csv module reads none above 131,072
_UID: Final = re.compile(r"[0-9a-f]{32}")
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # breaks a line, or has no UTF-8
_NOT_ENDED: Final = "the line has no end: its writer was stopped before it was acknowledged"


class Entry(NamedTuple):
    """One line of the log: something that an annotator said of a sample."""

    uid: str  # 32 hex digits, lower case
    category: str
    label: str  # 1 | 0 | unsure | undo
    annotator: str
    time: str  # ISO 8601, UTC
    source: str  # the arm that picked the sample, or `import`
    model: str  # key of the model that picked it; empty where none did


class Log(NamedTuple):
    """What a log holds. A damaged line is never used and never dropped in silence."""

    entries: tuple[Entry, ...]  # in the order in which they were appended
    damaged: tuple[tuple[int, str], ...]  # number of the line, what is wrong with it


class Standing(NamedTuple):
    """What is known of one sample: the annotators by what each of them last said and did not take back."""

    label: bool | None  # positive where annotators disagree: recall first; None where all are unsure
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    unsure: tuple[str, ...]
    adjudicated: bool = False  # the last adjudication stands, whatever others said

    @property
    def disagree(self) -> bool:
        return bool(self.positive) and bool(self.negative) and not self.adjudicated


def append(path: Path, entries: Sequence[Entry]) -> None:
    """Append entries to a log and return when they are on the disk. A kill may leave the first of them, each whole.

    Raises UsageError, naming the value, where an entry cannot be one; LakeError where the disk does not take them all:
    then none was appended.
    """
    for entry in entries:
        problem = fault(entry)
        if problem:
            raise UsageError(f"{path}: {problem}; nothing was appended")
    if not entries:
        return
    refuse(path, "labelling")
    with _locked(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, fcntl.LOCK_EX) as file:
        size = os.fstat(file.fileno()).st_size
        _write(file, path, size, _opening(file, size) + "".join(map(_line, entries)).encode())
    if size == 0:
        sync(path.parent)


def read_log(path: Path, category: str) -> Log:
    """All of a category's log; an absent file is an empty log. LakeError where it cannot be opened."""
    if not path.exists():
        return Log((), ())
    with _locked(path, os.O_RDONLY, fcntl.LOCK_SH) as file:
        return _parse(file.read(), category)


class Tail:
    """Follows a log: each look reads only what was appended since the last."""

    def __init__(self, path: Path, category: str) -> None:
        self.path = path
        self.category = category
        self.damaged: list[tuple[int, str]] = []  # of all that was read so far
        self._read = 0  # bytes
        self._lines = 0

    def new(self) -> list[Entry]:
        """The entries since the last look, in order. LakeError where the log became shorter."""
        data = self._appended()
        whole = data[: data.rfind(b"\n") + 1]  # a line without an end was never acknowledged
        found = _parse(whole, self.category, self._lines)
        self._read += len(whole)
        self._lines += whole.count(b"\n")
        self.damaged.extend(found.damaged)
        return list(found.entries)

    def _appended(self) -> bytes:
        size, data = 0, b""
        if self.path.exists():
            with _locked(self.path, os.O_RDONLY, fcntl.LOCK_SH) as file:  # a write that fails is cut off again
                size = file.seek(0, os.SEEK_END)
                file.seek(self._read)
                data = file.read()
        if size < self._read:
            raise LakeError(
                f"{self.path}: {self._read} bytes or more were expected, {size} were found: the log of labels is only "
                "ever appended to, and somebody cut or removed it; restore it from a backup and open the page again"
            )
        return data


def standings(entries: Iterable[Entry]) -> dict[str, Standing]:
    """uid → what stands. Last is what was appended last, whatever its time; a uid with nothing left is absent."""
    said: dict[str, list[Entry]] = {}
    for entry in entries:
        kept = said.setdefault(entry.uid, [])
        if entry.label != UNDO:
            kept.append(entry)
            continue
        mine = [place for place, other in enumerate(kept) if other.annotator == entry.annotator]
        if mine:
            kept.pop(mine[-1])
    return {uid: _standing(kept) for uid, kept in said.items() if kept}


def fault(entry: Entry) -> str | None:
    """Why an entry cannot stand in a log, as a phrase that names the value; None where it can."""
    if not _UID.fullmatch(entry.uid):
        return f"uid: 32 hex digits in lower case were expected, {entry.uid!r} was found"
    if entry.label not in LABELS:
        return f"label: {', '.join(LABELS)} were expected, {entry.label!r} was found"
    if not _is_utc(entry.time):
        return f"time: an ISO 8601 time in UTC was expected, {entry.time!r} was found"
    for name in ("category", "annotator", "source"):
        if not getattr(entry, name):
            return f"{name}: a name was expected, nothing was found"
    for name, value in entry._asdict().items():
        if not is_plain(value):
            found = f"{value[:LONGEST]!r} was found"
            return f"{name}: at most {LONGEST} characters of one line, none of control, were expected, {found}"
    return None


def is_plain(value: str) -> bool:
    """Whether a value keeps to its line: no control character, no space at its ends, not too long."""
    return len(value) <= LONGEST and value == value.strip() and not _UNFIT.search(value)


@contextmanager
def _locked(path: Path, flags: int, lock: int) -> Iterator[BinaryIO]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, flags, 0o666)
    except OSError as problem:
        raise LakeError(
            f"{path}: a log of labels was expected that may be read and appended to: {problem.strerror}; "
            "see whose the file and its folder are"
        ) from None
    with os.fdopen(descriptor, "r+b" if flags & os.O_RDWR else "rb", buffering=0) as file:
        fcntl.flock(file, lock)
        yield file  # the lock goes when the file is closed


def _opening(file: BinaryIO, size: int) -> bytes:
    """What has to stand before new lines: the header, or the end of a line that a killed writer left open."""
    if size == 0:
        return ",".join(Entry._fields).encode() + b"\n"
    if os.pread(file.fileno(), 1, size - 1) != b"\n":
        # One value too many: what was cut within its last value must not pass for an entry.
        return b"," * len(Entry._fields) + b"\n"
    return b""


def _write(file: BinaryIO, path: Path, size: int, data: bytes) -> None:
    """One write; what the disk took of an incomplete one is cut off again."""
    try:
        if file.write(data) == len(data):
            os.fsync(file.fileno())
            return
        problem = "only a part of it was taken"
    except OSError as error:
        problem = error.strerror or str(error)
    os.ftruncate(file.fileno(), size)
    raise LakeError(f"{path}: the labels were not stored: {problem}; make room on the disk and give them again")


def _line(entry: Entry) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(entry)
    return text.getvalue()


def _parse(data: bytes, category: str, before: int = 0) -> Log:
    """The entries of a log's bytes; `before` lines were read earlier."""
    entries, damaged = [], []
    lines = data.split(b"\n")
    for number, line in enumerate(lines, before + 1):
        if number == before + len(lines):
            found: Entry | str = _NOT_ENDED  # what follows the last newline
        else:
            found = _entry(line, category)
        if isinstance(found, Entry):
            entries.append(found)
        elif line and not (number == 1 and _is_header(line)):
            damaged.append((number, found))
    return Log(tuple(entries), tuple(damaged))


def _entry(line: bytes, category: str) -> Entry | str:
    """The entry of a line, or what is wrong with it."""
    try:
        values = next(csv.reader([line.decode("utf-8").rstrip("\r")], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as problem:
        return f"not a line of CSV in UTF-8: {problem}"
    if len(values) != len(Entry._fields):
        return f"{len(Entry._fields)} values were expected, {len(values)} were found"
    entry = Entry(*values)
    if entry.category != category:
        return f"category: {category!r} was expected, {entry.category!r} was found"
    return fault(entry) or entry


def _is_header(line: bytes) -> bool:
    return line.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r") == ",".join(Entry._fields).encode()


def _standing(kept: Sequence[Entry]) -> Standing:
    """What stands of a sample's entries, in order, none of them taken back."""
    last = {entry.annotator: entry.label for entry in kept}
    positive, negative, unsure = (
        tuple(sorted(name for name, label in last.items() if label == wanted))
        for wanted in (POSITIVE, NEGATIVE, UNSURE)
    )
    settled = [entry.label for entry in kept if entry.source == ADJUDICATION]
    if settled:
        return Standing({POSITIVE: True, NEGATIVE: False}.get(settled[-1]), positive, negative, unsure, True)
    return Standing(bool(positive) if positive or negative else None, positive, negative, unsure)


def _is_utc(time: str) -> bool:
    try:
        return datetime.fromisoformat(time).utcoffset() == timedelta(0)
    except ValueError:
        return False
