"""Given and expected rows of each question in sql/gates: what the gates' metrics are, of tables empty, good and bad."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest

from tasks.queries import SQL, database
from tasks.samples import DECISION, SAMPLES

UIDS = [f"{number:032x}" for number in range(5)]
SHA256 = ["a" * 64] * 5
GOOD: list[dict[str, Any]] = [  # one sample of each verdict, and a second one that is kept
    {"verdict": "kept", "weight": 1.5},
    {"verdict": "kept", "weight": 0.5},
    {"verdict": "filtered", "stage": "filter", "reason": "romance"},
    {
        "verdict": "duplicate", "stage": "dedup", "reason": "near-duplicate", "duplicate_of": UIDS[0],
        "duplicate_similarity": 0.5,
    },
    {"verdict": "quarantined", "stage": "ingest", "reason": "zero bytes"},
]  # fmt: skip
EXPECTED: dict[str, dict[str, float | None]] = {  # of GOOD, by question
    "decision": {
        "samples": 5, "samples_without_verdict": 0, "kept": 2, "removed_without_reason": 0, "kept_with_reason": 0,
        "duplicates_without_survivor": 0,
    },
    "samples": {
        "uids_missing": 0, "uids_repeated": 0, "usable": 4, "usable_without_image": 0, "quarantined_share": 0.2,
    },
    "embedding": {"rows_unaligned": 0, "embeddings_not_finite": 0, "norm_error_max": 0.25},
    "filter": {"filtered_share": 0.25},
    "dedup": {"duplicate_share": 1 / 3, "orphans": 0, "duplicate_similarity_min": 0.5},
    "reweight": {
        "weights_unusable": 0, "weights_of_removed": 0, "weight_mean": 1.0, "effective_sample_share": 0.8,
    },
}  # fmt: skip
EMPTY: dict[str, dict[str, float | None]] = {  # of tables without rows: nothing divides by zero
    "decision": dict.fromkeys(EXPECTED["decision"], 0),
    "samples": dict.fromkeys(EXPECTED["samples"], 0),
    "embedding": dict.fromkeys(EXPECTED["embedding"], 0),
    "filter": {"filtered_share": 0},
    "dedup": {"duplicate_share": 0, "orphans": 0, "duplicate_similarity_min": 1},
    "reweight": {
        "weights_unusable": 0, "weights_of_removed": 0, "weight_mean": None, "effective_sample_share": None,
    },
}  # fmt: skip


def asked(
    question: str,
    decision: list[dict[str, Any]] = GOOD,
    uids: list[str | None] | None = None,
    sha256: list[str | None] | None = None,
    norms: list[float] | None = None,
) -> dict[str, Any]:
    """The one row that a question answers."""
    rows = len(decision)
    facts: dict[str, Any] = {name: [None] * rows for name in SAMPLES.names}
    facts |= {"uid": uids or UIDS[:rows], "sha256": sha256 or SHA256[:rows]}
    norm = [1.0, 1.25, 1.0, 0.9, 0.0][:rows] if norms is None else norms
    tables = {
        "decision": pa.Table.from_pylist(decision, schema=DECISION),
        "samples": pa.table(facts, schema=SAMPLES),
        "norms": pa.table({"norm": pa.array(norm, pa.float32()), "finite": [math.isfinite(value) for value in norm]}),
    }
    if not norm:
        tables["norms"] = tables["norms"].cast(pa.schema([("norm", pa.float32()), ("finite", pa.bool_())]))
    with database(tables, threads=1) as db:
        (row,) = db.run("gates", question).to_pylist()
    return dict(row)


def changed(place: int, **columns: Any) -> list[dict[str, Any]]:
    """GOOD with one row's decision changed."""
    return [{**row, **columns} if number == place else row for number, row in enumerate(GOOD)]


@pytest.mark.parametrize("question", EXPECTED)
def test_a_question_answers_its_metrics_of_a_good_version(question: str) -> None:
    assert asked(question) == pytest.approx(EXPECTED[question])


@pytest.mark.parametrize("question", EMPTY)
def test_a_question_about_no_samples_divides_by_nothing(question: str) -> None:
    assert asked(question, []) == EMPTY[question]


@pytest.mark.parametrize(
    ("decision", "metric", "found"),
    [
        (changed(0, verdict=None), "samples_without_verdict", 1),
        (changed(0, verdict="perhaps", stage="filter", reason="mood"), "samples_without_verdict", 1),
        (changed(2, stage=None), "removed_without_reason", 1),
        (changed(2, reason=None), "removed_without_reason", 1),
        (changed(0, stage="filter"), "kept_with_reason", 1),
        (changed(0, reason="romance"), "kept_with_reason", 1),
        (changed(0, duplicate_of=UIDS[1]), "kept_with_reason", 1),
        (changed(3, duplicate_of=None), "duplicates_without_survivor", 1),
    ],
)
def test_a_verdict_that_does_not_add_up_is_counted(decision: list[dict[str, Any]], metric: str, found: int) -> None:
    wrong = {name: value for name, value in asked("decision", decision).items() if value != EXPECTED["decision"][name]}
    assert wrong.pop(metric) == found
    assert set(wrong) <= {"kept"}


@pytest.mark.parametrize("uid", [None, "", "0" * 31, "0" * 33, "G" * 32, "A" * 32, "é" * 32])
def test_what_is_not_32_hex_digits_is_no_uid(uid: str | None) -> None:
    assert asked("samples", uids=[uid, *UIDS[1:]])["uids_missing"] == 1


def test_only_usable_samples_must_be_told_apart_and_have_an_image() -> None:
    twice, none = [*UIDS[:4], UIDS[0]], [*SHA256[:4], None]
    assert asked("samples", uids=twice, sha256=none) == EXPECTED["samples"]
    assert asked("samples", uids=[UIDS[1], *UIDS[1:]])["uids_repeated"] == 1
    assert asked("samples", sha256=[None, *SHA256[1:]])["usable_without_image"] == 1


def test_a_pool_of_which_nothing_can_be_used_is_wholly_quarantined() -> None:
    found = asked("samples", [GOOD[4]] * 2)
    assert found["quarantined_share"] == 1 and found["usable"] == 0


@pytest.mark.parametrize("norms", [[1.0] * 4, [1.0] * 6])
def test_embeddings_that_are_fewer_or_more_than_the_samples_are_counted(norms: list[float]) -> None:
    assert asked("embedding", norms=norms)["rows_unaligned"] == 1


@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_an_embedding_that_is_not_finite_is_counted_of_any_sample(norm: float) -> None:
    for place in range(5):
        norms = [1.0] * 5
        norms[place] = norm
        assert asked("embedding", norms=norms)["embeddings_not_finite"] == 1


def test_the_norm_is_asked_of_usable_samples_only() -> None:
    assert asked("embedding", norms=[1.0, 1.0, 1.0, 1.0, 0.0])["norm_error_max"] == 0
    assert asked("embedding", norms=[0.0, 1.0, 1.0, 1.0, 0.0])["norm_error_max"] == 1


def test_shares_are_of_the_samples_that_reached_the_step() -> None:
    assert asked("filter", [GOOD[2], GOOD[4]])["filtered_share"] == 1
    assert asked("filter", [GOOD[4]])["filtered_share"] == 0
    assert asked("dedup", [GOOD[0], GOOD[2], GOOD[4]])["duplicate_share"] == 0


@pytest.mark.parametrize("of", [UIDS[2], UIDS[3], UIDS[4], "f" * 32])
def test_a_duplicate_of_what_is_not_kept_is_an_orphan(of: str) -> None:
    assert asked("dedup", changed(3, duplicate_of=of))["orphans"] == 1


def test_an_orphan_is_seen_beside_a_survivor_without_uid() -> None:
    assert asked("dedup", changed(3, duplicate_of=UIDS[2]), uids=[UIDS[0], None, *UIDS[2:]])["orphans"] == 1


@pytest.mark.parametrize(("similarity", "least"), [(None, -1), (math.nan, -1), (0.25, 0.25)])
def test_a_similarity_that_is_low_or_absent_counts_beside_a_high_one(similarity: float | None, least: float) -> None:
    both = [*changed(3, duplicate_similarity=similarity), {**GOOD[3], "duplicate_similarity": 0.99}]
    assert asked("dedup", both, [*UIDS, "5" * 32], [*SHA256, "b" * 64])["duplicate_similarity_min"] == least


@pytest.mark.parametrize("weight", [None, 0.0, -1.0, math.nan, math.inf])
def test_a_weight_that_a_trainer_cannot_use_is_counted(weight: float | None) -> None:
    assert asked("reweight", changed(0, weight=weight))["weights_unusable"] == 1


@pytest.mark.parametrize("place", [2, 3, 4])
def test_a_weight_of_a_removed_sample_is_counted(place: int) -> None:
    found = asked("reweight", changed(place, weight=1.0))
    assert found == {**EXPECTED["reweight"], "weights_of_removed": 1}


def test_one_sample_with_all_the_weight_is_an_effective_sample_of_one() -> None:
    decision = [{"verdict": "kept", "weight": 4.0 if number == 0 else 1e-9} for number in range(4)]
    assert asked("reweight", decision)["effective_sample_share"] == pytest.approx(0.25)


def test_every_question_is_asked_here_states_its_grain_first_and_is_lower_case() -> None:
    files = sorted((SQL / "gates").glob("*.sql"))
    assert {file.stem for file in files} == set(EXPECTED) == set(EMPTY)
    for file in files:
        text = file.read_text("utf-8")
        assert text.startswith("-- one row"), file.name
        code = "\n".join(line.split("--")[0] for line in text.splitlines())
        assert code == code.lower(), file.name
