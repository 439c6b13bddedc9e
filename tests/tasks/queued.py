"""A lake whose newest round waits to be labelled: what the desk and the labelling page are tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks import committing
from tasks.labels.label_log import Entry, append
from tasks.labels.rounds import Item, Round, write_round
from tasks.lake import Lake, Version
from tests.tasks.decided_pool import ingested, samples, write_tars

BEGAN = "2026-03-01T08:00:00+00:00"
EARLIER = "2026-02-01T08:00:00+00:00"
LATER = "2026-03-02T08:00:00+00:00"
FACTS = {
    "parent": None, "previous": None, "run": "r", "gate": None, "code": None, "created_at": EARLIER,
    "complete": True, "inputs": {},
}  # fmt: skip
SCORE = 0.73125
SPECIFICATION = {"counts": "A clock face, drawn or photographed.", "counts_not": "A wheel, a plate, a coin."}
HOSTILE = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[press](javascript:alert(1))",
    "![seen](https://example.org/track.png)", ":smile: :red[stop] :material/bomb:", "$\\sqrt{x}$ $$y$$",
    "# a head\n\n- a list", "`code` **bold** ~~gone~~", "</style><style>*{display:none}", "&lt;b&gt; \u202eabc",
    "", "x" * 5000,
)  # fmt: skip


def committed(draft: Version) -> Version:
    return committing.commit(draft, committing.content(draft), FACTS)


def pictured(folder: Path, captions: Sequence[str] = (), count: int = 12) -> Version:
    """A committed version of drawn images; the first samples have the given captions."""
    items = samples(max(count, len(captions)))
    named = [(ending, image, caption) for (ending, image, _), caption in zip(items, captions, strict=False)]
    return committed(ingested(folder / "lake", write_tars(folder / "pool", [*named, *items[len(named) :]])))


def uids_of(version: Version) -> list[str]:
    found: list[str] = version.table("samples", ["uid"])["uid"].to_pylist()
    return found


def queued(version: Version, arms: Mapping[str, str] | None = None, number: int = 1, **facts: Any) -> Round:
    """The version's samples as a round's queue, half of them for certification."""
    arms = arms or {uid: "certification" if i % 2 else "prompt" for i, uid in enumerate(uids_of(version))}
    assert version.number is not None
    values: dict[str, Any] = {
        "category": "clock", "number": number, "created_at": BEGAN, "version": version.number, "model": "m1",
        "threshold": 0.4, "training": "t1", "certification": None, "parts": tuple(p.part for p in version.parts),
        "report": {"specification": SPECIFICATION}, "items": tuple(Item(uid, arm, SCORE) for uid, arm in arms.items()),
    }  # fmt: skip
    made = Round(**{**values, **facts})
    write_round(version.lake, made)
    return made


def say(lake: Lake, uid: str, label: str, annotator: str, time: str = LATER, source: str = "prompt") -> None:
    """Append one entry as another page, or an earlier one, would have."""
    append(lake.home / "labels" / "clock.csv", [Entry(uid, "clock", label, annotator, time, source, "m1")])
