"""Vectors are at home with their nearest centroid and visit those beyond a near boundary, in one level or in two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.duplicates import centroids, stored
from tasks.duplicates.assignment import PROBED_ALL, Assigned, Reach, assign
from tasks.duplicates.centroids import Plan
from tasks.duplicates.clustering import parallel
from tests.tasks.planted import all_pairs, crowd, planted, unit


def assigned(folder: Path, vectors: np.ndarray, plan: Plan, reach: Reach) -> Assigned:
    rows = stored.stored([vectors])
    centroids.save(centroids.train(rows, plan, np.random.default_rng(0)), folder / "centroids.npz")
    return assign(rows, folder / "centroids.npz", reach, parallel)


def flat(k: int) -> Plan:
    return Plan(k, 5000, 5, levels=1)


def test_home_is_the_nearest_centroid_and_visits_are_the_next(tmp_path: Path) -> None:
    vectors = planted(500)
    found = assigned(tmp_path, vectors, flat(20), Reach(3, 2.0))
    known = centroids.load(tmp_path / "centroids.npz")
    apart = torch.cdist(torch.from_numpy(unit(vectors.astype(np.float32))) - known.mean, known.fine)
    order = apart.argsort(dim=1).numpy()
    assert (found.home == order[:, 0]).mean() > 0.98  # some are as near to two as rounding tells
    for step in (1, 2):
        of = found.step == step
        assert of.sum() == 500
        assert (found.visited[of] == order[found.visitor[of], step]).mean() > 0.95


def test_visits_are_sorted_by_cluster_and_never_to_the_home(tmp_path: Path) -> None:
    found = assigned(tmp_path, planted(500), flat(20), Reach(8, 0.1))
    assert (np.diff(found.visited) >= 0).all()
    assert (found.visited != found.home[found.visitor]).all()
    assert 0 < len(found.visitor) < 500 * 7


def test_without_reach_nobody_visits_and_with_all_of_it_there_is_no_gap(tmp_path: Path) -> None:
    assert len(assigned(tmp_path, planted(300), flat(20), Reach(1, 0.0)).visitor) == 0
    everywhere = assigned(tmp_path, planted(300), flat(4), Reach(6, 9.0))
    assert (everywhere.gap == PROBED_ALL).all()
    assert len(everywhere.visitor) == 300 * 3


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), k=st.integers(2, 40))
def test_clusters_whose_boundary_is_half_a_pair_away_lose_no_pair(
    seed: int, k: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    vectors = planted(300, d=8, copies=0.5, seed=seed)
    threshold = 0.95
    folder = tmp_path_factory.mktemp("half")
    found = assigned(folder, vectors, flat(k), Reach(k, 9.0))
    fine = centroids.load(folder / "centroids.npz").fine.numpy()
    points = unit(vectors.astype(np.float64)) - centroids.load(folder / "centroids.npz").mean.numpy()
    score = points @ fine.T - (fine**2).sum(1) / 2
    home = found.home
    for i, j in all_pairs(vectors, threshold):
        if home[i] == home[j]:
            continue
        apart = np.linalg.norm(fine[home[i]] - fine[home[j]])
        to = [abs(score[a, home[i]] - score[a, home[j]]) / apart for a in (i, j)]
        assert min(to) <= (2 - 2 * threshold) ** 0.5 / 2 + 0.02  # rounding of homes


def test_two_levels_give_nearly_every_vector_the_centroid_that_one_level_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(centroids, "COARSE_FROM", 50)
    monkeypatch.setattr(centroids, "LISTED", 8)
    vectors = planted(6000)
    two = assigned(tmp_path, vectors, Plan(150, 3000, 4, levels=2), Reach(4, 0.05))
    known = centroids.load(tmp_path / "centroids.npz")
    assert len(known.coarse) == 12
    assert known.listed.float().mean() < 0.8
    centroids.save(centroids._listed_all(known.mean, known.fine), tmp_path / "flat.npz")
    one = assign(stored.stored([vectors]), tmp_path / "flat.npz", Reach(4, 0.05), parallel)
    assert (one.home == two.home).mean() > 0.99


def test_a_topic_of_nearly_all_vectors_gets_nearly_all_centroids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(centroids, "COARSE_FROM", 50)
    rows = np.concatenate([unit(crowd(5400, apart=0.6).astype(np.float32)), planted(600).astype(np.float32)])
    found = assigned(tmp_path, rows.astype(np.float16), Plan(100, 3000, 4, levels=2), Reach(1, 0.0))
    assert np.bincount(found.home).max() < 6 * 60


def test_the_pieces_of_a_crowd_are_joined_and_topics_are_not(tmp_path: Path) -> None:
    rows = np.concatenate([crowd(500, seed=1), planted(1500, copies=0.0)])
    apart = assigned(tmp_path, rows, Plan(40, 2000, 5, levels=1), Reach(1, 0.0)).home
    joined = assigned(tmp_path, rows, Plan(40, 2000, 5, levels=1, join=0.95), Reach(1, 0.0)).home
    assert len(set(apart[:500])) > 1
    assert len(set(joined[:500])) == 1
    assert 20 < len(set(joined)) < len(set(apart))


@pytest.mark.parametrize("size", [37, 512, 3000])
def test_the_size_of_chunks_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    vectors = planted(3000, d=64)
    whole = assigned(tmp_path, vectors, flat(30), Reach(4, 0.05))
    monkeypatch.setattr(stored, "CHUNK", size)
    cut = assigned(tmp_path, vectors, flat(30), Reach(4, 0.05))
    assert (cut.home == whole.home).all()
    assert (cut.visited == whole.visited).all()


def test_centroids_are_read_as_they_were_written(tmp_path: Path) -> None:
    trained = centroids.train(stored.stored([planted(300)]), flat(9), np.random.default_rng(0))
    centroids.save(trained, tmp_path / "centroids.npz")
    again = centroids.load(tmp_path / "centroids.npz")
    assert all(torch.equal(a, b) for a, b in zip(trained, again, strict=True))
