"""The method `balance` on simulated pools whose removal probabilities are known and overlap."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from scipy.sparse import csc_array

from tasks.threads import one_thread
from tasks.weights import effects, features, heldout, probe
from tasks.weights.balance import Limits, capped, effective_sample_size
from tasks.weights.balancing import Balanced, balance_pool, unbalanced
from tasks.weights.features import Pool, Terms

LIMITS = Limits(cap=10.0, ess_floor=0.5)
SHAPES = ("smooth", "group", "product")


@pytest.fixture(autouse=True, scope="module")
def single() -> Iterator[None]:
    """One thread, as where weights are made: several would wait for each other on a busy machine."""
    with one_thread():
        yield


class Simulated(NamedTuple):
    pool: Pool
    embedding: np.ndarray  # (n, d) float16
    shown: Terms  # words that the method may use
    hidden: csc_array  # (n, t) words that nothing was chosen by
    chance: np.ndarray  # (n,) known probability of being kept


def simulate(seed: int, shape: str, n: int = 4000) -> Simulated:
    """Words and embeddings follow eight hidden traits; removal follows two traits, two words, or a word pair."""
    rng = np.random.default_rng(seed)
    traits = rng.normal(size=(n, 8))
    embedding = 0.3 * traits @ rng.normal(size=(8, 48)) + 0.7 * rng.normal(size=(n, 48)) + 2
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    leaning = rng.normal(size=(8, 60)) * rng.choice([0, 1.2], size=(8, 60), p=[0.6, 0.4])
    words = (rng.random((n, 60)) < 1 / (1 + np.exp(-(traits @ leaning + rng.uniform(-4, -1, 60))))).astype(np.float64)
    harm = {
        "smooth": traits[:, 0] + 0.7 * traits[:, 1],
        "group": 2 * words[:, :2].sum(axis=1),
        "product": 3 * words[:, 0] * words[:, 1] + traits[:, 0],
        "chance": np.zeros(n),
    }[shape]
    chance = 1 / (1 + np.exp(harm - 2.5))
    kept, usable = rng.random(n) < chance, np.ones(n, dtype=bool)
    hidden = (np.arange(60) % 3 == 2) & (words.sum(axis=0) >= 50)
    order = [i for i in np.argsort(-words.sum(axis=0), kind="stable") if i % 3 != 2]
    shown = Terms(tuple(f"word {i}" for i in order), csc_array(words[:, order]))
    pool = Pool(kept, usable, np.arange(n), np.ones(n))
    return Simulated(pool, embedding.astype(np.float16), shown, csc_array(words[:, hidden]), chance)


def terms(*columns: np.ndarray) -> Terms:
    n = len(columns[0]) if columns else 0
    return Terms(tuple(f"group {i}" for i in range(len(columns))), csc_array(np.array(columns).T.reshape(n, -1)))


def no_terms(n: int) -> Terms:
    return Terms((), csc_array((n, 0)))


def balanced(made: Simulated, asked: Terms | None = None, limits: Limits = LIMITS) -> Balanced:
    with one_thread():
        found = features.components_of([features.moments(made.embedding, made.pool.usable)], 32)
        scores = features.project([made.embedding], found)
        return balance_pool(made.pool, asked or no_terms(len(scores)), made.shown, scores, limits, 5)


def probed(made: Simulated) -> np.ndarray:
    fold = probe.folds_of(made.pool, 5, 0)
    with one_thread():
        trained = probe.train([made.embedding], made.pool, fold, 5)
        return capped(probe.weigh([made.embedding], trained, fold)[made.pool.kept], LIMITS.cap)


def hidden_changes(made: Simulated, weights: np.ndarray) -> float:
    """Mean |Δ| on words that nothing was chosen by."""
    reference = made.hidden.mean(axis=0)
    return float(np.abs(heldout.changes(made.hidden.tocsr()[made.pool.kept].tocsc(), weights, reference)).mean())


@cache
def compared() -> dict[str, np.ndarray]:
    """method → (runs,) mean |Δ| on hidden words."""
    out: dict[str, list[float]] = {"none": [], "probe": [], "balance": [], "oracle": []}
    for seed in range(12):
        made = simulate(seed, SHAPES[seed % 3])
        out["none"].append(hidden_changes(made, np.ones(made.pool.kept.sum())))
        out["probe"].append(hidden_changes(made, probed(made)))
        out["balance"].append(hidden_changes(made, balanced(made).weights))
        out["oracle"].append(hidden_changes(made, 1 / made.chance[made.pool.kept]))
    return {name: np.array(values) for name, values in out.items()}


def test_where_the_filter_overlaps_balance_repairs_words_that_it_never_saw() -> None:
    found = compared()
    assert (found["balance"] < found["none"]).mean() >= 0.9
    assert found["balance"].mean() < 0.65 * found["none"].mean()


def test_on_average_balance_repairs_at_least_as_much_as_the_probe() -> None:
    found = compared()
    assert found["balance"].mean() <= found["probe"].mean()


def test_where_removal_was_by_chance_weights_do_no_harm_and_it_is_said_where_none_are_best() -> None:
    made = [simulate(seed, "chance") for seed in range(8)]
    found = [balanced(one) for one in made]
    after = [hidden_changes(one, f.weights) for one, f in zip(made, found, strict=True)]
    before = [hidden_changes(one, np.ones(len(f.weights))) for one, f in zip(made, found, strict=True)]
    assert np.mean(after) < np.mean(before) + 0.0005
    none = [f for f in found if f.facts["penalty"] is None]
    assert len(none) >= 3
    for one in none:
        assert one.facts["held_out"]["verdict"] == "no weights are best on held-out terms: all weights are 1"
        assert (one.weights == 1).all()


def test_what_is_reported_of_held_out_words_agrees_with_words_that_were_hidden() -> None:
    made = simulate(0, "smooth")
    found = balanced(made)
    held_out = found.facts["held_out"]
    assert held_out["upper"] < 0
    assert "bring held-out terms closer" in held_out["verdict"]
    assert held_out["mean_abs_after"] == pytest.approx(hidden_changes(made, found.weights), abs=0.01)


def test_groups_asked_for_get_their_share_of_the_pool() -> None:
    made = simulate(1, "group")
    words = made.shown.has.toarray()
    pair = words[:, 0] * words[:, 1]
    found = balanced(made, terms(words[:, 0], words[:, 3], pair))
    assert [row["term"] for row in found.facts["restored"]] == ["group 0", "group 1", "group 2"]
    for row in found.facts["restored"]:
        assert abs(row["change_after"]) < 1e-6
    assert found.weights.mean() == pytest.approx(1, abs=1e-6)
    assert effective_sample_size(found.weights) >= 0.5 * len(found.weights)


def test_where_a_part_of_the_samples_chooses_all_are_weighed_and_groups_are_met_on_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = simulate(1, "group")
    asked = terms(made.shown.has.toarray()[:, 0])
    whole = balanced(made, asked)
    monkeypatch.setattr(effects, "SAMPLES", 2500)
    part = balanced(made, asked)
    assert len(part.weights) == made.pool.kept.sum()
    assert abs(part.facts["restored"][0]["change_after"]) < 1e-6
    assert np.corrcoef(part.weights, whole.weights)[0, 1] > 0.9


def test_without_components_and_words_there_is_nothing_to_balance_but_the_groups() -> None:
    made = simulate(1, "group")._replace(shown=no_terms(4000))
    asked = terms(simulate(1, "group").shown.has.toarray()[:, 0])
    found = balance_pool(made.pool, asked, made.shown, np.empty((4000, 0)), LIMITS, 5)
    assert found.model["features"] == ["group 0"]
    assert abs(found.facts["restored"][0]["change_after"]) < 1e-6


def test_a_filter_that_removed_only_copies_balances_no_feature() -> None:
    made = simulate(1, "chance")
    unit = np.arange(4000) // 2
    pool = Pool(np.arange(4000) % 2 == 0, made.pool.usable, unit, np.full(4000, 0.5))
    found = balanced(made._replace(pool=pool))
    assert (found.weights == 1).all()
    assert found.facts["penalty"] is None


def test_a_group_that_the_filter_mostly_removed_is_not_restored() -> None:
    made = simulate(2, "smooth")
    rows = np.arange(4000)
    gone = (rows < 2000) & (~made.pool.kept | (rows < 60))
    found = balanced(made, terms(gone.astype(np.float64), (rows < 10).astype(np.float64), np.zeros(4000)))
    assert found.facts["restored"] == []
    first, second, third = (row["reason"] for row in found.facts["not_restored"])
    assert "at least 50% is needed" in first
    assert "captions are left, at least 20" in second
    assert "no such term" in third
    assert found.facts["not_restored"][2]["change_after"] is None


def test_a_group_out_of_reach_is_named_with_the_nearest_share() -> None:
    made = simulate(3, "smooth")
    group = np.zeros(4000)
    group[np.flatnonzero(made.pool.kept)[:600]] = 1
    group[np.flatnonzero(~made.pool.kept)[:400]] = 1
    found = balanced(made, terms(group), Limits(cap=1.2, ess_floor=0.5))
    (row,) = found.facts["not_restored"]
    assert "out of reach: a share of 25.0000% was wanted" in row["reason"]
    nearest = 1.2 * 600 / made.pool.kept.sum()
    assert f"{nearest:.2%}"[:-1] in row["reason"]
    assert row["change_after"] == pytest.approx(nearest / 0.25 - 1, abs=1e-3)


def test_a_group_that_would_rest_on_few_captions_is_given_up_and_the_rest_is_still_met() -> None:
    made = simulate(4, "smooth")
    kept, gone = np.flatnonzero(made.pool.kept), np.flatnonzero(~made.pool.kept)
    large, small = np.zeros(4000), np.zeros(4000)
    large[kept[:300]] = large[gone[:290]] = 1  # its captions will weigh about twice as much as others
    small[kept[292:312]] = 1  # 20 captions, 8 of them in the large group
    found = balanced(made, terms(large, small))
    assert [row["term"] for row in found.facts["restored"]] == ["group 0"]
    assert abs(found.facts["restored"][0]["change_after"]) < 1e-6
    assert "effective captions, 20 are needed" in found.facts["not_restored"][0]["reason"]


def test_the_cap_holds_and_its_cost_is_told() -> None:
    made = simulate(5, "smooth")
    found = balanced(made, limits=Limits(cap=1.3, ess_floor=0.5))
    assert found.weights.max() <= 1.3 + 1e-9
    cost = found.facts["cap_cost"]
    assert cost["samples"] > 0
    assert cost["max_weight_without"] > 1.3
    assert 0 < cost["weight_above"] < 1
    assert balanced(made).facts["cap_cost"] is None


def test_the_floor_of_the_effective_sample_size_holds() -> None:
    found = balanced(simulate(6, "smooth"), limits=Limits(cap=10.0, ess_floor=0.995))
    assert effective_sample_size(found.weights) >= 0.995 * len(found.weights)


def test_with_no_words_and_no_groups_weights_are_one() -> None:
    made = simulate(7, "smooth", 500)._replace(shown=no_terms(500))
    found = balanced(made)
    assert (found.weights == 1).all()
    assert "too few terms" in found.facts["held_out"]["verdict"]


def test_the_probe_s_account_holds_out_every_word_and_restores_none() -> None:
    made = simulate(0, "smooth")
    facts = unbalanced(made.pool, terms(made.shown.has.toarray()[:, 0]), made.shown, probed(made))
    assert [row["reason"] for row in facts["not_restored"]] == ["the method restores no group exactly"]
    assert facts["held_out"]["mean_abs_after"] < facts["held_out"]["mean_abs_before"]
