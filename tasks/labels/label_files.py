"""Labels from a CSV file into a category's log, and out of it.

What is brought in is checked whole before anything is appended, and bringing the same file twice changes nothing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from tasks.errors import LabelsError
from tasks.files import write_text
from tasks.given_text import read_utf8
from tasks.labels.label_log import NEGATIVE, POSITIVE, UNDO, UNSURE, Entry, Standing, fault, standings
from tasks.labels.rounds import Round
from tasks.lock import now

COLUMNS: Final = ("uid", "label")  # that a file must have; category, annotator, time, source and model may be there
WORDS: Final = {
    "1": POSITIVE, "yes": POSITIVE, "true": POSITIVE,
    "0": NEGATIVE, "no": NEGATIVE, "false": NEGATIVE,
    "unsure": UNSURE,
    "undo": UNDO,
}  # fmt: skip
STRENGTH: Final = {UNSURE: 0, NEGATIVE: 1, POSITIVE: 2}  # of one annotator's labels without a time, the strongest
IMPORT: Final = "import"  # the source of a label for a sample that no round asked about
NAMED: Final = 10  # wrong rows in a message
FIRST: Final = 5  # unknown uids in a message

Row = dict[str, str | None]


class Destination(NamedTuple):
    """Where labels are brought to."""

    category: str
    uids: Container[str]  # of the pool's samples
    entries: Sequence[Entry]  # of the category's log
    rounds: Sequence[Round]  # of the category, oldest first: they know which arm asked about a sample


class Imported(NamedTuple):
    """What a file brings; nothing is appended yet."""

    entries: tuple[Entry, ...]  # to append: in order of time, those without one last
    unknown: tuple[str, ...]  # uids that the pool has not, each once, in the file's order; their labels are left out
    repeated: int  # labels that the log holds already, or that the file gives again
    contradicting: tuple[str, ...]  # uids that the file gives both labels; the positive stands
    elsewhere: int = 0  # rows of other categories
    passed: int = 0  # annotations that say nothing: cancelled or empty

    def told(self) -> str:
        """What a person is told of it."""
        parts = (
            ("new labels", len(self.entries), ()),
            ("there already", self.repeated, ()),
            ("of other categories", self.elsewhere, ()),
            ("without an answer", self.passed, ()),
            ("uids that are not in the pool", len(self.unknown), self.unknown),
            ("uids given both labels", len(self.contradicting), self.contradicting),
        )
        return "; ".join(
            f"{what}: {count}{_named(uids)}" for what, count, uids in parts if count or what == "new labels"
        )


def import_csv(path: Path, into: Destination, annotator: str) -> Imported:
    """What a CSV file brings. `annotator` is whose labels they are where a row does not say.

    Columns: uid; label (1, 0, unsure, also yes, no, true, false; undo where the row has a time); optionally category
    (other categories' rows are passed over), annotator, time (ISO 8601; UTC where it names no zone), source, model.
    Raises LabelsError: no such file, not UTF-8, not CSV, a column missing, or wrong rows, all of them in one message.
    """
    said: list[Entry] = []
    faults: list[str] = []
    elsewhere = 0
    for line, row in _rows(path):
        if (_value(row, "category") or into.category) != into.category:
            elsewhere += 1
            continue
        found = _entry(row, into.category, annotator)
        if isinstance(found, Entry):
            said.append(found)
        else:
            faults.append(f"line {line}: {found}")
    refuse(path, faults)
    if not said:
        raise LabelsError(
            f"{path}: labels of category {into.category!r} were expected, {elsewhere} of others were found"
        )
    return new_entries(said, into)._replace(elsewhere=elsewhere)


def new_entries(said: Sequence[Entry], into: Destination) -> Imported:
    """What of `said` is new to the log. An entry without a time was said now; one without a source gets its round's.

    With a time: new unless the log has the annotator's same label of that time. Without one: the strongest of the
    annotator's labels of the sample counts, and it is new unless it stands already.
    """
    unknown = tuple(dict.fromkeys(entry.uid for entry in said if entry.uid not in into.uids))
    known = [entry for entry in said if entry.uid in into.uids]
    timed = sorted((entry for entry in known if entry.time), key=lambda entry: entry.time)
    logged = {_identity(entry._replace(time=utc(entry.time))) for entry in into.entries}
    fresh = [entry for entry in timed if _identity(entry) not in logged]
    untimed = [entry for entry in known if not entry.time]
    fresh += _untimed(untimed, standings([*into.entries, *fresh]))
    contradicting = _contradicting(timed, untimed)
    return Imported(tuple(_asked(fresh, into.rounds)), unknown, len(known) - len(fresh), contradicting)


def refuse(path: Path, faults: Sequence[str]) -> None:
    """LabelsError where anything in a file is wrong."""
    if faults:
        more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        raise LabelsError(
            f"{path}: {'; '.join(faults[:NAMED])}{more}. Nothing was imported: correct the file and import it again"
        )


def utc(time: str) -> str:
    """An ISO 8601 time in UTC, to the microsecond where it has any; one without a zone is taken as UTC."""
    moment = datetime.fromisoformat(time)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()


def read_text(path: Path) -> str:
    """A file's text. LabelsError where there is none that is UTF-8."""
    return read_utf8(path, "a file of labels", LabelsError, "line")


def export_log(entries: Iterable[Entry], path: Path) -> int:
    """The log's rows as they were said; `import_csv` takes them back. Returns how many."""
    return _write(path, Entry._fields, entries)


def export_standing(given: Mapping[str, Standing], category: str, path: Path) -> int:
    """One row a uid with the label that stands, as `filter.category.labels` reads it. Returns how many.

    Samples of which all that was said is `unsure` have no label and no row.
    """
    rows = [
        (uid, category, POSITIVE if one.label else NEGATIVE)
        for uid, one in sorted(given.items())
        if one.label is not None
    ]
    return _write(path, Entry._fields[:3], rows)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    written = list(rows)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *written])
    write_text(path, text.getvalue())
    return len(written)


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Line number in the file and values by column."""
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        found = reader.fieldnames or ()
        if any(name not in found for name in COLUMNS) or len(set(found)) < len(found):
            raise LabelsError(
                f"{path}: the columns {', '.join(COLUMNS)}, and each once, were expected, "
                f"found: {', '.join(found) or 'an empty file'}"
            )
        for row in reader:
            yield reader.line_num, row
    except csv.Error as problem:
        raise LabelsError(
            f"{path}, after line {reader.line_num}: not CSV: {problem}; save the file as CSV again"
        ) from None


def _entry(row: Row, category: str, annotator: str) -> Entry | str:
    """The entry of a row, its time and source empty where the row has none; or what is wrong with the row."""
    if None in row:
        return f"{len(row) - 1} values were expected, more were found"
    label, time = WORDS.get(_value(row, "label").lower()), _value(row, "time")
    if label is None or (label == UNDO and not time):
        return f"label: 1, 0 or unsure was expected, {_value(row, 'label')!r} was found"
    try:
        time = utc(time) if time else ""
    except (ValueError, OverflowError):
        return f"time: an ISO 8601 time was expected, {time!r} was found"
    uid, who = _value(row, "uid").lower(), _value(row, "annotator") or annotator
    entry = Entry(uid, category, label, who, time, _value(row, "source"), _value(row, "model"))
    return fault(entry._replace(time=time or now(), source=entry.source or IMPORT)) or entry


def _value(row: Row, name: str) -> str:
    return (row.get(name) or "").strip()


def _identity(entry: Entry) -> tuple[str, str, str, str]:
    return entry.uid, entry.label, entry.annotator, entry.time


def _untimed(said: Sequence[Entry], standing: Mapping[str, Standing]) -> list[Entry]:
    """The strongest of each annotator's labels of a sample, where it does not stand already."""
    strongest: dict[tuple[str, str], Entry] = {}
    for entry in said:
        before = strongest.setdefault((entry.uid, entry.annotator), entry)
        if STRENGTH[entry.label] > STRENGTH[before.label]:
            strongest[entry.uid, entry.annotator] = entry
    return [entry for entry in strongest.values() if not _stands(entry, standing.get(entry.uid))]


def _stands(entry: Entry, standing: Standing | None) -> bool:
    if standing is None:
        return False
    who = {POSITIVE: standing.positive, NEGATIVE: standing.negative, UNSURE: standing.unsure}[entry.label]
    return entry.annotator in who


def _asked(entries: Sequence[Entry], rounds: Sequence[Round]) -> Iterator[Entry]:
    """The entries with time, source and model; those of the newest round that asked where the file does not say."""
    asked = {item.uid: (item.arm, one.model) for one in rounds for item in one.items}
    moment = now()
    for entry in entries:
        source, model = asked.get(entry.uid, (IMPORT, ""))
        if entry.source:
            source, model = entry.source, entry.model
        yield entry._replace(time=entry.time or moment, source=source, model=model)


def _contradicting(timed: Sequence[Entry], untimed: Sequence[Entry]) -> tuple[str, ...]:
    """uids that annotators disagree on, or that one gave both labels without a time that tells which is the later."""
    uids = {uid for uid, one in standings([*timed, *untimed]).items() if one.disagree}
    labels: dict[str, set[str]] = {}
    for entry in untimed:
        labels.setdefault(entry.uid, set()).add(entry.label)
    return tuple(sorted(uids | {uid for uid, found in labels.items() if {POSITIVE, NEGATIVE} <= found}))


def _named(uids: Sequence[str]) -> str:
    if not uids:
        return ""
    return f" ({', '.join(uids[:FIRST])}{' …' if len(uids) > FIRST else ''})"
