"""Gates fail closed: every bound of every suite can fail alone, and what cannot be evaluated is told apart from it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import gates
from tasks.errors import ConfigError
from tasks.files import write_table
from tasks.gates import Result, evaluate, judge, metrics
from tasks.lake import Version
from tasks.suites import Bound, Config, suite
from tests.tasks.small_version import samples_table, uid, version

STAGES = ("ingest", "filter", "dedup", "reweight", "publish")
THRESHOLD = 0.9
SUITES = {stage: suite(stage, Config(), THRESHOLD) for stage in STAGES}
SIDES = [
    (stage, bound, side)
    for stage, bounds in SUITES.items()
    for bound in bounds
    for side in ("low", "high")
    if getattr(bound, side) is not None
]
SHARES = [field.name for field in dataclasses.fields(Config) if field.type == "float"]


def inside(bounds: Sequence[Bound]) -> dict[str, float | None]:
    """A metric for each bound, on the bound: bounds belong to what is allowed."""
    return {b.metric: float(b.low if b.low is not None else b.high or 0) for b in bounds}


def failed(results: Sequence[Result]) -> list[str]:
    return [result.metric for result in results if not result.passed]


@pytest.mark.parametrize("stage", STAGES)
def test_a_suite_judges_each_of_its_metrics_once_and_both_ends_of_a_bound_pass(stage: str) -> None:
    bounds = SUITES[stage]
    assert len({bound.metric for bound in bounds}) == len(bounds)
    assert [result.metric for result in judge(inside(bounds), bounds, stage)] == [bound.metric for bound in bounds]
    ends = {b.metric: float(b.high if b.high is not None else b.low or 0) for b in bounds}
    assert not failed(judge(inside(bounds), bounds, stage)) and not failed(judge(ends, bounds, stage))


@pytest.mark.parametrize(("stage", "bound", "side"), SIDES, ids=lambda value: getattr(value, "metric", value))
def test_every_bound_fails_alone_and_says_what_was_found(stage: str, bound: Bound, side: str) -> None:
    limit = float(getattr(bound, side))
    value = limit + 0.001 if side == "high" else limit - 0.001
    results = judge({**inside(SUITES[stage]), bound.metric: value}, SUITES[stage], stage)
    assert failed(results) == [bound.metric]
    (result,) = [result for result in results if not result.passed]
    assert result.value == value and result.problem is None
    assert bound.meaning in result.sentence()
    assert "0.001 too much" in result.sentence() or "0.001 too little" in result.sentence()


@pytest.mark.parametrize("stage", STAGES)
def test_metrics_that_are_no_numbers_fail_and_are_told_from_violated_ones(stage: str) -> None:
    bounds = SUITES[stage]
    wrong = dict(zip([bound.metric for bound in bounds], [None, math.nan, math.inf, -math.inf], strict=False))
    found = {**inside(bounds), **wrong}
    del found[bounds[-1].metric]
    results = judge(found, bounds, stage)
    assert failed(results) == [*wrong, bounds[-1].metric]
    for result in results:
        assert result.passed or (result.value is None and "could not be evaluated" in result.sentence())


def test_an_expectation_that_great_expectations_cannot_evaluate_fails_with_its_reason() -> None:
    bounds = (Bound("upside_down", 2, 1, "no number is that"), Bound("fine", 0, 1, "this one is judged"))
    upside_down, fine = judge({"upside_down": 1.5, "fine": 0.5}, bounds, "any")
    assert fine.passed
    assert not upside_down.passed and upside_down.value is None
    assert "could not be evaluated: min_value cannot be greater than max_value" in upside_down.sentence()


def test_an_expectation_without_an_outcome_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    import great_expectations as gx

    bounds = (Bound("a", 0, 1, "this one is lost"), Bound("b", 0, 1, "this one is judged"))
    validate = gx.datasource.fluent.interfaces.Batch.validate

    def forgetful(batch: Any, suite: Any) -> Any:
        validation = validate(batch, suite)
        validation.results = [r for r in validation.results if r.expectation_config.kwargs["column"] != "a"]
        return validation

    monkeypatch.setattr(gx.datasource.fluent.interfaces.Batch, "validate", forgetful)
    lost, judged = judge({"a": 0.5, "b": 0.5}, bounds, "any")
    assert judged.passed
    assert not lost.passed and lost.problem == "it was not evaluated"


@given(value=st.floats(-2, 3), low=st.none() | st.just(0.0), high=st.just(1.0))
def test_a_sentence_says_what_was_expected_found_and_by_how_much(value: float, low: float | None, high: float) -> None:
    text = Result("share", False, value, low, high, "a share", None).sentence()
    assert text.startswith("share (a share): ") and f"{value:g} was found" in text
    assert "at most 1" in text and ("at least 0" in text) == (low is not None)
    assert ("too much" in text) == (value > 1)
    assert ("too little" in text) == (low is not None and value < 0)


def test_a_sentence_says_exactly_where_only_one_value_is_allowed() -> None:
    text = Result("orphans", False, 3.0, 0, 0, "every duplicate has a kept near-duplicate").sentence()
    assert text == (
        "orphans (every duplicate has a kept near-duplicate): exactly 0 was expected, 3 was found, 3 too much"
    )


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf])
def test_a_bound_that_is_no_share_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"gates\.{name}: a share between 0 and 1 was expected, {value} was found"):
        Config(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SHARES)
def test_a_bound_of_nothing_or_all_is_allowed(name: str) -> None:
    for value in (0.0, 1.0):
        assert getattr(Config(**{name: value}), name) == value  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "stage", "bound"),
    [
        (Config(max_quarantined=0.1), "ingest", Bound("quarantined_share", 0, 0.1, "share of the samples quarantined")),
        (Config(max_filtered=0.1), "filter", Bound("filtered_share", 0, 0.1, "share of the usable samples filtered")),
        (Config(min_kept=7), "publish", Bound("kept", 7, None, "samples kept")),
    ],
)
def test_a_configured_bound_is_the_one_that_is_judged(config: Config, stage: str, bound: Bound) -> None:
    assert bound in suite(stage, config)


# --- versions made by hand: what the metrics are taken from


def good(root: Path, **damage: Any) -> Version:
    """Five samples of every verdict, with each stage's facts; `damage` replaces single values: column=(row, value)."""
    facts: dict[str, Any] = {
        "verdict": ["kept", "kept", "filtered", "duplicate", "quarantined"],
        "stage": [None, None, "filter", "dedup", "ingest"],
        "reason": [None, None, "romance", "near-duplicate", "zero bytes"],
        "duplicate_of": [None, None, None, uid(0), None],
        "duplicate_similarity": [None, None, None, 0.95, None],
        "weight": [1.25, 0.75, None, None, None],
    }
    samples = samples_table(["a", "b", "c", "d", "e"]).to_pydict() | {"sha256": ["a" * 64] * 4 + [None]}
    vectors = np.eye(5, 8)
    vectors[4] = 0
    for column, (row, value) in damage.items():
        if column == "vectors":
            vectors[row] = value
        else:
            (facts if column in facts else samples)[column][row] = value
    made = version(root, ["a", "b", "c", "d", "e"], vectors, facts["verdict"], parts=1)
    (part,) = made.parts
    write_table(made.column_path("decision", part), pa.table(facts, schema=made.table("decision").schema))
    write_table(made.column_path("samples", part), pa.table(samples, schema=made.table("samples").schema))
    with made.lake.new_artifact("published", "p") as folder:
        write_table(folder / "samples.parquet", pa.table({"uid": samples["uid"]}))
    told = {"survivor_pairs": 0, "overfull_groups": 0, "recall": {"estimate": 0.99}, "residual": {"rate": 0.001}}
    return made.derive("dedup", artifacts={"published": "p"}, config={"threshold": THRESHOLD}, summary=told)


LENIENT = Config(max_filtered=0.5)  # a fourth of the usable samples is filtered


@pytest.mark.parametrize("stage", STAGES)
def test_a_good_version_passes_and_every_metric_of_its_suite_is_measured(stage: str, tmp_path: Path) -> None:
    results = evaluate(good(tmp_path), stage, LENIENT)
    assert failed(results) == []
    assert all(result.value is not None for result in results)


BAD: Sequence[tuple[str, Mapping[str, Any], str]] = (
    ("filter", {"verdict": (0, "perhaps"), "stage": (0, "x"), "reason": (0, "y")}, "samples_without_verdict"),
    ("filter", {"reason": (2, None)}, "removed_without_reason"),
    ("filter", {"reason": (0, "romance")}, "kept_with_reason"),
    ("filter", {"duplicate_of": (3, None)}, "duplicates_without_survivor"),
    ("ingest", {"uid": (0, "short")}, "uids_missing"),
    ("ingest", {"uid": (0, uid(1))}, "uids_repeated"),
    ("ingest", {"sha256": (0, None)}, "usable_without_image"),
    ("ingest", {"vectors": (2, math.nan)}, "embeddings_not_finite"),
    ("ingest", {"vectors": (0, 0.0)}, "norm_error_max"),
    ("ingest", {"vectors": (0, 1.0)}, "norm_error_max"),
    ("dedup", {"duplicate_of": (3, uid(2))}, "orphans"),
    ("dedup", {"duplicate_similarity": (3, 0.5)}, "duplicate_similarity_min"),
    ("dedup", {"duplicate_similarity": (3, None)}, "duplicate_similarity_min"),
    ("reweight", {"weight": (2, 1.0)}, "weights_of_removed"),
    ("publish", {"weight": (0, None)}, "weights_unusable"),
)


@pytest.mark.parametrize(("stage", "damage", "metric"), BAD, ids=[metric for _, _, metric in BAD])
def test_one_damaged_value_of_a_version_fails_its_gate(
    stage: str, damage: Mapping[str, Any], metric: str, tmp_path: Path
) -> None:
    assert metric in failed(evaluate(good(tmp_path, **damage), stage, LENIENT))


def test_facts_that_a_stage_did_not_tell_fail_its_gate(tmp_path: Path) -> None:
    draft = good(tmp_path).derive("dedup", config={"threshold": THRESHOLD}, summary={})
    results = evaluate(draft, "dedup", LENIENT)
    assert failed(results) == ["survivor_pairs", "overfull_groups", "pair_recall", "residual_rate"]
    assert all(result.value is None for result in results if not result.passed)


def test_survivors_that_still_have_near_duplicates_fail_the_gate(tmp_path: Path) -> None:
    draft = good(tmp_path)
    told = {**draft.summary["dedup"], "residual": {"rate": 0.03}}
    results = evaluate(draft.derive("dedup", summary=told), "dedup", LENIENT)
    assert failed(results) == ["residual_rate"]


def test_a_published_table_that_lacks_a_row_fails_the_gate(tmp_path: Path) -> None:
    draft = good(tmp_path)
    with draft.lake.new_artifact("published", "fewer") as folder:
        write_table(folder / "samples.parquet", pa.table({"uid": ["u"] * 4}))
    assert failed(evaluate(draft.derive("publish", artifacts={"published": "fewer"}), "publish", LENIENT)) == [
        "rows_unpublished"
    ]


def test_a_pool_without_samples_keeps_too_few(tmp_path: Path) -> None:
    empty = Version(good(tmp_path).lake)
    found = metrics(empty, "ingest")
    assert found["kept"] == 0 and None not in found.values()
    assert failed(evaluate(empty, "ingest", LENIENT)) == ["kept"]


def test_the_suites_and_the_questions_are_of_the_same_stages() -> None:
    assert set(gates.QUERIES) == set(STAGES)


CERTIFIED = {"recall_lower": 0.93, "elusion_upper": 0.002, "not_covered": []}
WANTED = Config(min_certified_recall={"knife": 0.9}, max_certified_elusion={"knife": 0.003})


@pytest.mark.parametrize(
    ("facts", "failing"),
    [
        (CERTIFIED, []),
        ({**CERTIFIED, "recall_lower": 0.89}, ["certified_recall.knife"]),
        ({**CERTIFIED, "elusion_upper": 0.004}, ["certified_elusion.knife"]),
        ({**CERTIFIED, "recall_lower": None}, ["certified_recall.knife"]),
        ({**CERTIFIED, "not_covered": ["late.tar"]}, ["certified_recall.knife", "certified_elusion.knife"]),
        ({"recall_lower": None, "elusion_upper": None}, ["certified_recall.knife", "certified_elusion.knife"]),
    ],
)
def test_a_gate_demands_what_is_certified_of_every_part(facts: dict[str, Any], failing: list[str]) -> None:
    bounds = [bound for bound in suite("filter", WANTED) if bound.metric.startswith("certified_")]
    assert failed(judge(gates.certified("knife", facts), bounds, "filter")) == failing


def test_a_category_without_a_certificate_at_all_fails_the_gate_that_demands_one() -> None:
    bounds = [bound for bound in suite("filter", WANTED) if bound.metric.startswith("certified_")]
    assert len(failed(judge({}, bounds, "filter"))) == 2


def test_a_certified_share_beyond_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"gates\.min_certified_recall\.knife: a share between 0 and 1"):
        Config(min_certified_recall={"knife": 1.5})
