"""Memory is used again by its thread for the same use, and by nobody else."""

from __future__ import annotations

from threading import Thread

import pytest
import torch

from tasks.duplicates import products
from tasks.duplicates import scratch as module
from tasks.duplicates.scratch import scratch


def test_the_same_use_gets_the_same_memory_whatever_its_shape_and_kind() -> None:
    first = scratch("one", (3, 50), torch.float64)
    again = scratch("one", (7, 4), torch.bfloat16)
    assert (again.shape, again.dtype) == ((7, 4), torch.bfloat16)
    assert again.is_contiguous()
    assert again.data_ptr() == first.data_ptr()
    assert scratch("two", (3, 50), torch.float64).data_ptr() != first.data_ptr()


def test_memory_grows_with_what_is_asked_and_nothing_may_be_asked() -> None:
    for rows in (0, 1, 1000, 5, 2000):
        assert scratch("growing", (rows, 3), torch.float32).fill_(rows).shape == (rows, 3)


def test_other_threads_have_memory_of_their_own() -> None:
    mine = scratch("shared?", (100,), torch.int64).fill_(1)
    other = Thread(target=lambda: scratch("shared?", (100,), torch.int64).fill_(2))
    other.start()
    other.join()
    assert (mine == 1).all()


def test_what_is_larger_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 64)
    first = scratch("large", (9,), torch.int64).fill_(1)
    scratch("large", (9,), torch.int64).fill_(2)
    assert (first == 1).all()
    assert not hasattr(module._OWN, "large")


def test_products_stand_until_the_thread_makes_the_next_ones() -> None:
    left, right = torch.eye(3).repeat(2, 1), 2 * torch.eye(3)
    expected = left @ right.T
    found = products.product(left, right)
    assert (found == expected).all()
    assert products.product(-left, right).data_ptr() == found.data_ptr()
