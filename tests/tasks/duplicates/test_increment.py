"""Parts come and go and verdicts change: what stays is right each time, and what is known is not searched again."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import dedup
from tasks.dedup import Config
from tasks.duplicates import increment, near_pairs, preferred, probing
from tasks.duplicates.assignment import Assigned
from tasks.files import read_table, write_array, write_table
from tasks.lake import Lake, Part, Version, open_lake
from tests.tasks.planted import all_pairs, planted, unit
from tests.tasks.small_version import decision_table, map_inline, samples_table

ROWS, PARTS, THRESHOLD = 30, 6, 0.9
VECTORS = planted(ROWS * PARTS, d=8, copies=0.5, apart=0.6)


def draft(lake: Lake, parts: list[int], filtered: int = 0, vectors: np.ndarray = VECTORS, rows: int = ROWS) -> Version:
    """Parts of `rows` samples each; sample k has vector k. 0 filters none, another number two in seven."""
    described = []
    for number in parts:
        some = np.arange(number * rows, (number + 1) * rows)
        part = Part(f"{number:016x}", f"{number:05d}.tar", f"{number:064x}", rows)
        described.append(part)
        verdicts = ["filtered" if filtered and k * (filtered + 6) % 7 < 2 else "kept" for k in some]
        facts = samples_table(["a caption"] * rows, number * rows)
        digests = [f"{k:064x}" for k in some]
        facts = facts.set_column(facts.schema.get_field_index("sha256"), facts.schema.field("sha256"), [digests])
        write_table(lake.column_path("samples", "s", part.part), facts)
        write_table(lake.column_path("decision", f"f{filtered}", part.part), decision_table(verdicts))
        write_array(lake.column_path("embedding", "e", part.part), vectors[some])
    return Version(lake, "filter", tuple(described), {"samples": "s", "decision": f"f{filtered}", "embedding": "e"})


def run(version: Version, previous: Version | None, **changes: Any) -> Version:
    config = Config(**{"threshold": THRESHOLD, "prefer": ("uid",), **changes})
    return dedup.run(version, config, map_inline, previous)


def numbers(version: Version, verdict: str) -> set[int]:
    """The samples of a verdict, as their uid numbers them."""
    verdicts = version.table("decision", ["verdict"])["verdict"].to_pylist()
    uids = version.table("samples", ["uid"])["uid"].to_pylist()
    return {int(uid, 16) for uid, found in zip(uids, verdicts, strict=True) if found == verdict}


def pairs_of(version: Version) -> set[tuple[int, int]]:
    uid = [int(uid, 16) for uid in version.table("samples", ["uid"])["uid"].to_pylist()]
    table = read_table(version.artifact("pairs") / "pairs.parquet")
    return {
        tuple(sorted((uid[i], uid[j]))) for i, j in zip(table["i"].to_pylist(), table["j"].to_pylist(), strict=True)
    }


def true_pairs(parts: list[int], vectors: np.ndarray = VECTORS, rows: int = ROWS) -> set[tuple[int, int]]:
    here = np.concatenate([np.arange(p * rows, (p + 1) * rows) for p in sorted(parts)])
    return {(int(here[i]), int(here[j])) for i, j in all_pairs(vectors[here], THRESHOLD)}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path / "lake", "pool", "made by hand")


STATES = st.tuples(st.lists(st.integers(0, PARTS - 1), min_size=1, max_size=PARTS, unique=True), st.integers(0, 3))


@settings(max_examples=8, deadline=None)
@given(
    history=st.lists(STATES, min_size=2, max_size=4),
    method=st.sampled_from(["probes", "exact", "annoy"]),
    cap=st.integers(1, 2),
    crowded=st.booleans(),
)
def test_after_any_history_no_orphan_is_left_and_no_two_survivors_are_near(
    history: list[tuple[list[int], int]], method: str, cap: int, crowded: bool
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(probing, "ALL_TO_ALL", 20)
        patch.setattr(probing, "CLUSTER", 10)
        if crowded:
            patch.setattr(near_pairs, "PAIRS_PER_SAMPLE", 2)
        home, done = open_lake(Path(folder), "pool", "made by hand"), None
        for parts, filtered in history:
            version = draft(home, parts, filtered)
            before, done = done, run(version, done, method=method, cap=cap)
            facts, near = done.summary["dedup"], true_pairs(parts)
            assert (facts["orphans"], facts["survivor_pairs"], facts["overfull_groups"]) == (0, 0, 0)
            kept, removed = numbers(done, "kept"), numbers(done, "duplicate")
            assert kept | removed == numbers(version, "kept")
            linked = {a for a, b in near if b in kept} | {b for a, b in near if a in kept}
            assert removed <= linked
            assert pairs_of(done) <= near
            if cap == 1:
                assert not [pair for pair in pairs_of(done) if kept.issuperset(pair)]
            if not crowded:
                share = len(pairs_of(done)) / len(near) if near else 1.0
                assert facts["recall"]["estimate"] == pytest.approx(share)
            if method == "exact":
                assert crowded or pairs_of(done) == near
                earlier = numbers(before, "kept") & numbers(version, "kept") if before is not None else set()
                # With a cap of two, one whose group lost its first may come to a group that has two already.
                assert earlier <= kept or cap > 1


def fan(degrees: list[float]) -> np.ndarray:
    """Unit vectors in a plane at those angles: near at 25 degrees or less."""
    angle = np.radians(degrees)
    return np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float16)


def test_what_was_kept_stays_though_a_preferred_copy_comes_and_a_fresh_run_prefers_that(lake: Lake) -> None:
    vectors = fan([0, 90, 10, 180])
    first = run(draft(lake, [1], 0, vectors, 2), None)
    grown = draft(lake, [0, 1], 0, vectors, 2)
    assert numbers(run(grown, first), "kept") == {1, 2, 3}
    assert numbers(run(grown, first, fresh=True), "kept") == {0, 1, 3}


def test_a_part_that_went_away_gives_back_what_its_samples_stood_for(lake: Lake) -> None:
    vectors = fan([0, 90, 20, 180, 30, 270])
    whole = run(draft(lake, [0, 1, 2], 0, vectors, 2), None)
    assert numbers(whole, "duplicate") == {2}
    assert numbers(run(draft(lake, [1, 2], 0, vectors, 2), whole), "duplicate") == {2}
    chained = run(draft(lake, [0, 1], 0, vectors, 2), None)
    assert numbers(run(draft(lake, [1], 0, vectors, 2), chained), "duplicate") == set()


def test_a_kept_variant_stays_when_one_less_like_its_leader_comes(lake: Lake) -> None:
    vectors = fan([0, 90, 10, 180, 20, 270])
    first = run(draft(lake, [0, 1], 0, vectors, 2), None, cap=2)
    grown = draft(lake, [0, 1, 2], 0, vectors, 2)
    assert numbers(run(grown, first, cap=2), "duplicate") == {4}
    assert numbers(run(grown, None, cap=2), "duplicate") == {2}


def test_another_verdict_decides_anew_and_searches_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(draft(lake, [0, 1]), None)
    monkeypatch.setattr(dedup, "search", lambda *_: pytest.fail("searched"))
    again = run(draft(lake, [0, 1], filtered=1), first)
    assert again.artifacts["pairs"] == first.artifacts["pairs"]
    assert again.artifacts["groups"] != first.artifacts["groups"]
    assert numbers(first, "kept") & numbers(draft(lake, [0, 1], filtered=1), "kept") <= numbers(again, "kept")


def test_a_version_names_the_one_whose_survivors_and_pairs_it_used(lake: Lake) -> None:
    first = run(draft(lake, [0, 1]), None)
    second = run(draft(lake, [0, 1, 2]), first)
    assert first.summary["dedup"]["parent"] is None
    assert second.summary["dedup"]["parent"] == {"version": None, **first.artifacts}
    assert second.artifacts["groups"] != run(draft(lake, [0, 1, 2]), None).artifacts["groups"]


def test_the_same_inputs_make_the_same_version_again(lake: Lake) -> None:
    second = run(draft(lake, [0, 1, 2]), run(draft(lake, [0, 1]), None))
    again = run(draft(lake, [0, 1, 2]), second)
    assert (again.artifacts, again.columns, again.summary) == (second.artifacts, second.columns, second.summary)


@pytest.mark.parametrize("changes", [{"threshold": 0.95}, {"method": "exact"}, {"prefer": ("oldest",)}, {"seed": 1}])
def test_a_version_that_was_decided_otherwise_is_no_parent(lake: Lake, changes: dict[str, Any]) -> None:
    second = run(draft(lake, [0, 1, 2]), run(draft(lake, [0, 1]), None), **changes)
    assert second.summary["dedup"]["parent"] is None
    assert second.artifacts == run(draft(lake, [0, 1, 2]), None, **changes).artifacts


def test_a_fresh_run_does_not_depend_on_the_order_in_which_parts_came(lake: Lake) -> None:
    history = run(draft(lake, [0, 1, 2]), run(draft(lake, [2]), None))
    fresh = run(draft(lake, [0, 1, 2]), history, fresh=True)
    assert fresh.artifacts == run(draft(lake, [0, 1, 2]), None).artifacts
    assert "fresh" not in fresh.config["dedup"]


def clustered(monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, int]:
    """Vectors of ten parts, and rows of each, in clusters of fifty."""
    monkeypatch.setattr(probing, "ALL_TO_ALL", 100)
    monkeypatch.setattr(probing, "CLUSTER", 50)
    return planted(3000, copies=0.4), 300


def test_parts_that_come_one_by_one_find_the_pairs_of_a_fresh_search(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, rows = clustered(monkeypatch)
    fresh = run(draft(lake, [*range(10)], 0, vectors, rows), None)
    done = run(draft(lake, [*range(7)], 0, vectors, rows), None)
    monkeypatch.setattr(increment, "find_wider", lambda *_: pytest.fail("all were searched"))
    for last in (8, 10):
        done = run(draft(lake, [*range(last)], 0, vectors, rows), done)
        assert done.summary["dedup"]["compared"] <= 2 * rows
    near = true_pairs([*range(10)], vectors, rows)
    shares = [len(pairs_of(version)) / len(near) for version in (done, fresh)]
    assert shares == [
        pytest.approx(version.summary["dedup"]["recall"]["estimate"], abs=0.01) for version in (done, fresh)
    ]
    assert shares[0] > shares[1] - 0.01
    assert shares[0] > 0.97


def test_an_increment_reads_and_asks_what_is_new(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, rows = clustered(monkeypatch)
    known = run(draft(lake, [*range(7)], 0, vectors, rows), None, recall_queries=210)
    read: list[int] = []
    inner = preferred._codes
    monkeypatch.setattr(preferred, "_codes", lambda chunk: read.append(len(chunk.rows)) or inner(chunk))
    done = run(draft(lake, [*range(8)], 0, vectors, rows), known, recall_queries=210).summary["dedup"]
    assert sum(read) == rows
    assert done["recall"]["queries"] == pytest.approx(210 + 30, abs=2)
    left = known.summary["dedup"]["residual"]["queries"], done["residual"]["queries"]
    assert left[0] == 210 < left[1] < 210 + 31


def test_where_all_are_searched_anew_all_are_asked_anew(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, rows = clustered(monkeypatch)
    known = run(draft(lake, [*range(7)], 0, vectors, rows), None, recall_queries=210)
    before: list[object] = []
    inner = dedup.estimate
    monkeypatch.setattr(increment, "find_more", lambda *_: None)
    monkeypatch.setattr(dedup, "estimate", lambda *given: before.append(given[3]) or inner(*given))
    done = run(draft(lake, [*range(8)], 0, vectors, rows), known, recall_queries=210).summary["dedup"]
    assert (done["compared"], done["recall"]["queries"], before) == (8 * rows, 210, [None])


def test_where_a_part_went_away_all_are_asked_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, rows = clustered(monkeypatch)
    known = run(draft(lake, [*range(7)], 0, vectors, rows), None, recall_queries=210)
    done = run(draft(lake, [*range(1, 8)], 0, vectors, rows), known, recall_queries=210).summary["dedup"]
    assert done["compared"] < 2 * rows
    assert done["recall"]["queries"] == done["residual"]["queries"] == 210


def test_a_pool_that_grew_to_more_than_twice_its_size_is_searched_anew(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, rows = clustered(monkeypatch)
    small = run(draft(lake, [*range(3)], 0, vectors, rows), None)
    assert run(draft(lake, [*range(6)], 0, vectors, rows), small).summary["dedup"]["compared"] == 300 * 3
    assert run(draft(lake, [*range(7)], 0, vectors, rows), small).summary["dedup"]["compared"] == 300 * 7


def test_new_vectors_all_of_one_cluster_are_no_quadratic_cost(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, rows = clustered(monkeypatch)
    topic = unit(vectors[0] + 0.7 * unit(np.random.default_rng(1).normal(size=(1500, 32)))).astype(np.float16)
    vectors = np.concatenate([vectors[:1500], topic])
    monkeypatch.setattr(probing, "PROBES", 1)
    known = run(draft(lake, [*range(5)], 0, vectors, rows), None)
    assert run(draft(lake, [*range(10)], 0, vectors, rows), known).summary["dedup"]["compared"] == 300 * 10


def test_each_cluster_is_split_into_the_known_and_the_new() -> None:
    home, visitor = np.array([0, 0, 1, 1, 0], np.int32), np.array([3, 4])
    every = Assigned(home, visitor, np.array([0, 1], np.int32), np.array([1, 2], np.int8), np.zeros(5, np.float32))
    halves = increment.split(every, np.array([3, 4]))
    assert halves.home.tolist() == [0, 0, 1, 3, 2]
    visits = list(zip(halves.visitor.tolist(), halves.visited.tolist(), halves.step.tolist(), strict=True))
    assert visits == [(3, 0, 1), (4, 0, 0), (3, 1, 0), (4, 1, 2), (3, 2, 1), (4, 3, 2)]
    assert increment.comparisons(halves, np.array([3, 4])) == 2 + 2 + 1 + 1 + 1 + 1
