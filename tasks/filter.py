"""Filter: what belongs to a category that the team does not want to train on goes, recall before precision.

The article trained classifiers on a few hundred labels a category and set their thresholds for recall: good data that
is removed can be added back, but a model cannot unlearn. Here: a linear classifier on the embedding, cross-validated;
the threshold reaches the wanted recall on labelled positives; a person's label overrides the score. METHODS.md,
section 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.certifying import certificate_files
from tasks.certifying.filter_facts import category_facts
from tasks.classifying import blocklist, overrides, removal, scoring
from tasks.classifying.blocklist import Blocklist, Hashes
from tasks.classifying.category_spec import Category
from tasks.classifying.filtered_neighbors import near_filtered
from tasks.classifying.filtered_neighbors import reason as near_reason
from tasks.classifying.given import Given, given
from tasks.classifying.judging import Pool, check_classes, judge, match, read_pool
from tasks.classifying.overrides import Overrides
from tasks.classifying.perceptual import read_flags
from tasks.errors import ConfigError
from tasks.files import write_table
from tasks.samples import FILTERED

if TYPE_CHECKING:
    from tasks.lake import MapParts, Version

REVISION = 1


@dataclass(frozen=True)
class Config:
    category: tuple[Category, ...] = ()  # none: everything is kept, but for what follows
    folds: int = 5  # of the cross-validation; fewer where a class has fewer images
    overrides: str = ""  # path of a CSV file: uid, action (keep or drop), author, reason
    blocklist: Blocklist = field(default_factory=Blocklist)
    near_duplicates: float | None = None  # cosine from which a near-duplicate of what is filtered is filtered too

    def __post_init__(self) -> None:
        names = [category.name for category in self.category]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ConfigError(f"filter.category: each name once was expected, {repeated[0]!r} was found again")
        if not 2 <= self.folds <= 20:
            raise ConfigError(f"filter.folds: 2 to 20 were expected, {self.folds!r} was found")
        if self.near_duplicates is not None and not 0.5 <= self.near_duplicates <= 1:
            raise ConfigError(
                f"filter.near_duplicates: a cosine of 0.5 to 1 was expected, {self.near_duplicates} found"
            )


class Beside(NamedTuple):
    """What stands beside the classifiers."""

    overrides: Overrides
    hashes: Hashes | None


def run(version: Version, config: Config, map_parts: MapParts) -> Version:
    """The version with what belongs to a category filtered, and what people and lists say beside that.

    Artifacts `model.`, `labels.`, `curve.` and `certificate.<category>`. Raises LabelsError where a category's labels
    cannot be read, or are all of one class; ConfigError where a file of overrides or hashes cannot be read.
    """
    beside = read_beside(config)
    pool = read_pool(version)
    draft, labels, labelled = score(version, config, pool, map_parts)
    draft = draft.derive(
        "filter",
        columns=blocklist.match(version, config.blocklist, beside.hashes, map_parts),
        config=settings(config, labels, beside),
    )
    categories = sorted(config.category, key=lambda category: category.name)
    judged = [judge(draft, one, *labelled[one.name]) for one in categories]
    keys = [[one.name, draft.columns[f"score.{one.name}"], one.threshold] for one in judged]
    held = [draft.artifacts[f"labels.{one.name}"] for one in judged]
    lists = [beside.overrides.digest, draft.columns.get(blocklist.GROUP), config.near_duplicates]
    key = version.lake.key("filter", REVISION, version.columns["decision"], keys, held, lists)
    rows = overrides.Rows(pool.table["uid"].to_pylist(), pool.usable, own_matches(draft))
    said = said_by(judged, pool.usable)
    decided, near = decide(draft, config, beside, (rows, judged, said))
    draft.write_decision(decision_of(version.table("decision"), decided), key)
    artifacts = written(draft, categories, judged, pool) | overrides.write(draft, beside.overrides)
    draft = draft.derive("filter", columns={"decision": key}, artifacts=artifacts)
    facts = {
        one.name: category_facts(draft, category, (labels[one.name], *labelled[one.name]), one, pool)
        for category, one in zip(categories, judged, strict=True)
    }
    summary = removal.summary(judged, facts, pool.usable)
    summary["removed"] = int(decided.filtered.sum())
    summary["share"] = round(summary["removed"] / max(int(pool.usable.sum()), 1), 6)
    summary["overrides"] = overrides.facts(beside.overrides, rows, said)
    summary["blocklist"] = blocklist.facts(draft)
    summary["near_duplicates"] = near
    return draft.derive("filter", summary=summary)


def read_beside(config: Config) -> Beside:
    hashes = blocklist.read_hashes(Path(config.blocklist.sha256)) if config.blocklist.sha256 else None
    return Beside(overrides.read_overrides(Path(config.overrides)) if config.overrides else Overrides({}), hashes)


def score(
    version: Version, config: Config, pool: Pool, map_parts: MapParts
) -> tuple[Version, dict[str, Given], dict[str, tuple[scoring.Labelled, scoring.Labelled]]]:
    """A draft with each category's model and scores; what people said; labelled samples: all, and those to train."""
    labels = {category.name: given(version.lake, category) for category in config.category}
    labelled = {name: (match(pool, found.labels), match(pool, found.training)) for name, found in labels.items()}
    for category in config.category:
        check_classes(labelled[category.name][1], category, len(labels[category.name].training))
    models = {
        one.name: scoring.model(version, one.name, labelled[one.name][1], config.folds, one.features)
        for one in config.category
    }
    kept = {f"labels.{name}": write_labels(version, name, found) for name, found in labels.items()}
    draft = version.derive(
        "filter",
        columns=scoring.score_missing(version, models, map_parts),
        artifacts={f"model.{name}": key for name, key in models.items()} | kept,
    )
    return draft, labels, labelled


def settings(config: Config, labels: Mapping[str, Given], beside: Beside) -> dict[str, Any]:
    """The configuration with the content of its files, by digest, in place of their paths."""
    categories = [
        {**asdict(category), "labels": scoring.digest_of(labels[category.name].labels)} for category in config.category
    ]
    return {
        "category": sorted(categories, key=lambda category: str(category["name"])),
        "folds": config.folds,
        "overrides": beside.overrides.digest if config.overrides else "",
        "blocklist": blocklist.settings(config.blocklist, beside.hashes),
        "near_duplicates": config.near_duplicates,
    }


def write_labels(version: Version, name: str, labels: Given) -> str:
    """The key of artifact `labels.<category>`: what the version was decided with, and which of it trained."""
    kind, digests = f"labels.{name}", [scoring.digest_of(labels.labels), scoring.digest_of(labels.training)]
    key = version.lake.key("labels", REVISION, name, digests)
    if not version.lake.has_artifact(kind, key):
        uids = list(labels.labels)
        label = pa.array([int(labels.labels[uid]) for uid in uids], pa.int8())
        table = pa.table({"uid": pa.array(uids, pa.string()), "label": label})
        trained = pa.array([uid in labels.training for uid in uids], pa.bool_())
        with version.lake.new_artifact(kind, key) as folder:
            write_table(folder / "labels.parquet", table.append_column("trained", trained))
    return key


def written(draft: Version, categories: list[Category], judged: list[removal.Judged], pool: Pool) -> dict[str, str]:
    """Each category's curve and certificate: artifact → key."""
    found = {f"curve.{one.name}": write_curve(draft, one, pool) for one in judged}
    for category, one in zip(categories, judged, strict=True):
        found |= certificate_files.write(draft, category, one.threshold)
    return found


def write_curve(version: Version, judged: removal.Judged, pool: Pool) -> str:
    """The key of artifact `curve.<category>`, which is of these parts and is written if it is not there."""
    kind, parts = f"curve.{judged.name}", [part.part for part in version.parts]
    inputs = [version.columns[f"score.{judged.name}"], version.columns["decision"], parts]
    key = version.lake.key("curve", REVISION, inputs, judged.confidence)
    if not version.lake.has_artifact(kind, key):
        with version.lake.new_artifact(kind, key) as folder:
            write_table(folder / "curve.parquet", removal.curve(judged, pool.usable))
    return key


def said_by(judged: list[removal.Judged], usable: NDArray[np.bool_]) -> overrides.Decided:
    """What the categories say of each sample; `judged` is in alphabetical order."""
    filtered, reason = np.zeros(len(usable), np.bool_), np.full(len(usable), None, dtype=object)
    for one in judged:
        for row in np.flatnonzero(one.removed & usable).tolist():
            why = f"{one.name}: {'labelled' if one.positive[row] else 'score'}"
            reason[row] = f"{reason[row]}; {why}" if filtered[row] else why
            filtered[row] = True
    return overrides.Decided(filtered, reason)


def decide(
    draft: Version,
    config: Config,
    beside: Beside,
    judgement: tuple[overrides.Rows, list[removal.Judged], overrides.Decided],
) -> tuple[overrides.Decided, int]:
    """What the filter removes: the categories, a person's list over them, then near-duplicates of all that.

    And how many these last are.
    """
    rows, judged, said = judgement
    decided = overrides.apply(beside.overrides, rows, said)
    if config.near_duplicates is None:
        return decided, 0
    exempt = overrides.kept(beside.overrides, rows) | ~rows.usable
    for one in judged:
        exempt |= one.negative
    near = near_filtered(draft.embeddings(), decided.filtered, exempt, config.near_duplicates)
    filtered, reason = decided.filtered.copy(), decided.reason.copy()
    filtered[near.row] = True
    reason[near.row] = [near_reason(rows.uid[of]) for of in near.of.tolist()]
    return overrides.Decided(filtered, reason), len(near.row)


def own_matches(draft: Version) -> NDArray[np.bool_]:
    """(rows,) what this version's blocklist matched."""
    if blocklist.GROUP not in draft.columns:
        return np.zeros(draft.rows, np.bool_)
    return np.concatenate([read_flags(draft.column_path(blocklist.GROUP, part)) for part in draft.parts])


def decision_of(decision: pa.Table, decided: overrides.Decided) -> pa.Table:
    """The decisions with what is filtered; the rest stays as it is."""
    rows = np.flatnonzero(decided.filtered)
    for name, values in {"verdict": FILTERED, "stage": "filter", "reason": decided.reason[rows]}.items():
        column = np.asarray(decision[name].to_pylist(), dtype=object)
        column[rows] = values
        place, field_ = decision.schema.get_field_index(name), decision.schema.field(name)
        decision = decision.set_column(place, field_, pa.array(column, field_.type, from_pandas=True))
    return decision
