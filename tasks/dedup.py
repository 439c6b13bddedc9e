"""Near-duplicates: a model repeats the images that it saw many times, so of each group one stays.

The article removed almost a quarter of its data and regurgitation fell to zero. Pairs are searched among all usable
samples, whatever the filter decided, so another filter threshold needs no new search; then one representative of what
the filter kept survives, and every removed sample has a kept one within the threshold. METHODS.md, section 3.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.duplicates import earlier
from tasks.duplicates.candidates import METHODS, Found, Search
from tasks.duplicates.increment import search
from tasks.duplicates.pair_files import QUERIED, read_codes, read_known, read_pairs, write_codes, write_pairs
from tasks.duplicates.pair_recall import Asked, Band, Earlier, estimate, residual
from tasks.duplicates.preferred import PREFER, PREFERRED, Pool, read_pool
from tasks.duplicates.recall_interval import Estimate
from tasks.duplicates.reference import REASON, Reference, contaminated, without
from tasks.duplicates.reference import told as reference_told
from tasks.duplicates.survivors import Settled, check_survivors, settle
from tasks.duplicates.verdicts import decide, group_table, portrait, refuse, removals, representatives
from tasks.duplicates.widening import Ask
from tasks.errors import ConfigError
from tasks.files import write_json, write_table

if TYPE_CHECKING:
    from tasks.lake import MapParts, Version

REVISION = 5
LARGEST = 5  # groups shown in the summary


@dataclass(frozen=True)
class Config:
    """When two images are the same, and how such pairs are searched."""

    threshold: float = 0.95  # cosine, in (0, 1]
    method: str = "probes"  # clusters | probes | annoy | exact
    clusters: int | None = None  # K; None: from the number of samples
    clusterings: int = 5  # of method "clusters"
    target_recall: float = 0.999  # of pairs; methods "probes" and "annoy" search as widely as it takes
    prefer: tuple[str, ...] = PREFERRED  # who stays: resolution | caption | oldest | uid
    cap: int = 1  # samples that stay of a group; with more, those least like each other
    recall_queries: int = 2000  # exact queries that estimate what the search missed
    seed: int = 0  # of clusterings, and of the queries that estimate recall
    fresh: bool = False  # decide anew, whatever the version before kept and found
    reference: str | None = None  # a file, folder or shards of images whose near-duplicates leave the pool

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

    def ask(self) -> Ask:
        found = Search(self.threshold, self.clusters, self.clusterings, self.target_recall, self.seed)
        return Ask(self.method, found)


def run(
    version: Version,
    config: Config,
    map_parts: MapParts,
    previous: Version | None = None,
    reference: Reference | None = None,
) -> Version:
    """Remove from what the filter kept all but one of each group of near-duplicates.

    Where the `previous` version was decided with the same settings, what it kept ranks first, and only new samples are
    compared. Every group is decided anew, so none is left without a survivor when one goes. What is near to an image of
    the `reference` set, config.reference embedded as the pool was, is filtered first.

    Raises EncoderError where a usable sample has a zero or non-finite vector, or parts have vectors of several sizes.
    """
    lake, settings = version.lake, _settings(config, reference)
    inputs = lake.key("dedup", settings, *_inputs(version, "samples", "embedding", "decision"))
    before = None if config.fresh or not earlier.comparable(previous, version, settings, REVISION) else previous
    key = earlier.key_after(before, inputs) if before is not None else inputs
    if not lake.has_artifact("groups", key):
        with lake.new_artifact("groups", key) as folder:
            facts, decision = _decided(version, config, map_parts, before, reference)
            write_table(folder / "groups.parquet", facts.pop("groups"))
            facts.pop("queried").save(folder / earlier.QUERIED)
            write_json(folder / earlier.FACTS, {"revision": REVISION, "inputs": inputs, **facts})
            version.write_decision(decision, key)
    made = json.loads((lake.artifact_path("groups", key) / earlier.FACTS).read_text("utf-8"))
    return version.derive(
        "dedup",
        columns={"decision": key},
        artifacts={"pairs": made["pairs"], "groups": key},
        config=settings,
        summary=made["summary"],
    )


def _decided(
    version: Version, config: Config, map_parts: MapParts, before: Version | None, reference: Reference | None
) -> tuple[dict[str, Any], pa.Table]:
    """The groups with the facts on how they came about, and the decision on every sample."""
    first = earlier.survivors(before, version) if before is not None else None
    pool = read_pool(version, config.prefer, map_parts, first, _known_codes(before, version))
    searched = _pairs_key(version, pool, _settings(config, None))
    pairs = _later_key(before, searched) if before is not None else searched
    refused = contaminated(pool, reference, config.threshold, map_parts)
    pool = without(pool, refused)
    found, told = _found(version, pairs, pool, config, map_parts, before)
    ahead = int(first[pool.sample].sum()) if first is not None else 0
    settled = settle(pool.stored, found[:3], pool.leaders(), config.threshold, config.cap, map_parts, ahead)
    table = group_table(pool, settled)
    leads = settled.leader == np.arange(pool.kinds)
    asked_before = earlier.asked(before, first, pool, leads) if before is not None and config.cap == 1 else None
    left, queried = residual(pool.stored, leads, _asked(config, map_parts), asked_before)
    summary = {
        **summarise(pool, settled, table),
        **check_survivors(pool.stored, settled, pool.leaders(), config.threshold, config.cap),
        "residual": {"rate": left.estimate, "upper": left.upper, "queries": left.queries, "exact": left.exact},
        **told,
        "parent": _parent(before),
        "reference": reference_told(reference, refused),
    }
    decision = refuse(version.table("decision"), pool.sample[refused], REASON)
    facts = {"groups": table, "queried": queried, "searched": searched, "pairs": pairs, "summary": summary}
    return facts, decide(decision, pool, settled)


def _known_codes(before: Version | None, version: Version) -> NDArray[np.uint64] | None:
    if before is None:
        return None
    return read_codes(before.artifact("pairs"), earlier.renumbered(before, version), version.rows)


def summarise(pool: Pool, settled: Settled, table: pa.Table) -> dict[str, Any]:
    """Facts for gates and reports; nothing in them depends on time or machine."""
    representative, _ = representatives(pool, settled)
    removed = removals(pool, representative)
    digest = pool.table["sha256"].combine_chunks()
    copied = pc.equal(digest.take(pa.array(removed)), digest.take(pa.array(representative[removed])))
    verdicts = table.group_by("group", use_threads=False).aggregate([("verdict", "count_distinct")])
    return {
        "pairs": len(settled.pairs),
        "copies": len(pool.sample) - pool.kinds,
        "groups": len(verdicts),
        "mixed_groups": pc.sum(pc.greater(verdicts["verdict_count_distinct"], 1)).as_py() or 0,
        "removed": len(removed),
        "removed_exact": pc.sum(copied).as_py() or 0,
        "largest": [portrait(table.filter(pc.equal(table["group"], n))) for n in range(min(LARGEST, len(verdicts)))],
    }


def _inputs(version: Version, *columns: str) -> list[Any]:
    """What a key names: this revision, the parts, and the keys of these column groups."""
    return [REVISION, [part.part for part in version.parts], [version.columns[name] for name in columns]]


def _settings(config: Config, reference: Reference | None) -> dict[str, Any]:
    """What decides, once it is known which version came before; the reference set by its digest."""
    settings = {name: value for name, value in asdict(config).items() if name != "fresh"}
    return {**settings, "reference": reference.digest if reference is not None else None}


def _parent(before: Version | None) -> dict[str, Any] | None:
    """The version whose survivors ranked first and whose pairs were used."""
    if before is None:
        return None
    return {"version": before.number, **{kind: before.artifacts[kind] for kind in ("groups", "pairs")}}


def _pairs_key(version: Version, pool: Pool, settings: dict[str, Any]) -> str:
    """The filter's decision is no part of it: only which samples are usable is."""
    usable = hashlib.sha256(np.sort(pool.sample).tobytes()).hexdigest()
    return version.lake.key("pairs", settings, usable, *_inputs(version, "samples", "embedding"))


def _later_key(before: Version, key: str) -> str:
    """Of the pairs that those before are added to; the same where neither a sample came nor one went."""
    pairs, groups = (before.artifacts[kind] for kind in ("pairs", "groups"))
    return pairs if earlier.facts(before)["searched"] == key else before.lake.key("pairs", key, pairs, groups)


def _asked(config: Config, map_parts: MapParts) -> Asked:
    return Asked(config.threshold, config.recall_queries, config.seed, map_parts)


def _found(
    version: Version, key: str, pool: Pool, config: Config, map_parts: MapParts, before: Version | None
) -> tuple[Found, dict[str, Any]]:
    """The pairs of distinct vectors and what is told of their search, from the artifact, which is made if need be."""
    if not version.lake.has_artifact("pairs", key):
        known = None
        if before is not None:
            known = read_known(before.artifact("pairs"), pool, earlier.renumbered(before, version))
        with version.lake.new_artifact("pairs", key) as folder:
            searched = search(pool.stored, known, config.ask(), folder, map_parts)
            write_pairs(folder, pool, searched)
            write_codes(folder, pool)
            asked_before = None
            if known is not None and known.queried is not None and len(searched.new) < pool.kinds:
                asked_before = Earlier(known.queried, searched.new)  # where all were searched anew, all are asked
            recall, bands, queried = estimate(pool.stored, searched.found, _asked(config, map_parts), asked_before)
            queried.save(folder / QUERIED)
            how = {"compared": len(searched.new), "reach": searched.reach if config.method == "probes" else None}
            write_json(folder / "recall.json", {**_told(recall, bands, searched.found), **how})
    return read_pairs(version.lake.artifact_path("pairs", key), pool)


def _told(recall: Estimate, bands: list[Band], found: Found) -> dict[str, Any]:
    """Recall in all and by similarity; the pairs that each further probe, clustering or round of questions found."""
    return {
        "recall": recall._asdict(),
        "recall_bands": [{**band._asdict(), "recall": band.recall._asdict()} for band in bands],
        "gains": np.bincount(found.step).tolist(),
    }
