"""The method `propensity` on pools whose removal probabilities are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_array

from tasks.weights import coarse, features, keep_model, probe
from tasks.weights.balance import effective_sample_size
from tasks.weights.features import Components, Pool, Terms
from tasks.weights.keep_model import Target
from tasks.weights.propensity import Settings, Weighted, account, calibrate, calibration_error, keep_share, weigh

SETTINGS = Settings(cap=10.0, folds=5, seed=0)


def draw(seed: int, strength: float, n: int = 3000) -> tuple[np.ndarray, Terms, np.ndarray]:
    """(n, 24) embeddings with two large directions, 30 words that lean on them, (n,) chances that follow the first."""
    rng = np.random.default_rng(seed)
    traits = rng.normal(size=(n, 2))
    embedding = 0.7 * rng.normal(size=(n, 24)) + 2
    embedding[:, :2] += 2 * traits
    leaning = traits @ rng.normal(size=(2, 30)) + rng.uniform(-2.5, -1, 30)
    words = (rng.random((n, 30)) < 1 / (1 + np.exp(-leaning))).astype(np.float64)
    chance = 1 / (1 + np.exp(strength * traits[:, 0] - 1.5))
    order = np.argsort(-words.sum(axis=0), kind="stable")
    return embedding.astype(np.float32), Terms(tuple(map(str, order)), csc_array(words[:, order])), chance


def pool_of(kept: np.ndarray) -> Pool:
    return Pool(kept, np.ones(len(kept), dtype=bool), np.arange(len(kept)), np.ones(len(kept)))


def components(*parts: np.ndarray, count: int = 6) -> Components:
    return features.components_of([features.moments(part, np.ones(len(part), dtype=bool)) for part in parts], count)


def weighed(seed: int, strength: float, n: int = 3000) -> tuple[Weighted, Pool, np.ndarray]:
    embedding, words, chance = draw(seed, strength, n)
    pool = pool_of(np.random.default_rng(seed + 1).random(n) < chance)
    return weigh([embedding], components(embedding), pool, words, SETTINGS), pool, chance


def test_weights_are_near_the_oracles_where_the_filter_overlaps() -> None:
    found, pool, chance = weighed(0, 1.0)
    oracle = 1 / chance[pool.kept]
    oracle /= oracle.mean()
    error = np.sqrt(np.mean((found.weights - oracle) ** 2))
    assert error < 0.6 * np.std(oracle)
    assert found.weights.min() > 0
    assert found.weights.max() <= 10
    assert found.weights.mean() == pytest.approx(1, abs=1e-9)
    facts = found.facts["propensity"]
    assert facts["overlap"]
    assert facts["supported_share"] == pytest.approx(1, abs=0.05)
    assert facts["weights_are"].startswith("the density ratio")
    assert found.facts["held_out"]["upper"] < 0


def test_a_filter_that_is_a_threshold_leaves_no_overlap_and_no_density_ratio() -> None:
    embedding, words, chance = draw(1, 1.0)
    pool = pool_of(chance > np.quantile(chance, 0.25))
    found = weigh([embedding], components(embedding), pool, words, SETTINGS)
    facts = found.facts["propensity"]
    assert not facts["overlap"]
    assert facts["weights_are"].startswith("no density ratio")
    assert facts["removed_below_0.05"] > 0.2


def test_weights_of_a_few_levels_are_a_density_ratio_whatever_their_pareto_k() -> None:
    rng = np.random.default_rng(0)
    for seed in range(6):
        _, words, _ = draw(seed, 0.0)
        pair = words.has[:, [0]].toarray()[:, 0] * words.has[:, [1]].toarray()[:, 0]
        kept = rng.random(3000) < 0.9 - 0.4 * pair
        logits = np.log(0.9 / 0.1) + np.where(pair > 0, -2.2, 0.0) + 1e-3 * rng.normal(size=3000)
        target = keep_model.target_of(pool_of(kept))
        assert account(calibrate(logits, target), target)["overlap"]


def test_a_filter_by_chance_leaves_all_weights_at_one_and_that_is_said() -> None:
    found, _, _ = weighed(2, 0.0)
    assert np.ptp(found.weights) == 0
    assert found.facts["propensity"]["features"] == []
    assert "cannot be told from chance" in found.facts["propensity"]["weights_are"]


def test_the_models_are_the_ones_that_scikit_learn_finds() -> None:
    from sklearn.linear_model import LogisticRegression

    embedding, words, chance = draw(3, 1.5, n=600)
    pool = pool_of(np.random.default_rng(3).random(600) < chance)
    target, fold = keep_model.target_of(pool), probe.folds_of(pool, 3, 0)
    source = coarse.linear([embedding[:400], embedding[400:]], components(embedding), words.has)
    used = np.ones((2, source.width - 1), dtype=bool)
    used[1, 6:16] = False
    models = keep_model.train(source, target, fold, used)
    x = np.vstack([source.block(at)[1] for at in source.blocks()])[:, 1:]
    for column, (variant, held) in enumerate((v, f) for v in range(2) for f in range(3)):
        seen = fold != held
        model = LogisticRegression(C=1 / keep_model.RIDGE, tol=1e-8, max_iter=10_000)
        model.fit(x[seen][:, used[variant]], pool.kept[seen])
        assert models.coefficients[1:, column][used[variant]] == pytest.approx(model.coef_[0], abs=1e-4)
        assert models.coefficients[0, column] == pytest.approx(model.intercept_[0], abs=1e-4)
        assert (models.coefficients[1:, column][~used[variant]] == 0).all()


def test_a_sample_is_weighed_by_a_model_that_did_not_see_its_group() -> None:
    embedding, words, chance = draw(4, 1.0, n=1000)
    kept = np.random.default_rng(4).random(1000) < chance
    pool = pool_of(kept)
    fold = probe.folds_of(pool, 5, 0)
    flipped = kept ^ ((fold == 0) & (np.arange(1000) % 2 == 0))
    found = []
    for bits in (kept, flipped):
        target = keep_model.target_of(pool_of(bits))
        source = coarse.linear([embedding], components(embedding), words.has)
        models = keep_model.train(source, target, fold, np.ones((1, source.width - 1), dtype=bool))
        found.append(keep_model.predict(source, models, fold)[:, 0])
    assert found[0][fold == 0] == pytest.approx(found[1][fold == 0], abs=1e-3)
    assert np.abs(found[0][fold == 1] - found[1][fold == 1]).max() > 0.05


def test_copies_of_what_was_kept_are_not_counted_as_removed() -> None:
    unit, kept = np.array([0, 0, 1, 1, 2, -1]), np.array([True, False, False, False, True, False])
    target = keep_model.target_of(Pool(kept, unit >= 0, unit, np.array([0.5, 0.5, 0.5, 0.5, 1, 0])))
    assert target.mass.tolist() == [1, 0, 0.5, 0.5, 1, 0]
    assert keep_share(target) == pytest.approx(2 / 3)


def test_a_filter_that_removed_only_copies_leaves_all_weights_at_one() -> None:
    embedding, words, _ = draw(9, 1.0, n=100)
    unit = np.arange(100) // 2
    pool = Pool(np.arange(100) % 2 == 0, unit >= 0, unit, np.full(100, 0.5))
    found = weigh([embedding], components(embedding), pool, words, SETTINGS)
    assert (found.weights == 1).all()
    assert found.facts["propensity"]["weights_are"] == "equal: of every unit some was kept"


def test_neither_threads_nor_the_cut_into_parts_matter() -> None:
    embedding, words, chance = draw(5, 1.0, n=1200)
    pool, before, found = pool_of(np.random.default_rng(5).random(1200) < chance), torch.get_num_threads(), []
    basis = components(embedding)
    embedding.flags.writeable = False  # as a file that is mapped for reading is
    for threads, parts in ((1, [embedding]), (2, [embedding]), (1, [embedding[:500], embedding[500:]])):
        torch.set_num_threads(threads)
        found.append(weigh(parts, basis, pool, words, SETTINGS).raw)
    torch.set_num_threads(before)
    assert (found[0] == found[1]).all()
    assert found[0] == pytest.approx(found[2], abs=1e-4)


def test_calibration_undoes_logits_that_are_too_large() -> None:
    rng = np.random.default_rng(6)
    logits = rng.normal(1, 1, 20_000)
    target = Target(rng.random(20_000) < 1 / (1 + np.exp(-logits)), np.ones(20_000))
    found = calibrate(2 * logits + 1, target)
    assert found.slope == pytest.approx(0.5, abs=0.03)
    assert found.intercept == pytest.approx(-0.5, abs=0.06)
    assert calibration_error(found.chance, target) < 0.01 < calibration_error(1 / (1 + np.exp(-2 * logits - 1)), target)


def test_logits_that_point_the_wrong_way_say_nothing() -> None:
    rng = np.random.default_rng(7)
    logits = rng.normal(size=2000)
    target = Target(rng.random(2000) < 1 / (1 + np.exp(logits)), np.ones(2000))
    assert np.ptp(calibrate(logits, target).chance) == 0


def test_too_few_words_judge_nothing_and_that_is_said() -> None:
    embedding, words, chance = draw(8, 1.0, n=600)
    pool = pool_of(np.random.default_rng(8).random(600) < chance)
    few = Terms(words.names[:3], words.has[:, :3])
    found = weigh([embedding], components(embedding), pool, few, SETTINGS)
    assert "too few terms" in found.facts["held_out"]["verdict"]
    assert effective_sample_size(found.weights) < 600


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), strength=st.floats(0, 8), cap=st.floats(1.2, 50))
def test_weights_are_positive_of_mean_one_and_at_most_the_cap(seed: int, strength: float, cap: float) -> None:
    embedding, words, chance = draw(seed, strength, n=300)
    kept = np.random.default_rng(seed).random(300) < chance
    kept[:2] = True, False
    found = weigh([embedding], components(embedding), pool_of(kept), words, SETTINGS._replace(cap=cap))
    assert found.weights.min() > 0
    assert found.weights.max() <= cap
    assert found.weights.mean() == pytest.approx(1, abs=1e-6)
    assert np.isfinite(found.facts["propensity"]["supported_share"])
    assert account(calibrate(np.zeros(300), keep_model.target_of(pool_of(kept))), keep_model.target_of(pool_of(kept)))[
        "overlap"
    ]
