"""Reweight: each kept sample's weight, so that training sees the pool's proportions again and not the filter's.

The article weighted by P(unfiltered|x) / P(filtered|x) from a weak probe. Here the kept samples are balanced against
the pool on coarse features, no harder than helps on terms held out, and chosen groups get their pool share exactly, or
the share that a team declares. The reference is the pool with near-duplicates counted once: weights undo the filter,
not the deduplication.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks import samples
from tasks.errors import ConfigError
from tasks.files import read_table, write_array, write_json
from tasks.lake import Lake, MapParts, Version
from tasks.threads import one_thread
from tasks.weights import declared_weights, features, probe, propensity
from tasks.weights.balance import Floats, Limits, capped, effective_sample_size, pareto_k
from tasks.weights.balancing import Images, balance_parts, cap_cost, judged_words, unbalanced
from tasks.weights.declarations import NO_GROUPS, Declared, captions_of, classifiers, declare, plain_name
from tasks.words import tokens

REVISION = 2
DIGITS = 9  # significant, of weights and of every figure that is written
NOTHING: Final[Mapping[str, Any]] = MappingProxyType(  # the facts of a method that restores and judges nothing
    {
        "penalty": None,
        "cap_cost": None,
        "restored": [],
        "not_restored": [],
        "held_out": None,
        "targets": [],
        "notes": [],
    }
)


@dataclass(frozen=True)
class Config:
    method: str = "balance"  # balance | propensity | probe | none
    restore: tuple[str, ...] | None = None  # terms or groups whose pool share is met exactly; None: audited keywords
    targets: str = ""  # path of a TOML file of declared targets (docs/targets.md)
    groups: str = ""  # path of a TOML file of term groups that restore and targets may name; a run gives the audit's
    cap: float = 10.0  # largest weight; the mean is 1
    ess_floor: float = 0.5  # effective sample size / kept samples, for balance and for what is declared
    components: int = 32  # principal components of the embedding that are balanced
    min_count: int = 20  # usable captions with a word, for it to be balanced or held out
    folds: int = 5  # of held-out terms (balance, propensity), of samples (propensity, probe)
    seed: int = 0  # of the folds of samples (propensity, probe)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"reweight.method: one of {', '.join(METHODS)} was expected, {self.method!r} was found")
        if not 1 < self.cap < 1e6 or not 0 <= self.ess_floor < 1:
            raise ConfigError(
                "reweight: a cap between 1 and 1,000,000 and an ess_floor of at least 0 and below 1 were expected; "
                f"found {self.cap} and {self.ess_floor}"
            )
        if self.components < 0 or self.min_count < 1 or self.folds < 3:
            raise ConfigError(
                "reweight: components of at least 0, min_count of at least 1 and folds of at least 3 were expected; "
                f"found {self.components}, {self.min_count} and {self.folds}"
            )
        for term in self.restore or ():
            plain_name(term, NO_GROUPS, "reweight.restore")


class Data(NamedTuple):
    """What the methods read of a version."""

    version: Version
    config: Config
    map_parts: MapParts
    pool: features.Pool
    declared: Declared
    named: features.Terms  # all that is declared, in the order of its names
    asked: features.Terms  # whose share of the pool should be met exactly
    words: features.Terms  # frequent ones


class Outcome(NamedTuple):
    """Weights, the facts about them, and what made them."""

    weights: Floats  # (m,) of the kept samples, in order
    facts: Mapping[str, Any]
    model: Mapping[str, Any] = MappingProxyType({})
    arrays: Mapping[str, np.ndarray] = MappingProxyType({})


def run(version: Version, config: Config, map_parts: MapParts) -> Version:
    """The version with weights for what is kept, and artifact `weights`: what made them."""
    declared = _declared(version, config)
    settings = {**asdict(config), "restore": list(declared.restore), **declared.digests()}
    key = _key(version, settings, declared)
    derived = version.derive("reweight", columns={"decision": key}, artifacts={"weights": key}, config=settings)
    whole = all(derived.column_path("decision", part).exists() for part in derived.parts)
    if not whole or not version.lake.has_artifact("weights", key):
        _write(version, key, weigh(version, config, declared, map_parts))
    summary = json.loads((derived.artifact("weights") / "summary.json").read_text("utf-8"))
    return derived.derive("reweight", summary=summary)


def _declared(version: Version, config: Config) -> Declared:
    """What is to be restored, by default the audited keywords, and the targets."""
    keywords = version.config.get("audit", {}).get("keywords", ())
    return declare(config.restore, keywords, config.targets, config.groups)


def _key(version: Version, settings: Mapping[str, Any], declared: Declared) -> str:
    parts = [part.part for part in version.parts]
    inputs = version.columns["decision"], version.columns["embedding"], version.artifacts.get("groups")
    scores = [version.columns.get(f"score.{name}") for name in classifiers(declared)]
    words = sorted(declared.words)
    return Lake.key("reweight", REVISION, settings, words, parts, tokens.key(version), *inputs, scores)


def _write(version: Version, key: str, outcome: Outcome) -> None:
    decision = version.table("decision")
    kept = pc.equal(decision["verdict"], samples.KEPT).to_numpy()
    weights = np.zeros(len(kept))
    weights[kept] = outcome.weights
    column = pa.array(weights, mask=~kept)
    version.write_decision(decision.set_column(decision.schema.get_field_index("weight"), "weight", column), key)
    with version.lake.new_artifact("weights", key) as folder:
        write_json(folder / "model.json", {"method": outcome.facts["method"], **outcome.model})
        for name, values in outcome.arrays.items():
            write_array(folder / f"{name}.npy", values)
        write_json(folder / "summary.json", outcome.facts)


def weigh(version: Version, config: Config, declared: Declared, map_parts: MapParts) -> Outcome:
    """Weights of the kept samples by the method asked for, then as near to them as what is declared allows.

    All 1 where the filter removed nothing and no target is declared.
    """
    decision = version.table("decision", ["verdict"])
    counts = samples.count_verdicts(decision)
    if not counts[samples.KEPT]:
        return finished(_equal(0, "nothing is kept: there are no weights"), config)
    unfiltered = not counts[samples.FILTERED]
    if unfiltered and declared.targets is None:
        return finished(_equal(counts[samples.KEPT], "the filter removed nothing: all weights are 1"), config)
    with one_thread():
        data = _read(version, config, declared, map_parts)
        made = _unfiltered(data) if unfiltered else METHODS[config.method](data)
        return finished(_declared_met(data, made), config)


def _unfiltered(data: Data) -> Outcome:
    return _equal(int(data.pool.kept.sum()), "the filter removed nothing: weights only meet the targets")


def _read(version: Version, config: Config, declared: Declared, map_parts: MapParts) -> Data:
    tokens.write_tokens(version, map_parts)
    facts, decision = version.table("samples", ["uid"]), version.table("decision", ["verdict"])
    groups = None
    if "groups" in version.artifacts:
        groups = read_table(version.artifact("groups") / "groups.parquet", ["group", "uid"])
    pool = features.pool_of(decision["verdict"], facts["uid"], groups)
    named = captions_of(version, declared, pool.usable)
    asked = features.Terms(declared.restore, named.has[:, : len(declared.restore)])
    words = features.frequent_words(tokens.read_tokens(version), pool.usable, config.min_count)
    return Data(version, config, map_parts, pool, declared, named, asked, words)


def _declared_met(data: Data, made: Outcome) -> Outcome:
    """The weights nearest to a method's that meet what is declared; `none` declares nothing but targets."""
    method, declared = data.config.method, data.declared
    if declared.targets is None and (method in ("balance", "none") or not declared.restore):
        return made  # balance has met what is restored
    limits = Limits(data.config.cap, data.config.ess_floor)
    problem = declared_weights.Problem(data.pool, data.named, declared, limits)
    balanced = made.facts.get("not_restored", []) if method == "balance" else []
    given_up = {row["term"]: row["reason"] for row in balanced}
    weights, facts = declared_weights.meet(problem, made.weights, given_up, data.words)
    return made._replace(weights=weights, facts={**made.facts, **facts})


def _balance(data: Data) -> Outcome:
    found = features.components(data.version, data.map_parts, data.config.components)
    limits = Limits(data.config.cap, data.config.ess_floor)
    images = Images(data.version.embeddings(), found)
    made = balance_parts(images, data.pool, (data.asked, data.words), limits, data.config.folds)
    return Outcome(made.weights, made.facts, made.model, {"mean": found.mean, "basis": found.basis})


def _propensity(data: Data) -> Outcome:
    """P(keep) over the chance of coarse features to be kept; words judge models that did not have them."""
    found = features.components(data.version, data.map_parts, data.config.components)
    words = judged_words(data.pool, data.words, data.asked)
    settings = propensity.Settings(data.config.cap, data.config.folds, data.config.seed)
    made = propensity.weigh(data.version.embeddings(), found, data.pool, words, settings)
    facts = {**unbalanced(data.pool, data.asked, data.words, made.weights), **made.facts}
    facts["notes"] = [f"the weights are {made.facts['propensity']['weights_are']}"]
    return Outcome(made.weights, facts, made.model, {"mean": found.mean, "basis": found.basis})


def _probe(data: Data) -> Outcome:
    """The article's weights. All supported words are held out: the probe sees none."""
    embeddings, folds = data.version.embeddings(), data.config.folds
    fold = probe.folds_of(data.pool, folds, data.config.seed)
    trained = probe.train(embeddings, data.pool, fold, folds)
    raw = probe.weigh(embeddings, trained, fold)[data.pool.kept]
    weights = capped(raw, data.config.cap)
    facts = unbalanced(data.pool, data.asked, data.words, weights)
    at_cap = weights >= data.config.cap * (1 - 1e-9)
    if at_cap.any():
        facts["cap_cost"] = cap_cost(weights, raw / raw.mean(), data.config.cap)
    return Outcome(weights, facts, {"folds": folds}, {"mean": trained.mean, "coefficients": trained.coefficients})


def _none(data: Data) -> Outcome:
    return _equal(int(data.pool.kept.sum()), "no weights were asked for: all weights are 1")


def _equal(count: int, note: str) -> Outcome:
    return Outcome(np.ones(count), {"notes": [note]})


METHODS: Final[dict[str, Callable[[Data], Outcome]]] = {
    "balance": _balance,
    "propensity": _propensity,
    "probe": _probe,
    "none": _none,
}


def finished(outcome: Outcome, config: Config) -> Outcome:
    """The outcome with its weights rounded and scaled to mean 1, and the facts that every method has."""
    weights = outcome.weights
    if len(weights):
        weights = np.array([float(f"{w:.{DIGITS}g}") for w in weights / weights.mean()])
    size = effective_sample_size(weights)
    facts = {
        "method": config.method,
        "kept": len(weights),
        "effective_sample_size": size,
        "ess_share": size / len(weights) if len(weights) else None,
        "pareto_k": pareto_k(weights),
        "max_weight": float(weights.max()) if len(weights) else None,
        "cap": config.cap,
        **NOTHING,
        **outcome.facts,
    }
    return outcome._replace(weights=weights, facts=rounded(facts))


def rounded(value: Any) -> Any:
    """Every float of a JSON value to DIGITS significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {name: rounded(inner) for name, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, list) else value
