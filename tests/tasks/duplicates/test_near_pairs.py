"""Clusters are compared in bounded blocks, whatever their size, and each pair is told once a cluster."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.duplicates import near_pairs
from tasks.duplicates.assignment import Assigned
from tasks.duplicates.clustering import parallel
from tasks.duplicates.near_pairs import compare
from tasks.duplicates.stored import stored
from tests.tasks.planted import all_pairs, planted


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    n=st.integers(2, 200),
    k=st.integers(1, 6),
    block=st.sampled_from([16, 50, 1000]),
    task=st.sampled_from([20, 64, 5000]),
)
def test_pairs_at_home_together_or_by_a_visit_are_found_and_no_others(
    seed: int, n: int, k: int, block: int, task: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = planted(n, d=8, copies=0.5, seed=seed)
    home = rng.integers(0, k, n).astype(np.int32)
    visits = np.unique(np.column_stack([rng.integers(0, k, n // 2), rng.integers(0, n, n // 2)]), axis=0)
    visits = visits[home[visits[:, 1]] != visits[:, 0]]
    step = np.ones(len(visits), np.int8)
    assigned = Assigned(home, visits[:, 1], visits[:, 0].astype(np.int32), step, np.zeros(n, np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_pairs, "WHOLE", block)
        patch.setattr(near_pairs, "COLUMNS", block // 2)
        patch.setattr(near_pairs, "TASK", task)
        found = compare(stored([vectors]), assigned, 0.95, parallel)
    pairs = [tuple(pair) for part in found for pair in part.pairs.tolist()]
    steps = np.concatenate([part.step for part in found])
    visited = {(int(row), int(cluster)) for cluster, row in visits}
    near = {(int(i), int(j)) for i, j in all_pairs(vectors, 0.95)}
    together = {(i, j) for i, j in near if home[i] == home[j]}
    met = {(i, j) for i, j in near if (i, home[j]) in visited or (j, home[i]) in visited}
    assert set(pairs) == together | met
    assert {pair for pair, first in zip(pairs, steps, strict=True) if first == 0} == together
    assert sum(first == 0 for first in steps) == len(together)


def test_a_task_of_a_large_cluster_is_sent_no_vector_behind_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_pairs, "WHOLE", 16)
    monkeypatch.setattr(near_pairs, "TASK", 20)
    nobody = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int8)
    together = Assigned(np.zeros(50, np.int32), *nobody, np.zeros(50, np.float32))
    sent = list(near_pairs.tasks(stored([planted(50, d=8)]), together, 0.95))
    assert [len(task.rank) for task in sent] == [len(task.vectors.number) for task in sent] == [16, 32, 48, 50]


def test_of_many_files_several_tasks_go_together_and_find_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(near_pairs, "TASK", 8)
    vectors, nobody = planted(60, d=8), (np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int8))
    for number, some in enumerate(np.split(vectors, 6)):
        np.save(tmp_path / f"{number}.npy", some)
    files = stored(sorted(tmp_path.glob("*.npy")))
    homes = Assigned(np.sort(np.arange(60) % 20).astype(np.int32), *nobody, np.zeros(60, np.float32))
    sizes: list[int] = []

    def mapped(function: Any, jobs: Any) -> list[Any]:
        sizes[:] = [len(job) for job in jobs]
        return [function(pickle.loads(pickle.dumps(job))) for job in jobs]

    alone = near_pairs.compare(files, homes, 0.9, mapped)
    assert set(sizes) == {1} and len(sizes) == 10
    monkeypatch.setattr(near_pairs, "FILES", 2)
    together = near_pairs.compare(files, homes, 0.9, mapped)
    assert sizes == [4, 4, 2]
    assert [near.pairs.tolist() for near in together] == [near.pairs.tolist() for near in alone]


def test_a_worker_stays_within_the_memory_that_is_declared() -> None:
    program = """
import numpy as np
import torch
from tasks.duplicates.assignment import Assigned
from tasks.duplicates.near_pairs import compare_task, tasks
from tasks.duplicates.stored import stored
from tests.memory import peak_memory

torch.set_num_threads(1)
vectors = stored([np.full((16_384, 512), 512**-0.5, np.float16)])
nobody = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int8)
crowd = Assigned(np.zeros(16_384, np.int32), *nobody, np.zeros(16_384, np.float32))
pairs = sum(len(compare_task(task).pairs) for task in tasks(vectors, crowd, 0.95))
print(pairs, peak_memory())
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    pairs, peak = map(int, done.stdout.split())
    assert pairs > 60 * 16_000
    assert peak < 1_000_000_000
