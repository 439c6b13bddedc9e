"""What a version shows, as plain data: the report, the dataset card and the screen print the same figures from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.exporting.contract import categories
from tasks.files import read_table
from tasks.lake import Version
from tasks.samples import DUPLICATE, FILTERED, KEPT, OK, QUARANTINED, count_verdicts
from tasks.words import tokens


@dataclass(frozen=True)
class Funnel:
    """Samples after each step; they add up: read = quarantined + filtered + duplicates + kept."""

    read: int
    quarantined: int
    filtered: int
    duplicates: int
    kept: int
    reasons: Mapping[str, int]  # quarantined samples a reason, most frequent first
    failed_rows: int  # downloads that never became samples
    broken: Mapping[str, str]  # shard → why reading it ended early

    @property
    def usable(self) -> int:
        return self.read - self.quarantined

    @property
    def passed(self) -> int:
        """Samples that the filter let through."""
        return self.usable - self.filtered


@dataclass(frozen=True)
class Member:
    """One image of a near-duplicate group."""

    row: int  # of the version
    uid: str
    caption: str
    verdict: str  # kept | duplicate | filtered
    similarity: float | None  # cosine to the survivor; None where there is none


@dataclass(frozen=True)
class Group:
    """Near-duplicates, the preferred first."""

    size: int
    members: Sequence[Member]  # the first ones only, where there are many
    keyword: str | None  # why it is shown, where not for its size
    matching: int  # members whose caption has the keyword

    @property
    def caption(self) -> str:
        return next((member.caption for member in self.members if member.caption), "without caption")


def facts(version: Version, stage: str) -> dict[str, Any]:
    """What a stage told of itself; empty where it was not run."""
    found: dict[str, Any] = dict(version.summary.get(stage) or {})
    return found


def funnel(version: Version) -> Funnel:
    decision = version.table("decision", ["verdict", "reason"])
    counts = count_verdicts(decision)
    reasons = decision.filter(pc.equal(decision["verdict"], QUARANTINED))["reason"].value_counts().to_pylist()
    found = sorted(((str(row["values"]), int(row["counts"])) for row in reasons), key=lambda row: (-row[1], row[0]))
    return Funnel(
        version.rows,
        counts[QUARANTINED],
        counts[FILTERED],
        counts[DUPLICATE],
        counts[KEPT],
        dict(found),
        sum(part.failed_rows for part in version.parts),
        {part.path: part.broken for part in version.parts if part.broken},
    )


def keyword_rows(version: Version, most: int) -> list[dict[str, Any]]:
    """The audited keywords' changes in the order asked; without keywords the largest falls and rises."""
    audit = facts(version, "audit")
    asked = [row for row in audit.get("keywords", []) if row.get("n_pool")]
    found = asked or [*audit.get("falls", [])[: most // 2], *audit.get("rises", [])[: most // 2]]
    return [{**row, "label": row.get("keyword") or row["term"]} for row in found[:most]]


def gates(version: Version) -> list[tuple[str, list[dict[str, Any]]]]:
    """The gates that the version and those it was made from have passed, in the stages' order."""
    found: list[tuple[str, list[dict[str, Any]]]] = []
    manifest = version.manifest
    while manifest:
        found.append((manifest["stage"], list(manifest.get("gate") or [])))
        parent = manifest.get("parent")
        manifest = version.lake.manifest(parent) if parent is not None else {}
    return found[::-1]


def groups(version: Version, largest: int, feature: Sequence[str], most: int) -> list[Group]:
    """The featured near-duplicate groups, then the largest others; at most `most` members of each.

    For each word of `feature` that is the group with most captions that have it.
    """
    if "groups" not in version.artifacts:
        return []
    table = read_table(version.artifact("groups") / "groups.parquet", ["group", "uid", "caption"])
    chosen: dict[int, tuple[str | None, int]] = {}
    for keyword in feature:
        found = _featured(table, keyword)
        if found is not None:
            chosen.setdefault(found[0], (keyword, found[1]))
    for number in range(min(largest, _count(table))):
        chosen.setdefault(number, (None, 0))
    return _portraits(version, table, chosen, most) if chosen else []


def _count(table: pa.Table) -> int:
    return 0 if not table.num_rows else int(pc.max(table["group"]).as_py()) + 1


def _featured(table: pa.Table, keyword: str) -> tuple[int, int] | None:
    """The group with most captions that have the keyword, and how many these are."""
    phrase = tokens.tokenise(keyword)
    plain = pc.utf8_lower(pc.utf8_normalize(pc.fill_null(table["caption"], ""), "NFC"))
    likely = table.filter(pc.match_substring(pc.replace_substring(plain, "’", "'"), phrase[0]))
    has = [tokens.has_phrase(caption, " ".join(phrase)) for caption in likely["caption"].to_pylist()]
    numbers = np.asarray(likely["group"])[np.asarray(has, dtype=bool)]
    if not len(numbers):
        return None
    values, counts = np.unique(numbers, return_counts=True)
    return int(values[counts.argmax()]), int(counts.max())


def _portraits(
    version: Version, table: pa.Table, chosen: Mapping[int, tuple[str | None, int]], most: int
) -> list[Group]:
    decision = version.table("decision", ["verdict", "duplicate_similarity"])
    uids = version.table("samples", ["uid"])["uid"]
    usable = np.flatnonzero(np.asarray(pc.not_equal(decision["verdict"], QUARANTINED)))
    found = []
    for number, (keyword, matching) in chosen.items():
        group = table.filter(pc.equal(table["group"], number))
        shown = group.slice(0, most)
        rows = usable[np.asarray(pc.index_in(shown["uid"], uids.take(usable)))]
        decided = decision.take(rows).to_pylist()
        members = [
            Member(int(row), item["uid"], item["caption"] or "", now["verdict"], now["duplicate_similarity"])
            for row, item, now in zip(rows, shown.to_pylist(), decided, strict=True)
        ]
        found.append(Group(len(group), members, keyword, matching))
    return found


@dataclass(frozen=True)
class Category:
    """What the filter told of one category."""

    name: str
    threshold: float
    removed: int
    by_label: int  # of these, because a person said so
    spared: int  # reached by the score, but a person said no
    recall: float | None  # on labelled positive images
    lower: float  # its one-sided bound
    confidence: float
    positives: int  # labels
    negatives: int
    smaller: Sequence[Mapping[str, Any]]  # removals and their recall_estimate, largest share first
    warnings: Sequence[str]
    benign: Mapping[str, Any]  # the share of what is removed that does not belong to the category
    certificate: Mapping[str, Any]  # verdict and sentence, and the bounds where something was shown
    subgroups: Sequence[Mapping[str, Any]]  # name, samples, removed, share, recall_estimate, certificate


def category_facts(version: Version) -> list[Category]:
    """The filter's account of each category that the version has scores of, alphabetical."""
    told = facts(version, "filter").get("categories", {})
    return [_category(name, told[name]) for name in categories(version) if name in told and version.parts]


def _category(name: str, told: Mapping[str, Any]) -> Category:
    recall, warnings = told["recall_estimate"], list(told["warnings"])
    certificate = told["certificate"]
    certified = certificate.get("subgroups", {})
    if certificate.get("not_covered"):
        warnings.append(
            f"{len(certificate['not_covered']):,} parts came after the certificate, which does not cover them"
        )
    if told.get("contradictions"):
        warnings.append(f"{told['contradictions']:,} samples are labelled both yes and no; the yes stands")
    unused = told.get("unknown_uids", 0) + told.get("unusable_uids", 0)
    if unused:
        warnings.append(f"{unused:,} labels are of samples that are not in the pool, or not usable")
    return Category(
        name,
        told["threshold"],
        told["removed"],
        told["removed_by_label"],
        told["kept_by_label"],
        recall["estimate"],
        recall["lower"],
        recall["confidence"],
        told["positives"],
        told["negatives"],
        told["suggestions"],
        warnings,
        told["benign"],
        certificate,
        [{"name": group, **one, "certificate": certified.get(group)} for group, one in told["subgroups"].items()],
    )


def recall_points(version: Version, category: str) -> list[dict[str, Any]]:
    """The category's pointwise curve: threshold, recall_estimate, recall_lower, removed, share; by rising share."""
    if f"curve.{category}" not in version.artifacts:
        return []
    points = read_table(version.artifact(f"curve.{category}") / "curve.parquet").to_pylist()
    return [point for point in points if point["recall_estimate"] is not None]


def beside(version: Version) -> list[tuple[str, int]]:
    """What stood beside the categories' classifiers, in words and samples; nothing where nothing did."""
    told = facts(version, "filter")
    hand, listed = told.get("overrides", {}), told.get("blocklist", {})
    rows = [
        ("dropped by hand", hand.get("dropped", 0)),
        ("kept by hand though a category would filter them", hand.get("kept_against_categories", 0)),
        ("on the blocklist: filtered, never shown; docs/blocklist.md says what to do", listed.get("matches", 0)),
        ("filtered as near-duplicates of filtered images", told.get("near_duplicates", 0)),
    ]
    return [row for row in rows if row[1]]


def near_threshold(version: Version, category: Category, most: int) -> tuple[list[int], list[int]]:
    """Rows of the usable samples whose score lies nearest to the threshold: at or above it, and below it."""
    scores = np.asarray(version.table(f"score.{category.name}", ["score"])["score"], dtype=np.float64)
    usable = np.asarray(pc.equal(version.table("samples", ["status"])["status"], OK)) & np.isfinite(scores)
    above = np.flatnonzero(usable & (scores >= category.threshold))
    below = np.flatnonzero(usable & (scores < category.threshold))
    nearest_above = above[np.lexsort((above, scores[above]))][:most]
    nearest_below = below[np.lexsort((below, -scores[below]))][:most]
    return nearest_above.tolist(), nearest_below.tolist()


def score_histogram(version: Version, category: str, bins: int) -> tuple[list[int], list[float]]:
    """Counts of the scores in equal bins from 0 to 1, and the bins' edges."""
    scores = np.asarray(version.table(f"score.{category}", ["score"])["score"].drop_null(), dtype=np.float64)
    counts, edges = np.histogram(scores[np.isfinite(scores)], bins=bins, range=(0.0, 1.0))
    return counts.tolist(), edges.tolist()


def weight_histogram(version: Version, bins: int) -> tuple[list[int], list[float]] | None:
    """Counts of the kept samples' weights in equal bins from 0 on; None where nothing is weighted."""
    weights = np.asarray(version.table("decision", ["weight"])["weight"].drop_null(), dtype=np.float64)
    if not len(weights):
        return None
    counts, edges = np.histogram(weights, bins=bins, range=(0.0, max(float(weights.max()), 1.0)))
    return counts.tolist(), edges.tolist()


def is_weighted(version: Version) -> bool:
    weights = version.table("decision", ["weight"])["weight"]
    return bool(weights.null_count < len(weights))
