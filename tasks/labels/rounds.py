"""A labelling round: which samples were picked for labelling, by which arm, with which model; written once.

    labels/rounds/<category>-<number>.json

The labels themselves are in the category's log: a round says what was asked, the log what was answered.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tasks.errors import LakeError
from tasks.files import TEMPORARY, sync

if TYPE_CHECKING:
    from tasks.lake import Lake


class Item(NamedTuple):
    """One sample of a round's queue."""

    uid: str
    arm: str  # prompt | false_positive | false_negative | exploration | uncertain | disagreement | certification | seed
    score: float | None  # of the round's model; None at a cold start


@dataclass(frozen=True)
class Round:
    """One round of active learning: what it stood on, what it asked, what it could report."""

    category: str
    number: int  # from 1
    created_at: str  # ISO 8601, UTC
    version: int  # the dataset version that the uids come from
    model: str  # key of the model that picked; empty at a cold start
    threshold: float | None  # on the model's score
    training: str  # digest of the labels that the model was trained on
    items: tuple[Item, ...]  # in the order in which they are asked
    certification: Mapping[str, Any] | None  # how the certification's samples were drawn
    parts: tuple[str, ...]  # the version's parts, which a certificate would cover
    report: Mapping[str, Any]


def write_round(lake: Lake, written: Round) -> Path:
    """The round's file, there whole or not at all. LakeError where a round of that number is there already."""
    path = _path(lake, written.category, written.number)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
    aside.write_text(json.dumps(asdict(written), indent=1, ensure_ascii=False, allow_nan=False), "utf-8")
    sync(aside)
    try:
        os.link(aside, path)
    except FileExistsError:
        raise LakeError(
            f"{path}: a new round was to be written, and there is one of that number: another run wrote it meanwhile; "
            "run again, and the next number is taken"
        ) from None
    finally:
        aside.unlink()
    sync(path.parent)
    return path


def read_rounds(lake: Lake, category: str) -> list[Round]:
    """A category's rounds, oldest first. LakeError names a damaged file."""
    return [_read(_path(lake, category, number)) for number in _numbers(lake, category)]


def latest_round(lake: Lake, category: str) -> Round | None:
    """The newest round, the only file that is read; None before the first."""
    numbers = _numbers(lake, category)
    return _read(_path(lake, category, numbers[-1])) if numbers else None


def _path(lake: Lake, category: str, number: int) -> Path:
    return lake.home / "labels" / "rounds" / f"{category}-{number:04d}.json"


def _numbers(lake: Lake, category: str) -> list[int]:
    pattern = re.compile(re.escape(category) + r"-(\d{4,})\.json")  # a category's name may hold a hyphen
    names = (pattern.fullmatch(path.name) for path in (lake.home / "labels" / "rounds").glob("*.json"))
    return sorted(int(name[1]) for name in names if name)


def _read(path: Path) -> Round:
    try:
        facts = json.loads(path.read_text("utf-8"))
        items = tuple(Item(str(uid), str(arm), score) for uid, arm, score in facts["items"])
        values = {**{field.name: facts[field.name] for field in fields(Round)}, "items": items}
        return Round(**{**values, "number": int(facts["number"]), "parts": tuple(facts["parts"])})
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise LakeError(
            f"{path} is damaged ({type(problem).__name__}: {problem}); restore it from a backup, or remove it: "
            "the labels are in a log of their own and stay"
        ) from None
