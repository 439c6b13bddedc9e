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

from tasks.candidates import METHODS, Found, Search, find
from tasks.errors import ConfigError
from tasks.files import read_table, write_json, write_table
from tasks.pair_recall import estimate, residual
from tasks.preferred import NOBODY, Pool, read_pool
from tasks.samples import DUPLICATE
from tasks.survivors import Settled, check_survivors, groups, settle

if TYPE_CHECKING:
    from tasks.lake import MapParts, Version

REVISION = 1
NEAR, COPY = "near-duplicate", "exact copy"
LARGEST, LARGEST_CAPTIONS, LARGEST_UIDS = 5, 5, 30  # groups shown in the summary, and of each


@dataclass(frozen=True)
class Config:
    """When two images are the same, and how such pairs are searched."""

    threshold: float = 0.95  # cosine, in (0, 1]
    method: str = "probes"  # clusters | probes | annoy | exact
    clusters: int | None = None  # K; None: from the number of samples
    clusterings: int = 5  # of method "clusters"
    recall_queries: int = 2000  # exact queries that estimate what the search missed
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ConfigError(f"dedup.threshold: a cosine in (0, 1] was expected, {self.threshold!r} was found")
        if self.method not in METHODS:
            raise ConfigError(f"dedup.method: one of {', '.join(METHODS)} was expected, {self.method!r} was found")
        for name in ("clusters", "clusterings", "recall_queries"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"dedup.{name}: at least 1 was expected, {value!r} was found")

    def search(self) -> Search:
        return Search(self.threshold, self.clusters, self.clusterings, self.seed)


def run(version: Version, config: Config, map_parts: MapParts) -> Version:
    """Remove from what the filter kept all but one of each group of near-duplicates.

    Raises EncoderError where a usable sample has a zero or non-finite vector, or parts have vectors of several sizes.
    """
    lake = version.lake
    key = lake.key("dedup", asdict(config), *_inputs(version, "samples", "embedding", "decision"))
    if not lake.has_artifact("groups", key):
        pool = read_pool(version)
        pairs_key = _pairs_key(version, pool, config)
        found, recall = _found(version, pairs_key, pool, config)
        settled = settle(pool.vectors, found[:3], pool.leaders(), config.method, config.search())
        with lake.new_artifact("groups", key) as folder:
            table = group_table(pool, settled)
            write_table(folder / "groups.parquet", table)
            summary = summarise(pool, settled, table, config)
            write_json(folder / "facts.json", {"pairs": pairs_key, "summary": {**summary, "recall": recall}})
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
    row = np.arange(len(pool.sample))
    removed = row[pool.kept & (representative != row) & (representative != NOBODY)]
    digest = np.asarray(pool.table["sha256"].to_pylist(), dtype=object)
    uid = np.asarray(pool.table["uid"].to_pylist(), dtype=object)
    survivor = representative[removed]
    news = {
        "verdict": DUPLICATE,
        "stage": "dedup",
        "reason": np.where(digest[removed] == digest[survivor], COPY, NEAR).astype(object),
        "duplicate_of": uid[survivor],
        "duplicate_similarity": similarity[removed],
    }
    for name, values in news.items():
        column = np.asarray(decision[name].to_pylist(), dtype=object)
        column[pool.sample[removed]] = values
        place, field = decision.schema.get_field_index(name), decision.schema.field(name)
        decision = decision.set_column(place, field, pa.array(column, field.type, from_pandas=True))
    return decision


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


def summarise(pool: Pool, settled: Settled, table: pa.Table, config: Config) -> dict[str, Any]:
    """Facts for gates and reports; nothing in them depends on time or machine."""
    representative, _ = representatives(pool, settled)
    row = np.arange(len(pool.sample))
    removed = row[pool.kept & (representative != row) & (representative != NOBODY)]
    digest = np.asarray(pool.table["sha256"].to_pylist(), dtype=object)
    survives = settled.survivor == np.arange(len(pool.vectors))
    left = residual(pool.vectors[survives], config.threshold, config.recall_queries, config.seed)
    verdicts = table.group_by("group", use_threads=False).aggregate([("verdict", "count_distinct")])
    return {
        "pairs": len(settled.pairs),
        "copies": len(pool.sample) - len(pool.vectors),
        "groups": len(verdicts),
        "mixed_groups": pc.sum(pc.greater(verdicts["verdict_count_distinct"], 1)).as_py() or 0,
        "removed": len(removed),
        "removed_exact": int((digest[removed] == digest[representative[removed]]).sum()),
        "residual": {"rate": left.estimate, "upper": left.upper, "queries": left.queries, "exact": left.exact},
        "largest": [_portrait(table.filter(pc.equal(table["group"], n))) for n in range(min(LARGEST, len(verdicts)))],
        **check_survivors(pool.vectors, settled, pool.leaders(), config.threshold),
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


def _found(version: Version, key: str, pool: Pool, config: Config) -> tuple[Found, dict[str, Any]]:
    """The pairs of distinct vectors and the recall of their search, from the artifact, which is made if need be."""
    if not version.lake.has_artifact("pairs", key):
        found = find(pool.vectors, config.method, config.search())
        recall = estimate(pool.vectors, found, config.threshold, config.recall_queries, config.seed)
        with version.lake.new_artifact("pairs", key) as folder:
            _write_pairs(folder, pool, found)
            write_json(folder / "recall.json", recall._asdict())
    return _read_pairs(version.lake.artifact_path("pairs", key), pool)


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
    saturated = np.zeros(len(pool.vectors), np.bool_)
    saturated[kind[np.asarray(read_table(folder / "saturated.parquet")["sample"])]] = True
    recall = json.loads((folder / "recall.json").read_text("utf-8"))
    return Found(pairs[near], np.asarray(table["similarity"])[near], saturated), recall
