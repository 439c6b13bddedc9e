"""Near-duplicates: a model repeats the images that it saw many times, so of each group one stays.

The article removed almost a quarter of its data and regurgitation fell to zero. Pairs are searched among all usable
samples, whatever the filter decided, so another filter threshold needs no new search; then one representative of what
the filter kept survives, and every removed sample has a kept one within the threshold. METHODS.md, section 3.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.duplicates.candidates import METHODS, Found, Search, find
from tasks.duplicates.pair_recall import Asked, Band, Estimate, estimate, residual
from tasks.duplicates.preferred import NOBODY, PREFER, PREFERRED, Pool, read_pool
from tasks.duplicates.survivors import Settled, check_survivors, groups, settle
from tasks.errors import ConfigError
from tasks.files import read_table, write_json, write_table
from tasks.samples import DUPLICATE

if TYPE_CHECKING:
    from tasks.lake import MapParts, Version

REVISION = 2
NEAR, COPY = "near-duplicate", "exact copy"
LARGEST, LARGEST_CAPTIONS, LARGEST_UIDS = 5, 5, 30  # groups shown in the summary, and of each


@dataclass(frozen=True)
class Config:
    """When two images are the same, and how such pairs are searched."""

    threshold: float = 0.95  # cosine, in (0, 1]
    method: str = "probes"  # clusters | probes | annoy | exact
    clusters: int | None = None  # K; None: from the number of samples
    clusterings: int = 5  # of method "clusters"
    target_recall: float = 0.999  # of pairs; method "annoy" chooses its trees and search_k for it
    prefer: tuple[str, ...] = PREFERRED  # who stays: resolution | caption | oldest | uid
    cap: int = 1  # samples that stay of a group; with more, those least like each other
    recall_queries: int = 2000  # exact queries that estimate what the search missed
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("threshold", "target_recall"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                kind = "cosine" if name == "threshold" else "share"
                raise ConfigError(f"dedup.{name}: a {kind} in (0, 1] was expected, {value!r} was found")
        if self.method not in METHODS:
            raise ConfigError(f"dedup.method: one of {', '.join(METHODS)} was expected, {self.method!r} was found")
        for name in ("clusters", "clusterings", "cap", "recall_queries"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"dedup.{name}: at least 1 was expected, {value!r} was found")
        if not set(self.prefer) <= PREFER.keys() or len(set(self.prefer)) < len(self.prefer):
            raise ConfigError(
                f"dedup.prefer: some of {', '.join(PREFER)}, each once, was expected, {self.prefer!r} found"
            )

    def search(self) -> Search:
        return Search(self.threshold, self.clusters, self.clusterings, self.target_recall, self.seed)


def run(version: Version, config: Config, map_parts: MapParts) -> Version:
    """Remove from what the filter kept all but one of each group of near-duplicates.

    Raises EncoderError where a usable sample has a zero or non-finite vector, or parts have vectors of several sizes.
    """
    lake = version.lake
    key = lake.key("dedup", asdict(config), *_inputs(version, "samples", "embedding", "decision"))
    if not lake.has_artifact("groups", key):
        pool = read_pool(version, config.prefer, map_parts)
        pairs_key = _pairs_key(version, pool, config)
        found, told = _found(version, pairs_key, pool, config, map_parts)
        settled = settle(pool.stored, found[:3], pool.leaders(), config.threshold, config.cap, map_parts)
        with lake.new_artifact("groups", key) as folder:
            table = group_table(pool, settled)
            write_table(folder / "groups.parquet", table)
            summary = summarise(pool, settled, table, config, map_parts)
            write_json(folder / "facts.json", {"pairs": pairs_key, "summary": {**summary, **told}})
            version.write_decision(decide(version.table("decision"), pool, settled), key)
    facts = json.loads((lake.artifact_path("groups", key) / "facts.json").read_text("utf-8"))
    return version.derive(
        "dedup",
        columns={"decision": key},
        artifacts={"pairs": facts["pairs"], "groups": key},
        config=asdict(config),
        summary=facts["summary"],
    )


def decide(decision: pa.Table, pool: Pool, settled: Settled) -> pa.Table:
    """The decision table of the whole version, with the removed samples as duplicates of their survivor."""
    representative, similarity = representatives(pool, settled)
    removed = removals(pool, representative)
    survivor = pa.array(representative[removed])
    digest, uid = pool.table["sha256"].combine_chunks(), pool.table["uid"].combine_chunks()
    copied = pc.equal(digest.take(pa.array(removed)), digest.take(survivor))
    news = {
        "verdict": pa.repeat(DUPLICATE, len(removed)),
        "stage": pa.repeat("dedup", len(removed)),
        "reason": pc.if_else(copied, COPY, NEAR),
        "duplicate_of": uid.take(survivor),
        "duplicate_similarity": pa.array(similarity[removed], pa.float32()),
    }
    order = np.argsort(pool.sample[removed])
    mask = np.zeros(len(decision), np.bool_)
    mask[pool.sample[removed]] = True
    for name, values in news.items():
        place, field = decision.schema.get_field_index(name), decision.schema.field(name)
        column = decision[name].combine_chunks()
        column = pc.replace_with_mask(column, pa.array(mask), values.cast(field.type).take(pa.array(order)))
        decision = decision.set_column(place, field, column)
    return decision


def removals(pool: Pool, representative: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows that the filter kept and another stands for."""
    row = np.arange(len(pool.sample))
    return row[pool.kept & (representative != row) & (representative != NOBODY)]


def representatives(pool: Pool, settled: Settled) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The surviving sample near to each of n, itself where it survives, NOBODY where none is; and the cosine."""
    kind = settled.survivor[pool.kind]
    representative = np.where(kind == NOBODY, NOBODY, pool.leaders()[kind])
    return representative, settled.similarity[pool.kind]


def group_table(pool: Pool, settled: Settled) -> pa.Table:
    """One row a member of a group of two samples or more: the largest group first, in it the preferred member first."""
    number = groups(settled)[pool.kind]
    _, first, number, size = np.unique(number, return_index=True, return_inverse=True, return_counts=True)
    place = np.empty(len(size), dtype=np.int64)
    place[np.lexsort((first, -size))] = np.arange(len(size))
    member = np.flatnonzero(size[number] > 1)
    member = member[np.argsort(place[number[member]], kind="stable")]
    representative, similarity = representatives(pool, settled)
    uid = pool.table["uid"].combine_chunks()
    nobody = representative[member] == NOBODY
    return pa.table(
        {
            "group": pa.array(place[number[member]]),
            "uid": uid.take(member),
            "caption": pool.table["caption"].take(member),
            "representative": uid.take(pa.array(representative[member], mask=nobody)),
            "similarity": pa.array(similarity[member], pa.float32(), mask=nobody),
            "verdict": pool.table["verdict"].take(member),
        }
    )


def summarise(pool: Pool, settled: Settled, table: pa.Table, config: Config, map_parts: MapParts) -> dict[str, Any]:
    """Facts for gates and reports; nothing in them depends on time or machine."""
    representative, _ = representatives(pool, settled)
    removed = removals(pool, representative)
    digest = pool.table["sha256"].combine_chunks()
    copied = pc.equal(digest.take(pa.array(removed)), digest.take(pa.array(representative[removed])))
    leads = settled.leader == np.arange(pool.kinds)
    left = residual(pool.stored, leads, _asked(config, map_parts))
    verdicts = table.group_by("group", use_threads=False).aggregate([("verdict", "count_distinct")])
    return {
        "pairs": len(settled.pairs),
        "copies": len(pool.sample) - pool.kinds,
        "groups": len(verdicts),
        "mixed_groups": pc.sum(pc.greater(verdicts["verdict_count_distinct"], 1)).as_py() or 0,
        "removed": len(removed),
        "removed_exact": pc.sum(copied).as_py() or 0,
        "residual": {"rate": left.estimate, "upper": left.upper, "queries": left.queries, "exact": left.exact},
        "largest": [_portrait(table.filter(pc.equal(table["group"], n))) for n in range(min(LARGEST, len(verdicts)))],
        **check_survivors(pool.stored, settled, pool.leaders(), config.threshold, config.cap),
    }


def _portrait(group: pa.Table) -> dict[str, Any]:
    captions = [caption for caption in dict.fromkeys(group["caption"].to_pylist()) if caption]
    return {
        "size": len(group),
        "captions": captions[:LARGEST_CAPTIONS],
        "uids": group["uid"].slice(0, LARGEST_UIDS).to_pylist(),
    }


def _inputs(version: Version, *columns: str) -> list[Any]:
    """What a key names: this revision, the parts, and the keys of these column groups."""
    return [REVISION, [part.part for part in version.parts], [version.columns[name] for name in columns]]


def _pairs_key(version: Version, pool: Pool, config: Config) -> str:
    """The filter's decision is no part of it: only which samples are usable is."""
    usable = hashlib.sha256(np.sort(pool.sample).tobytes()).hexdigest()
    return version.lake.key("pairs", asdict(config), usable, *_inputs(version, "samples", "embedding"))


def _asked(config: Config, map_parts: MapParts) -> Asked:
    return Asked(config.threshold, config.recall_queries, config.seed, map_parts)


def _found(version: Version, key: str, pool: Pool, config: Config, map_parts: MapParts) -> tuple[Found, dict[str, Any]]:
    """The pairs of distinct vectors and what is told of their search, from the artifact, which is made if need be."""
    if not version.lake.has_artifact("pairs", key):
        with version.lake.new_artifact("pairs", key) as folder:
            found = find(pool.stored, config.method, config.search(), folder, map_parts)
            recall, bands = estimate(pool.stored, found, _asked(config, map_parts))
            _write_pairs(folder, pool, found)
            write_json(folder / "recall.json", _told(recall, bands, found))
    return _read_pairs(version.lake.artifact_path("pairs", key), pool)


def _told(recall: Estimate, bands: list[Band], found: Found) -> dict[str, Any]:
    """Recall in all and by similarity; the pairs that each further probe, clustering or round of questions found."""
    return {
        "recall": recall._asdict(),
        "recall_bands": [{**band._asdict(), "recall": band.recall._asdict()} for band in bands],
        "gains": np.bincount(found.step).tolist(),
    }


def _write_pairs(folder: Path, pool: Pool, found: Found) -> None:
    """Near pairs between the samples that stand for their kind, and from these to their copies, in sample numbers."""
    first = pool.sample[np.unique(pool.kind, return_index=True)[1]]
    copy = np.flatnonzero(first[pool.kind] != pool.sample)
    copies = np.column_stack([first[pool.kind[copy]], pool.sample[copy]])
    pairs = np.sort(np.concatenate([first[found.pairs], copies]), axis=1)
    similarity = np.concatenate([found.similarity, np.ones(len(copies))])
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    columns = {"i": pairs[order, 0], "j": pairs[order, 1], "similarity": similarity[order]}
    write_table(folder / "pairs.parquet", pa.table(columns))
    write_table(folder / "saturated.parquet", pa.table({"sample": first[found.saturated]}))


def _read_pairs(folder: Path, pool: Pool) -> tuple[Found, dict[str, Any]]:
    table = read_table(folder / "pairs.parquet")
    kind = np.full(int(pool.sample.max(initial=-1)) + 1, NOBODY, dtype=np.int64)
    kind[pool.sample] = pool.kind
    pairs = np.sort(np.column_stack([kind[np.asarray(table["i"])], kind[np.asarray(table["j"])]]), axis=1)
    near = pairs[:, 0] != pairs[:, 1]
    saturated = np.zeros(pool.kinds, np.bool_)
    saturated[kind[np.asarray(read_table(folder / "saturated.parquet")["sample"])]] = True
    told = json.loads((folder / "recall.json").read_text("utf-8"))
    return Found(pairs[near], np.asarray(table["similarity"])[near], saturated, np.empty(0, np.int8)), told
