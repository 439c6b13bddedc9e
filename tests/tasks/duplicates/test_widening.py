"""A search that missed too much is made again with wider visits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.duplicates import probing, widening
from tasks.duplicates.candidates import Search
from tasks.duplicates.clustering import parallel
from tasks.duplicates.stored import stored
from tasks.duplicates.widening import Ask, find_wider
from tests.tasks.planted import all_pairs, planted


def crowded(n: int = 1200, d: int = 4) -> np.ndarray:
    """Vectors of few dimensions: most near pairs lie near to a boundary. (n, d) float16"""
    rows = np.random.default_rng(2).normal(size=(n, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


@pytest.fixture(autouse=True)
def small_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "ALL_TO_ALL", 100)
    monkeypatch.setattr(probing, "CLUSTER", 60)


def shares(vectors: np.ndarray, threshold: float, recall: float, folder: Path) -> tuple[float, float]:
    """Recall, and the reach."""
    found, reach = find_wider(stored([vectors]), Ask("probes", Search(threshold, recall=recall)), folder, parallel)
    truth = {tuple(pair) for pair in all_pairs(vectors, threshold).tolist() if not found.saturated[list(pair)].any()}
    return len(truth & set(map(tuple, found.pairs.tolist()))) / len(truth), reach


def test_a_crowded_pool_is_searched_wider_until_the_recall_is_reached(tmp_path: Path) -> None:
    vectors = crowded()
    recall, reach = shares(vectors, 0.99, 0.5, tmp_path)
    assert reach == probing.REACHES[0]
    assert recall < 0.999
    wider, reach = shares(vectors, 0.99, 0.999, tmp_path)
    assert reach > probing.REACHES[0]
    assert wider >= 0.999


def test_a_pool_whose_pairs_lie_apart_is_searched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "CLUSTER", 500)
    assert shares(planted(2000), 0.95, 0.99, tmp_path)[1] == probing.REACHES[0]


def test_other_methods_are_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(widening, "estimate", lambda *_: pytest.fail("no pilot was expected"))
    found, _ = find_wider(stored([crowded(300)]), Ask("exact", Search(0.99)), tmp_path, parallel)
    assert len(found.pairs)


def test_the_widest_reach_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "REACHES", (0.01, 0.02))
    assert shares(crowded(), 0.99, 1.0, tmp_path)[1] == 0.02
