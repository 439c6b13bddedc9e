"""A labeller's desk: what comes next, what was answered, what is taken back, where annotators disagree.

Everyone goes through the whole queue on their own, in an order of their own that tells nothing of the arm which picked
a sample. The log is the only state: a desk that is opened again, or in a second window, stands where the log stands.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.classifying.blocklist import blocked_rows
from tasks.classifying.given import SEED, log_path
from tasks.errors import UsageError
from tasks.files import read_table
from tasks.labels.label_files import IMPORT
from tasks.labels.label_log import ADJUDICATION, UNDO, Entry, Tail, append, standings
from tasks.labels.rounds import Round, latest_round
from tasks.lake import Lake, Version

LONGEST_NAME: Final = 40  # characters


class Card(NamedTuple):
    """What a labeller may know of a sample: not which arm picked it, nor its score."""

    uid: str
    row: int | None  # in the round's version; None where the version lacks it
    caption: str
    name: str  # of the file in the pool


class Progress(NamedTuple):
    answered: int  # by this annotator, in this round
    covered: int  # by anyone, in this round
    total: int
    withheld: int  # of the queue, never displayed


class Dispute(NamedTuple):
    """A sample that annotators disagree on, and what each of them last said."""

    card: Card
    said: tuple[Entry, ...]


@dataclass(frozen=True)
class Queue:
    """A round and what can be shown of it; desks share it."""

    round: Round
    version: Version
    arms: Mapping[str, str]  # uid → the arm that picked it; a uid that was drawn twice is asked once
    known: dict[str, Card]

    def cards(self, uids: Sequence[str]) -> list[Card]:
        """The cards of uids; those that are new here are looked up in the version once."""
        new = [uid for uid in uids if uid not in self.known]
        if new:
            self.known.update(find_cards(self.version, new))
        return [self.known[uid] for uid in uids]


def open_queue(lake: Lake, category: str) -> Queue:
    """The newest round's queue. UsageError where there is none; LakeError names a damaged round."""
    found = latest_round(lake, category)
    if found is None:
        raise UsageError(f"category {category!r} has no round yet; begin with `sluice label next {category}`")
    arms: dict[str, str] = {}
    for item in found.items:
        arms.setdefault(item.uid, item.arm)
    queue = Queue(found, lake.version(found.version), arms, {})
    queue.cards(list(arms))
    return queue


def newest_rounds(lake: Lake) -> dict[str, int]:
    """Category → number of its newest round, by the files' names: cheap enough to ask before every answer."""
    out: dict[str, int] = {}
    for path in (lake.home / "labels" / "rounds").glob("*.json"):
        name = re.fullmatch(r"([a-z0-9_-]+)-(\d{4,})", path.stem)
        if name:
            out[name[1]] = max(out.get(name[1], 0), int(name[2]))
    return dict(sorted(out.items()))


def find_cards(version: Version, uids: Iterable[str]) -> dict[str, Card]:
    """uid → card, in one pass over the version's samples; of samples with the same uid the first."""
    out = {uid: Card(uid, None, "", "") for uid in uids}
    wanted, start = pa.array(list(out), pa.string()), 0
    for part in version.parts:
        path = version.column_path("samples", part)
        rows = np.flatnonzero(pc.is_in(read_table(path, ["uid"])["uid"], value_set=wanted).to_numpy())
        if len(rows):
            facts = read_table(path, ["uid", "caption", "member"]).take(rows).to_pylist()
            for row, sample in zip(rows.tolist(), facts, strict=True):
                if out[sample["uid"]].row is None:
                    out[sample["uid"]] = Card(
                        sample["uid"], start + row, sample["caption"] or "", sample["member"] or ""
                    )
        start += part.rows
    return out


def blocked_uids(version: Version) -> frozenset[str]:
    """What is never displayed: the blocklist's matches."""
    rows = np.flatnonzero(blocked_rows(version))
    return frozenset(version.table("samples", ["uid"])["uid"].take(rows).to_pylist() if len(rows) else ())


def annotator_name(text: str) -> str:
    """The name under which answers are written. UsageError where it cannot be one."""
    name = " ".join(text.split())
    if not name[:1].isalnum() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise UsageError(f"a name starts with a letter or a digit and has up to {LONGEST_NAME} characters")
    return name


class Desk:
    """One annotator's place at a queue. Samples in `excluded` (the blocklist's matches) are never handed out."""

    def __init__(self, queue: Queue, annotator: str, excluded: frozenset[str] = frozenset()) -> None:
        self.queue = queue
        self.annotator = annotator
        self.excluded = excluded
        self.order = _order(queue, annotator, excluded)
        self.tail = Tail(log_path(queue.version.lake, queue.round.category), queue.round.category)
        self._since = datetime.fromisoformat(queue.round.created_at).astimezone(UTC)
        self._latest = self._since  # time of this annotator's latest answer
        self._entries: dict[str, list[Entry]] = {}  # uid → all that was ever said of it, in order
        self._mine: dict[str, list[Entry]] = {}  # uid → this annotator's, of this round, not taken back
        self._answered: set[str] = set()  # of the order, by this annotator
        self._covered: set[str] = set()  # of the order, by anyone
        self._disputed: dict[str, tuple[Entry, ...]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take in what was appended to the log since the last look, by whomever."""
        changed = {}
        for entry in self.tail.new():
            self._entries.setdefault(entry.uid, []).append(entry)
            changed[entry.uid] = True
        for uid in changed:
            self._settle(uid)

    def _settle(self, uid: str) -> None:
        """What one sample's entries come to."""
        standing = _not_taken_back(self._entries[uid])
        recent = [entry for entry in standing if datetime.fromisoformat(entry.time) >= self._since]
        self._mine[uid] = [entry for entry in recent if entry.annotator == self.annotator]
        self._latest = max([self._latest, *(datetime.fromisoformat(entry.time) for entry in self._mine[uid])])
        if uid in self.queue.arms and uid not in self.excluded:
            (self._answered.add if self._mine[uid] else self._answered.discard)(uid)
            (self._covered.add if recent else self._covered.discard)(uid)
        told = [entry for entry in standing if entry.source != SEED]  # what tests the annotators settles nothing
        if uid not in self.excluded and any(one.disagree for one in standings(told).values()):
            self._disputed[uid] = tuple({entry.annotator: entry for entry in told}.values())
        else:
            self._disputed.pop(uid, None)

    def said(self, uid: str) -> str | None:
        """This annotator's answer in this round; an answer of an earlier round is asked for again."""
        mine = self._mine.get(uid)
        return mine[-1].label if mine else None

    def pending(self, count: int) -> list[Card]:
        """The next samples without an answer."""
        return self.queue.cards(list(islice((uid for uid in self.order if uid not in self._answered), count)))

    def pages(self, size: int) -> list[tuple[str, ...]]:
        """The queue cut into pages of a grid, always in the same way."""
        return [self.order[start : start + size] for start in range(0, len(self.order), size)]

    def answer(self, answers: Mapping[str, str]) -> None:
        """Append uid → 1 | 0 | unsure in one write; they are on the disk when this returns. An answer that stands
        already is not written again. Raises as `label_log.append` does.
        """
        new = {uid: label for uid, label in answers.items() if self.said(uid) != label}
        self._append({uid: (label, self.queue.arms[uid]) for uid, label in new.items()})

    def adjudicate(self, uid: str, label: str) -> None:
        """Append an answer that settles what others disagree on."""
        self._append({uid: (label, ADJUDICATION)})

    def undo(self) -> tuple[str, ...]:
        """Take back what this annotator answered last, be it one sample or several at once; returns their uids."""
        last = {uid: mine[-1] for uid, mine in self._mine.items() if mine and mine[-1].source != IMPORT}
        newest = max((entry.time for entry in last.values()), default=None)
        uids = tuple(uid for uid, entry in last.items() if entry.time == newest)
        self._append({uid: (UNDO, last[uid].source) for uid in uids})
        return uids

    def disputes(self) -> list[Dispute]:
        """What annotators disagree on and nobody settled, in any round."""
        cards = self.queue.cards(list(self._disputed))
        return [Dispute(card, said) for card, said in zip(cards, self._disputed.values(), strict=True)]

    @property
    def progress(self) -> Progress:
        withheld = len(self.queue.arms) - len(self.order)
        return Progress(len(self._answered), len(self._covered), len(self.order), withheld)

    def _append(self, said: Mapping[str, tuple[str, str]]) -> None:
        """uid → (label, source), under one time: what was answered at once is taken back at once."""
        refused = [uid for uid, (label, _) in said.items() if uid in self.excluded and label != UNDO]
        if refused:
            raise UsageError(f"{refused[0]} is withheld from labelling: it matches the blocklist")
        category, model = self.queue.round.category, self.queue.round.model
        # The clocks of machines differ: an answer is later than its round, and than the answer before it.
        time = max(datetime.now(UTC), self._latest + timedelta(microseconds=1)).isoformat(timespec="microseconds")
        entries = [
            Entry(uid, category, label, self.annotator, time, source, model) for uid, (label, source) in said.items()
        ]
        append(self.tail.path, entries)
        self.refresh()


def _order(queue: Queue, annotator: str, excluded: frozenset[str]) -> tuple[str, ...]:
    """A shuffle that is the annotator's own and the same at every visit: a place tells nothing of the arm."""
    order = sorted(uid for uid in queue.arms if uid not in excluded)
    random.Random(f"{queue.round.category} {queue.round.number} {annotator}").shuffle(order)
    return tuple(order)


def _not_taken_back(entries: Iterable[Entry]) -> list[Entry]:
    """Entries in order, without `undo` and without what each of them took back."""
    out: list[Entry] = []
    for entry in entries:
        if entry.label != UNDO:
            out.append(entry)
            continue
        mine = [place for place, other in enumerate(out) if other.annotator == entry.annotator]
        if mine:
            out.pop(mine[-1])
    return out
