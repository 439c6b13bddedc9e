"""What people said of a category, and what of it may train: the labels file, the lake's log, less what certifies.

Labels that were drawn to certify a model must not train it, and those that were picked in the same round would make
another model of it. Both are held back while their round is the newest; when another round is begun they train like
any other, and certify nothing any more. METHODS.md, section 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tasks.classifying.category_spec import Category
from tasks.errors import LabelsError
from tasks.labels.label_log import Entry, Log, Standing, read_log, standings
from tasks.labels.labels import read_labels
from tasks.labels.rounds import Round, latest_round
from tasks.lake import Lake

CERTIFICATION: Final = "certification"  # source of labels drawn at random for a frozen model
SEED: Final = "seed"  # source of labels that measure the annotators: known positives shown again
FILE: Final = "the labels file"  # its annotator, where it disagrees with the log


class Given(NamedTuple):
    """A category's labels by uid, in order of uid. Where annotators disagree the positive stands: recall first."""

    labels: Mapping[str, bool]  # all: a person's label overrides the score
    training: Mapping[str, bool]  # those that a model may be trained on
    contradicting: tuple[str, ...]  # uids that were given both labels
    unsure: int  # uids of which nothing but `unsure` was said
    damaged: int  # lines of the log that cannot be read

    @property
    def reserved(self) -> int:
        return len(self.labels.keys() - self.training.keys())


def log_path(lake: Lake, category: str) -> Path:
    return lake.home / "labels" / f"{category}.csv"


def given(lake: Lake, category: Category, *, next_round: bool = False) -> Given:
    """The category's labels; `next_round`: as they train in a round that is about to begin, when none is held back.

    LabelsError where there are none at all, or where its file cannot be read.
    """
    log = read_log(log_path(lake, category.name), category.name)
    entries = [entry for entry in log.entries if entry.source != SEED]
    file = _file(category)
    held = frozenset() if next_round else reserved(latest_round(lake, category.name))
    used = [entry for entry in entries if (entry.uid, entry.source) not in held]
    everything, training = _merged(file, standings(entries)), _merged(file, standings(used))
    if not everything:
        raise LabelsError(nothing(category, log))
    return Given(
        {uid: one.label for uid, one in everything.items() if one.label is not None},
        {uid: one.label for uid, one in training.items() if one.label is not None},
        tuple(uid for uid, one in everything.items() if one.disagree),
        sum(one.label is None for one in everything.values()),
        len(log.damaged),
    )


def reserved(newest: Round | None) -> frozenset[tuple[str, str]]:
    """uid and source of the labels that may not train yet."""
    if newest is None or newest.certification is None:
        return frozenset()
    return frozenset((item.uid, item.arm) for item in newest.items)


def all_standings(lake: Lake, category: Category) -> dict[str, Standing]:
    """uid → what stands of the file and the log together, the annotators' tests left out; empty where nothing is."""
    log = read_log(log_path(lake, category.name), category.name)
    return _merged(_file(category), standings(entry for entry in log.entries if entry.source != SEED))


def seed_entries(lake: Lake, category: str) -> list[Entry]:
    """What was said of known positives that were shown again."""
    return [entry for entry in read_log(log_path(lake, category), category).entries if entry.source == SEED]


def nothing(category: Category, log: Log) -> str:
    """What to do where nothing is labelled."""
    damaged = f" ({len(log.damaged)} lines of its log cannot be read)" if log.damaged else ""
    return (
        f"category {category.name!r}: labels were expected, none were found{damaged}; begin with "
        f"`sluice label next {category.name}`, bring some with `sluice label import {category.name} FILE`, or name a "
        "file of them as `labels` in the configuration"
    )


def _file(category: Category) -> dict[str, Standing]:
    if not category.labels:
        return {}
    found = read_labels(Path(category.labels), category.name)
    twice = set(found.contradicting)
    return {
        uid: Standing(label, (FILE,) if label or uid in twice else (), (FILE,) if not label or uid in twice else (), ())
        for uid, label in found.by_uid.items()
    }


def _merged(file: Mapping[str, Standing], log: Mapping[str, Standing]) -> dict[str, Standing]:
    return {uid: _both([one[uid] for one in (file, log) if uid in one]) for uid in sorted(file.keys() | log.keys())}


def _both(found: list[Standing]) -> Standing:
    settled = [one for one in found if one.adjudicated]
    if settled or len(found) == 1:
        return (settled or found)[0]
    positive, negative, unsure = (
        tuple(name for one in found for name in getattr(one, said)) for said in ("positive", "negative", "unsure")
    )
    return Standing(bool(positive) if positive or negative else None, positive, negative, unsure)
