"""k-means tells topics apart, and work is shared among threads in order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Thread

import numpy as np
import pytest
import torch

from tasks.duplicates import clustering
from tests.tasks.planted import crowd


@pytest.fixture
def several_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


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


def test_parallel_keeps_the_order_and_leaves_the_number_of_threads_as_it_was(several_threads: None) -> None:
    before = torch.get_num_threads()
    assert clustering.parallel(lambda item: item * 2, range(50)) == list(range(0, 100, 2))
    assert torch.get_num_threads() == before
    counted: list[int] = []
    other = Thread(target=lambda: counted.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert counted == [before]


def test_each_product_is_made_on_one_thread(several_threads: None) -> None:
    def threads(item: int) -> int:
        torch.ones(100_000).sum()
        return torch.get_num_threads()

    assert clustering.parallel(threads, range(50)) == [1] * 50


def test_where_one_item_fails_no_other_goes_on(several_threads: None) -> None:
    running: set[int] = set()
    begun: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        running.add(item)
        time.sleep(0.01)
        running.discard(item)
        if item == 0:
            raise OSError("this one")

    with pytest.raises(OSError, match="this one"):
        clustering.parallel(work, range(200))
    assert not running
    assert len(begun) < 200
