"""Gates: one Great Expectations suite a step decides whether a version may be committed.

DuckDB computes a one-row frame of metrics from the version (sql/gates/), Great Expectations judges it against the
bounds of tasks/suites.py. A metric that is absent or null, and an expectation that could not be evaluated, fail the
gate as a violated one does.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks import audit_gates, queries
from tasks.lake import Version
from tasks.suites import Bound, Config, suite

__all__ = ["Config", "Result", "evaluate", "judge", "metrics"]

QUERIES = {  # what is asked of a version after each step, besides the verdicts
    "ingest": ("samples", "embedding"),
    "filter": ("filter",),
    "dedup": ("dedup",),
    "reweight": ("reweight",),
    "publish": ("reweight",),
}


@dataclasses.dataclass(frozen=True)
class Result:
    """One expectation's outcome. `value` is None where the metric could not be evaluated."""

    metric: str
    passed: bool
    value: float | None
    low: float | None
    high: float | None
    meaning: str
    problem: str | None = None

    def sentence(self) -> str:
        """What was expected, what was found, and by how much they differ."""
        if self.value is None:
            return f"{self.metric} ({self.meaning}) could not be evaluated: {self.problem}"
        sides = [
            f"{word} {side:g}" for word, side in (("at least", self.low), ("at most", self.high)) if side is not None
        ]
        wanted = f"exactly {self.low:g}" if self.low == self.high else " and ".join(sides)
        found = f"{self.metric} ({self.meaning}): {wanted} was expected, {self.value:g} was found"
        if self.high is not None and self.value > self.high:
            return f"{found}, {self.value - self.high:.4g} too much"
        if self.low is not None and self.value < self.low:
            return f"{found}, {self.low - self.value:.4g} too little"
        return found


def evaluate(version: Version, stage: str, config: Config) -> list[Result]:
    """Judge a draft. (The caller does not commit it where a result has not passed.)"""
    threshold = float(version.config.get("dedup", {}).get("threshold", 0.0))
    found = metrics(version, stage)
    if stage == "reweight":
        found |= audit_gates.figures(version, config.audit)
    return judge(found, suite(stage, config, threshold), stage)


def metrics(version: Version, stage: str) -> dict[str, float | None]:
    """The figures that a step's suite judges; None where one could not be computed."""
    tables = {"decision": version.table("decision"), "samples": version.table("samples", ["uid", "sha256"])}
    if stage == "ingest":
        tables["norms"] = _norms(version)
    found: dict[str, Any] = {}
    with queries.database(tables) as database:
        for name in ("decision", *QUERIES[stage]):
            found |= database.run("gates", name).to_pylist()[0]
    found["samples_missing"] = version.rows - found["samples"]
    if stage == "filter":
        for category, facts in version.summary.get("filter", {}).get("categories", {}).items():
            found |= certified(category, facts["certificate"])
    if stage == "dedup":
        facts = version.summary.get("dedup", {})
        found["survivor_pairs"] = facts.get("survivor_pairs")
        found["overfull_groups"] = facts.get("overfull_groups")
        found["pair_recall"] = facts.get("recall", {}).get("estimate")
        found["residual_rate"] = facts.get("residual", {}).get("rate")
    if stage == "publish":
        published = version.artifact("published") / "samples.parquet"
        found["rows_unpublished"] = version.rows - pq.read_metadata(published).num_rows
    return {name: None if value is None else float(value) for name, value in found.items()}


def certified(category: str, certificate: Mapping[str, Any]) -> dict[str, float]:
    """The bounds that hold for every part of the version: where a part is not covered, or nothing shown, none does."""
    covered = not certificate.get("not_covered")
    recall, elusion = (certificate.get(name) if covered else None for name in ("recall_lower", "elusion_upper"))
    return {
        f"certified_recall.{category}": 0.0 if recall is None else float(recall),
        f"certified_elusion.{category}": 1.0 if elusion is None else float(elusion),
    }


def _norms(version: Version) -> pa.Table:
    """One row a sample: the embedding's norm, and whether it is finite. Part by part, so memory does not grow."""
    norms = [np.linalg.norm(part.astype(np.float32), axis=1) for part in version.embeddings()]
    norm = np.concatenate(norms) if norms else np.zeros(0, np.float32)
    return pa.table({"norm": norm, "finite": np.isfinite(norm)})


def load() -> None:
    """Import Great Expectations, which takes three seconds, while there is nothing else to do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations  # noqa: F401
        import pandas  # noqa: F401


def judge(found: Mapping[str, float | None], bounds: Sequence[Bound], name: str) -> list[Result]:
    """Great Expectations' verdict on each bound, failing closed."""
    outcome = _validate({bound.metric: found.get(bound.metric) for bound in bounds}, bounds, name)
    return [_result(bound, found.get(bound.metric), *outcome[bound.metric]) for bound in bounds]


def _result(bound: Bound, value: float | None, passed: bool, problem: str | None) -> Result:
    if value is None or not math.isfinite(value):
        value, passed, problem = None, False, problem or "the metric is missing or not a number"
    if problem is not None:
        value, passed = None, False
    return Result(bound.metric, passed, value, bound.low, bound.high, bound.meaning, problem)


def _validate(
    values: Mapping[str, float | None], bounds: Sequence[Bound], name: str
) -> dict[str, tuple[bool, str | None]]:
    """Metric → (passed, what kept it from being evaluated)."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own deprecations; ours are errors in the tests
        import great_expectations as gx
        import pandas as pd

        logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)  # temporary folders

        frame = pd.DataFrame({metric: pd.Series([value], dtype="float64") for metric, value in values.items()})
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
        asset = context.data_sources.add_pandas(name).add_dataframe_asset("metrics")
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch(batch_parameters={"dataframe": frame})
        expectations = gx.ExpectationSuite(name=name)
        for bound in bounds:
            expectations.add_expectation(
                gx.expectations.ExpectColumnValuesToBeBetween(  # type: ignore[attr-defined]
                    column=bound.metric, min_value=bound.low, max_value=bound.high
                )
            )
        validation = batch.validate(expectations)
    outcome: dict[str, tuple[bool, str | None]] = {b.metric: (False, "it was not evaluated") for b in bounds}
    for result in validation.results:
        raised = [str(e.get("exception_message")) for e in _exceptions(result.exception_info)]
        metric = result.expectation_config.kwargs["column"]  # type: ignore[union-attr]
        outcome[metric] = (bool(result.success) and not raised, raised[0] if raised else None)
    return outcome


def _exceptions(info: Any) -> list[dict[str, Any]]:
    """Great Expectations gives one record, or a dictionary of them."""
    records = [info] if isinstance(info, dict) and "raised_exception" in info else list((info or {}).values())
    return [record for record in records if isinstance(record, dict) and record.get("raised_exception")]
