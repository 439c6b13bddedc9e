"""Which samples are asked for next: free ones, once each, and what the article's two arms cannot reach."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.classifying import classifier
from tasks.labelling import arms, regions
from tests.tasks.planted import planted, unit

NEAR = 0.98
ISOLATED = np.arange(900, 930)  # positives that resemble no others


@pytest.fixture(scope="module")
def embeddings() -> np.ndarray:
    """900 samples around 20 topics, and a group far from all of them."""
    rng = np.random.default_rng(1)
    rows = planted(900, copies=0.1).astype(np.float64)
    aside = unit(rng.normal(size=(1, 32)))
    return unit(np.concatenate([rows, aside + 0.06 * rng.normal(size=(30, 32))])).astype(np.float16)


@pytest.fixture(scope="module")
def built(embeddings: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> regions.Regions:
    return regions.build([embeddings], tmp_path_factory.mktemp("regions"))


@pytest.fixture(scope="module")
def truth(embeddings: np.ndarray) -> np.ndarray:
    """Half of a topic, and the isolated group."""
    near_first = embeddings.astype(np.float32) @ embeddings[0].astype(np.float32)
    positive = near_first >= np.sort(near_first[:900])[-40]
    positive[ISOLATED] = True
    return positive


@pytest.fixture(scope="module")
def cold(embeddings: np.ndarray, built: regions.Regions) -> arms.View:
    """Nothing is labelled; the prompt knows the topic."""
    prompt = embeddings.astype(np.float32) @ embeddings[0].astype(np.float32)
    none = np.zeros(0, np.int64)
    return arms.View([embeddings], built, np.ones(930, bool), none, none > 0, None, 1.0, prompt)


@pytest.fixture(scope="module")
def warm(cold: arms.View, truth: np.ndarray) -> arms.View:
    """60 labels, none of them of the isolated group, and a model of them."""
    order = np.argsort(-cold.prompt)
    row = np.sort(np.concatenate([order[:20], order[60:880:21]]))
    return modelled(cold, row[row < 900], truth)


def modelled(view: arms.View, row: np.ndarray, truth: np.ndarray) -> arms.View:
    (rows,) = view.parts
    fold, folds = classifier.folds_of([f"{one:04d}" for one in row], truth[row], 5)
    trained = classifier.train(rows[row].astype(np.float64), truth[row], fold, folds)
    free = view.free.copy()
    free[row] = False
    threshold = float(trained.scores[truth[row]].min())
    return view._replace(
        free=free, row=row, label=truth[row], scores=classifier.score(rows, trained.model), threshold=threshold
    )


shares = st.dictionaries(st.sampled_from(sorted(arms.ARMS)), st.floats(0.1, 1), min_size=1)


@settings(deadline=None, max_examples=40)
@given(shares, st.integers(1, 40), st.integers(0, 3))
def test_each_pick_is_free_and_picked_once_and_unlike_the_others(
    warm: arms.View, shares: dict[str, float], size: int, seed: int
) -> None:
    picks = arms.pick(warm, shares, size, NEAR, seed)
    rows = [one.row for one in picks]
    assert len(set(rows)) == len(rows) == size
    assert warm.free[rows].all()
    assert {one.arm for one in picks} <= {*shares, "random"}
    vectors = unit(warm.parts[0][rows].astype(np.float64))
    assert (vectors @ vectors.T - np.eye(size)).max() < NEAR + 1e-3  # float16 rows


@pytest.mark.parametrize("name", ["cold", "warm"])
def test_the_seed_decides_the_batch(name: str, request: pytest.FixtureRequest) -> None:
    view = request.getfixturevalue(name)
    every = dict.fromkeys(arms.ARMS, 1.0)
    first, again, other = (arms.pick(view, every, 30, NEAR, seed) for seed in (1, 1, 2))
    assert first == again != other


def test_a_pool_that_is_all_labelled_has_nothing_to_pick(warm: arms.View) -> None:
    none = warm._replace(free=np.zeros(930, bool))
    assert arms.pick(none, dict.fromkeys(arms.ARMS, 1.0), 10, NEAR, 0) == []


def test_the_last_free_samples_are_picked_whatever_the_arms_want(warm: arms.View) -> None:
    free = np.zeros(930, bool)
    free[np.flatnonzero(warm.free)[:3]] = True
    picks = arms.pick(warm._replace(free=free), arms.WARM, 10, NEAR, 0)
    assert sorted(one.row for one in picks) == np.flatnonzero(free).tolist()


def test_without_a_model_prompts_and_regions_choose(cold: arms.View) -> None:
    assert arms.shares_of(cold) == arms.COLD
    picks = arms.pick(cold, arms.COLD, 20, NEAR, 0)
    assert {one.arm for one in picks} == {"prompt", "exploration"}
    by_prompt = [one.row for one in picks if one.arm == "prompt"]
    assert cold.prompt[by_prompt].min() > np.quantile(cold.prompt, 0.9)


def test_without_prompts_the_regions_choose_alone(cold: arms.View) -> None:
    picks = arms.pick(cold._replace(prompt=None), arms.COLD, 20, NEAR, 0)
    assert [one.arm for one in picks] == ["exploration"] * 20


def test_labels_of_one_class_are_no_model(warm: arms.View) -> None:
    assert arms.shares_of(warm) == arms.WARM
    assert arms.shares_of(warm._replace(label=np.zeros(len(warm.row), bool))) == arms.COLD


def test_fewer_samples_are_explored_once_there_are_more_labels(warm: arms.View) -> None:
    many = np.arange(arms.FEW)
    assert arms.shares_of(warm._replace(row=many, label=many < 5)) == arms.LATE
    assert arms.LATE["exploration"] < arms.WARM["exploration"]


def test_false_positives_are_what_the_threshold_calls_positive(warm: arms.View) -> None:
    rows = arms.false_positive(warm, 5, np.random.default_rng(0))
    assert len(rows) and warm.free[rows].all()
    assert warm.scores[rows].min() >= warm.threshold


def test_false_negatives_lie_near_the_positives_that_models_miss(warm: arms.View, truth: np.ndarray) -> None:
    found = ISOLATED[:2]  # two of the group were found: models on halves of the labels miss them
    view = modelled(warm, np.sort(np.append(warm.row, found)), truth)
    picks = arms.pick(view, {"false_negative": 1.0}, 5, 1.1, 0)
    assert np.isin([one.row for one in picks], ISOLATED).all()


def test_the_uncertain_are_among_the_nearest_to_even_odds(warm: arms.View) -> None:
    rows = arms.uncertain(warm, 10, np.random.default_rng(0))[:10]
    doubt = np.abs(warm.scores - 0.5)
    assert doubt[rows].max() <= np.sort(doubt[warm.free])[10 * arms.REACH - 1]


def test_exploration_asks_for_one_sample_of_a_region_and_of_none_with_labels(warm: arms.View) -> None:
    rows = arms.exploration(warm, 10, np.random.default_rng(0))
    region = warm.regions.region
    assert len(set(region[rows].tolist())) == len(rows)
    assert not np.isin(region[rows], region[warm.row]).any()


def test_exploration_passes_over_samples_without_an_embedding(tmp_path: Path, embeddings: np.ndarray) -> None:
    rows = embeddings.copy()
    rows[:50] = 0
    none = np.zeros(0, np.int64)
    view = arms.View([rows], regions.build([rows], tmp_path), np.ones(930, bool), none, none > 0, None, 1.0, None)
    assert arms.exploration(view, 930, np.random.default_rng(0)).min() >= 50


def test_an_isolated_cluster_is_reached_by_exploration_and_not_by_the_articles_arms(warm: arms.View) -> None:
    asked = {name: arms.ARMS[name](warm, 10, np.random.default_rng(0)) for name in ("exploration", *arms.ARTICLE)}
    reached = {name: bool(np.isin(rows, ISOLATED).any()) for name, rows in asked.items()}
    assert reached == {"exploration": True, "false_positive": False, "false_negative": False}


def test_the_informative_are_doubtful_and_of_more_kinds_than_the_most_doubtful(warm: arms.View) -> None:
    count, rng = 10, np.random.default_rng(0)
    doubtful, informative = arms.uncertain(warm, count, rng), arms.informative(warm, count, rng)
    assert set(informative[:count].tolist()) <= set(doubtful[: arms.DOUBTFUL * count].tolist())
    assert sorted(informative.tolist()) == sorted(doubtful.tolist())  # the rest stands by for near-duplicates

    def kinds(rows: np.ndarray) -> float:
        return np.linalg.slogdet(np.cov(warm.parts[0][rows[:count]].astype(np.float64)) + np.eye(count) * 1e-6)[1]

    assert kinds(informative) > kinds(doubtful)
