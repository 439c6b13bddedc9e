"""k-means tells topics apart, and work is shared among threads in order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tasks.duplicates import clustering
from tests.tasks.planted import crowd


def cells(rows: np.ndarray, k: int) -> np.ndarray:
    """The nearest of k trained directions of each row."""
    trained = clustering.train(torch.from_numpy(rows), k, len(rows), 5, np.random.default_rng(0))
    seen = clustering.unit(clustering.unit(torch.from_numpy(rows)) - trained.mean)
    return (seen @ trained.centroids.T).argmax(1).numpy()


def test_topics_are_told_apart_although_they_sit_in_a_cone() -> None:
    topics = np.concatenate([crowd(50, seed=seed) for seed in range(4)]).astype(np.float32)
    label = cells((topics + 3.0).astype(np.float16), k=12)
    assert all(len(set(np.flatnonzero(label == cell) // 50)) <= 1 for cell in range(12))


@pytest.mark.parametrize("k", [1, 40, 300])
def test_any_number_of_clusters_up_to_the_number_of_vectors_will_do(k: int) -> None:
    assert (cells(crowd(300), k=k) < k).all()


def test_parallel_keeps_the_order_and_leaves_the_number_of_threads_as_it_was() -> None:
    before = torch.get_num_threads()
    assert clustering.parallel(lambda item: item * 2, range(50)) == list(range(0, 100, 2))
    assert torch.get_num_threads() == before
