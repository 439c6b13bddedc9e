"""Which features a filter is found to depend on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_array

from tasks.threads import one_thread
from tasks.weights import coarse, effects, features
from tasks.weights.effects import Choice, choose, forward
from tasks.weights.keep_model import Target

NAMES = tuple(f"w{i}" for i in range(20))


@pytest.fixture(autouse=True, scope="module")
def single() -> Iterator[None]:
    """One thread, as where weights are made: several would wait for each other on a busy machine."""
    with one_thread():
        yield


def found(harm: str, seed: int = 0, held: np.ndarray | None = None, n: int = 6000) -> Choice:
    """What is chosen for a filter that follows a component, its square, a word, a pair of words, or nothing."""
    rng = np.random.default_rng(seed)
    embedding = rng.normal(size=(n, 8)) * np.array([6, 5, 4, 3, 2, 1, 1, 1]) + 3
    words = rng.random((n, 20)) < 0.3
    of = {
        "nothing": np.zeros(n),
        "component": (embedding[:, 1] - 3) / 5,
        "square": ((embedding[:, 2] - 3) / 4) ** 2,
        "word": 1.2 * words[:, 4],
        "pair": 2.0 * (words[:, 3] & words[:, 7]),
    }[harm]
    target = Target(rng.random(n) > 1 / (1 + np.exp(2 - of)), np.ones(n))
    basis = features.components_of([features.moments(embedding, np.ones(n, dtype=bool))], 6)
    full = coarse.linear([embedding.astype(np.float32)], basis, csc_array(words.astype(np.float64)))
    return choose(full, target, np.zeros((1, 20), dtype=bool) if held is None else held, 0)


def names(choice: Choice, variant: int = 0) -> list[str]:
    return choice.coarse.effects.select(choice.used[variant]).names(NAMES)


@pytest.mark.parametrize(
    ("harm", "feature"),
    [("component", "component 1"), ("square", "square 0"), ("word", "w4"), ("pair", "w3 and w7")],
)
def test_what_a_filter_looks_at_is_found_among_the_features(harm: str, feature: str) -> None:
    chosen = names(found(harm))
    assert feature in chosen
    assert len(chosen) <= 4


def test_the_square_is_of_the_direction_along_which_the_filter_is_curved() -> None:
    direction = found("square").coarse.effects.directions[:, 0]
    assert np.abs(direction[2]) * 4 > 0.9 * np.linalg.norm(direction * np.array([6, 5, 4, 3, 2, 1]))


def test_where_removal_is_by_chance_next_to_nothing_is_found() -> None:
    assert np.mean([len(names(found("nothing", seed, n=1000))) > 0 for seed in range(12)]) <= 0.35


def test_held_words_are_neither_features_nor_in_pairs_and_others_stay() -> None:
    held = np.zeros((2, 20), dtype=bool)
    held[1, 7] = True
    choice = found("pair", held=held)
    assert "w3 and w7" in names(choice)
    assert not any("w7" in name.split(" and ") for name in names(choice, 1))


def test_few_removed_among_many_are_all_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "SAMPLES", 2000)
    rng = np.random.default_rng(3)
    embedding, n = rng.normal(size=(20_000, 4)) * np.array([4, 3, 2, 1]), 20_000
    kept = rng.random(n) > 1 / (1 + np.exp(5.5 - 1.2 * embedding[:, 0] / 4))
    basis = features.components_of([features.moments(embedding, np.ones(n, dtype=bool))], 4)
    full = coarse.linear([embedding.astype(np.float32)], basis, csc_array((n, 0)))
    choice = choose(full, Target(kept, np.ones(n)), np.zeros((1, 0), dtype=bool), 0)
    assert names(choice) == ["component 0"]
    assert choice.start.coefficients[:, 0] == pytest.approx([5.5, -1.2], abs=0.4)


@pytest.mark.parametrize("kept", [True, False])
def test_where_all_or_nothing_was_kept_no_feature_is_chosen(kept: bool) -> None:
    rng = np.random.default_rng(4)
    embedding = rng.normal(size=(50, 4)).astype(np.float32)
    basis = features.components_of([features.moments(embedding, np.ones(50, dtype=bool))], 4)
    full = coarse.linear([embedding], basis, csc_array((50, 0)))
    choice = choose(full, Target(np.full(50, kept), np.ones(50)), np.zeros((2, 0), dtype=bool), 0)
    assert choice.used.shape == (2, 0)
    assert choice.coarse.width == 1


def test_the_fits_begin_near_where_they_end() -> None:
    choice = found("component")
    column = 1 + list(choice.coarse.effects.names(NAMES)).index("component 1")
    assert choice.start.coefficients[column, 0] == pytest.approx(-1, abs=0.15)
    assert choice.start.curvature is not None
    assert choice.start.curvature.shape == (choice.coarse.width, choice.coarse.width)


def test_a_bounded_number_of_samples_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "SAMPLES", 3000)
    seen = []
    gather = coarse.gather
    monkeypatch.setattr(effects.coarse, "gather", lambda made, rows: seen.append(len(rows)) or gather(made, rows))
    assert "component 1" in names(found("component"))
    assert set(seen) == {3000}


def test_a_feature_that_repeats_another_enters_once() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(500, 3))
    x = np.column_stack([np.ones(500), x, x[:, 0]])
    information = x.T @ x
    slope = x.T @ (x @ np.array([0.5, 1.0, 0.0, 0.0, 1.0]))
    chosen = forward(information, slope, 0.1)
    assert 0 in chosen
    assert len({1, 4} & set(chosen.tolist())) == 1


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 12))
def test_forward_selection_takes_the_intercept_first_and_each_place_once(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, 1 + count))
    chosen = forward(x.T @ x, x.T @ rng.normal(size=40), 0.1)
    assert chosen[0] == 0
    assert (np.diff(chosen) > 0).all()
    assert chosen[-1] <= count
