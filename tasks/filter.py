"""Filter: what belongs to a category that the team does not want to train on goes, recall before precision.

The article trained classifiers on a few hundred labels a category and set their thresholds for recall: good data that
is removed can be added back, but a model cannot unlearn. Here: a linear classifier on the embedding, cross-validated;
the threshold reaches the wanted recall on labelled positives; a person's label overrides the score. METHODS.md,
section 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks import certify, removal, scoring
from tasks.errors import ConfigError, LabelsError
from tasks.files import write_table
from tasks.labels import Labels, read_labels
from tasks.samples import FILTERED, KEPT

if TYPE_CHECKING:
    from tasks.lake import MapParts, Version

REVISION = 1
NAMED: Final = 5  # contradicting uids in the summary


@dataclass(frozen=True)
class Category:
    name: str  # [a-z0-9_-]+
    labels: str  # path of a CSV file: uid, category, label; its content counts, not where it lies
    recall: float = 0.99  # wanted share of the labelled positives that the threshold reaches, in (0, 1]
    confidence: float = 0.95  # of the bound, in (0, 1)

    def __post_init__(self) -> None:
        where = f"filter.category {self.name!r}"
        if not re.fullmatch(r"[a-z0-9_-]+", self.name):
            raise ConfigError(f"{where}: a name of a to z, 0 to 9, _ and - was expected")
        if not self.labels:
            raise ConfigError(f"{where}: labels: the path of a labels file was expected, nothing was found")
        if not 0 < self.recall <= 1:
            raise ConfigError(f"{where}: recall: above 0 and at most 1 was expected, {self.recall!r} was found")
        if not 0 < self.confidence < 1:
            raise ConfigError(f"{where}: confidence: between 0 and 1 was expected, {self.confidence!r} was found")


@dataclass(frozen=True)
class Config:
    category: tuple[Category, ...] = ()  # none: everything is kept
    folds: int = 5  # of the cross-validation; fewer where a class has fewer images

    def __post_init__(self) -> None:
        names = [category.name for category in self.category]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ConfigError(f"filter.category: each name once was expected, {repeated[0]!r} was found again")
        if not 2 <= self.folds <= 20:
            raise ConfigError(f"filter.folds: 2 to 20 were expected, {self.folds!r} was found")


class Pool(NamedTuple):
    """The version's samples, row by row."""

    table: pa.Table  # uid, sha256
    usable: NDArray[np.bool_]


def run(version: Version, config: Config, map_parts: MapParts) -> Version:
    """The version with what belongs to a category filtered; artifacts `model.<category>` and `curve.<category>`.

    Raises LabelsError where a category's labels cannot be read, or are all of one class.
    """
    pool = read_pool(version)
    categories = sorted(config.category, key=lambda category: category.name)
    labels = {category.name: read_labels(Path(category.labels), category.name) for category in categories}
    labelled = {category.name: match(pool, labels[category.name], category) for category in categories}
    models = {name: scoring.model(version, name, found, config.folds) for name, found in labelled.items()}
    columns = scoring.score_missing(version, models, map_parts)
    draft = version.derive(
        "filter",
        columns=columns,
        artifacts={f"model.{name}": key for name, key in models.items()},
        config=settings(config, labels),
    )
    judged = [judge(draft, category, labelled[category.name]) for category in categories]
    curves = {f"curve.{one.name}": write_curve(draft, one, pool) for one in judged}
    keys = [[one.name, columns[f"score.{one.name}"], one.threshold] for one in judged]
    key = version.lake.key("filter", REVISION, version.columns["decision"], keys)
    draft.write_decision(decide(version.table("decision"), judged, pool.usable), key)
    facts = {
        one.name: {
            **label_facts(pool, labels[one.name], labelled[one.name]),
            **scoring.read_facts(draft.artifact(f"model.{one.name}")),
            **removal.facts(one, pool.usable),
        }
        for one in judged
    }
    summary = removal.summary(judged, facts, pool.usable)
    return draft.derive("filter", columns={"decision": key}, artifacts=curves, summary=summary)


def settings(config: Config, given: Mapping[str, Labels]) -> dict[str, Any]:
    """The configuration with each labels file's content in place of its path."""
    categories = [
        {**asdict(category), "labels": scoring.digest_of(given[category.name].by_uid)} for category in config.category
    ]
    return {"category": sorted(categories, key=lambda category: str(category["name"])), "folds": config.folds}


def read_pool(version: Version) -> Pool:
    usable = np.asarray(version.table("decision", ["verdict"])["verdict"]) == KEPT
    return Pool(version.table("samples", ["uid", "sha256"]), usable)


def match(pool: Pool, labels: Labels, category: Category) -> scoring.Labelled:
    """The labelled usable samples in order of uid. LabelsError where they are not of both classes."""
    uids, digests = pool.table["uid"].to_pylist(), pool.table["sha256"].to_pylist()
    rows = {uids[row]: row for row in np.flatnonzero(pool.usable) if uids[row] in labels.by_uid}
    found = sorted(rows)
    label = np.array([labels.by_uid[uid] for uid in found], dtype=np.bool_)
    row = np.array([rows[uid] for uid in found], dtype=np.int64)
    labelled = scoring.Labelled(row, found, [digests[i] or uids[i] for i in row], label)
    positives, negatives = int(label.sum()), int((~label).sum())
    if not positives or not negatives:
        lacking = "1 (belongs to the category)" if not positives else "0 (does not)"
        raise LabelsError(
            f"{category.labels}: category {category.name!r}: at least one positive and one negative among the pool's "
            f"usable samples were expected, found: {positives} positive, {negatives} negative, and "
            f"{len(labels.by_uid) - len(found)} labels of samples that are not in the pool or not usable; add rows "
            f"with label {lacking} for uids of this pool"
        )
    return labelled


def judge(version: Version, category: Category, labelled: scoring.Labelled) -> removal.Judged:
    """The category's threshold, chosen on the out-of-fold scores of its positive images, and all samples' scores."""
    folder = version.artifact(f"model.{category.name}")
    positives = one_a_unit(labelled, scoring.read_out_of_fold(folder))
    threshold, recall = certify.choose_threshold(positives, category.recall, category.confidence)
    if scoring.read_facts(folder)["folds"] == 1:  # nothing was held out: these scores say nothing about recall
        positives, recall = positives[:0], certify.estimate(0, 0, category.confidence)
    scores = version.table(f"score.{category.name}")["score"].to_numpy().astype(np.float32)
    positive, negative = np.zeros((2, len(scores)), np.bool_)
    positive[labelled.row], negative[labelled.row] = labelled.label, ~labelled.label
    return removal.Judged(category.name, category.confidence, threshold, recall, positives, scores, positive, negative)


def one_a_unit(labelled: scoring.Labelled, scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The lowest score of each positive image: its copies say nothing new about recall."""
    lowest: dict[str, float] = {}
    for i in np.flatnonzero(labelled.label):
        lowest[labelled.unit[i]] = min(lowest.get(labelled.unit[i], np.inf), float(scores[i]))
    return np.array(list(lowest.values()), dtype=np.float32)


def write_curve(version: Version, judged: removal.Judged, pool: Pool) -> str:
    """The key of artifact `curve.<category>`, which is of these parts and is written if it is not there."""
    kind, parts = f"curve.{judged.name}", [part.part for part in version.parts]
    inputs = [version.columns[f"score.{judged.name}"], version.columns["decision"], parts]
    key = version.lake.key("curve", REVISION, inputs, judged.confidence)
    if not version.lake.has_artifact(kind, key):
        with version.lake.new_artifact(kind, key) as folder:
            write_table(folder / "curve.parquet", removal.curve(judged, pool.usable))
    return key


def label_facts(pool: Pool, labels: Labels, labelled: scoring.Labelled) -> dict[str, Any]:
    """What became of a labels file's rows; labels that were not used are counted, not refused."""
    known = set(pool.table["uid"].to_pylist())
    unknown = sum(uid not in known for uid in labels.by_uid)
    return {
        "unknown_uids": unknown,  # not in the pool
        "unusable_uids": len(labels.by_uid) - unknown - len(labelled.uid),  # quarantined
        "contradictions": len(labels.contradicting),  # the positive label stands
        "contradicting_uids": list(labels.contradicting[:NAMED]),
    }


def decide(decision: pa.Table, judged: list[removal.Judged], usable: NDArray[np.bool_]) -> pa.Table:
    """The whole version's decisions; `judged` is in alphabetical order. What is not usable stays as it is."""
    reasons: dict[int, list[str]] = {}
    for one in judged:
        for row in np.flatnonzero(one.removed & usable).tolist():
            reasons.setdefault(row, []).append(f"{one.name}: {'labelled' if one.positive[row] else 'score'}")
    rows = np.fromiter(reasons, np.int64, len(reasons))
    why = np.array(["; ".join(parts) for parts in reasons.values()], dtype=object)
    for name, values in {"verdict": FILTERED, "stage": "filter", "reason": why}.items():
        column = np.asarray(decision[name].to_pylist(), dtype=object)
        column[rows] = values
        place, field = decision.schema.get_field_index(name), decision.schema.field(name)
        decision = decision.set_column(place, field, pa.array(column, field.type, from_pandas=True))
    return decision
