"""Clusters hold every vector, and the nearest ones of each are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tasks import clustering
from tests.tasks.planted import crowd, planted


def parted(vectors: np.ndarray, k: int = 8, probes: int = 2, margin: float = 0.1) -> clustering.Assignment:
    rows = torch.from_numpy(vectors)
    trained = clustering.train(rows, k, 200, 5, np.random.default_rng(0))
    return clustering.assign(rows, trained, probes, margin)


def test_every_vector_is_in_its_best_cluster_and_no_more_than_probed() -> None:
    labels = parted(planted(300)).labels
    assert labels.shape == (300, 2)
    assert (labels[:, 0] >= 0).all()
    lists = clustering.members(labels, 8)
    assert sum(map(len, lists)) == (labels >= 0).sum()
    assert set(np.concatenate(lists)) == set(range(300))
    assert all((np.diff(rows) > 0).all() for rows in lists)


def test_the_gap_is_above_the_margin_unless_all_probes_were_used() -> None:
    found = parted(planted(300))
    spared = (found.labels >= 0).sum(axis=1) < 2
    assert spared.any()
    assert (found.gap[spared] > 0.1).all()


def test_where_every_cluster_was_probed_there_is_no_gap() -> None:
    assert (parted(planted(50), k=2, probes=3, margin=2.0).gap == clustering.PROBED_ALL).all()


def test_topics_are_told_apart_although_they_sit_in_a_cone() -> None:
    topics = np.concatenate([crowd(50, seed=seed) for seed in range(4)]).astype(np.float32)
    rows = (topics + 3.0).astype(np.float16)
    clusters = clustering.members(parted(rows, k=12, probes=1, margin=0.0).labels, 12)
    assert all(len(set(rows // 50)) <= 1 for rows in clusters)


def test_the_pieces_of_a_crowd_are_merged_and_topics_are_not() -> None:
    rows = torch.from_numpy(np.concatenate([crowd(500, seed=1), planted(1500, copies=0.0)]))
    trained = clustering.train(rows, 40, 2000, 5, np.random.default_rng(0))
    merged = clustering.merge(trained, 0.95)
    assert 20 < len(merged.centroids) < 40
    assert len(set(clustering.assign(rows, trained, 1, 0.0).labels[:500, 0])) > 1
    assert len(set(clustering.assign(rows, merged, 1, 0.0).labels[:500, 0])) == 1


@pytest.mark.parametrize("k", [1, 40, 300])
def test_any_number_of_clusters_up_to_the_number_of_vectors_will_do(k: int) -> None:
    assert (parted(crowd(300), k=k, probes=1).labels < k).all()


def test_parallel_keeps_the_order_and_leaves_the_number_of_threads_as_it_was() -> None:
    before = torch.get_num_threads()
    assert clustering.parallel(lambda item: item * 2, range(50)) == list(range(0, 100, 2))
    assert torch.get_num_threads() == before
