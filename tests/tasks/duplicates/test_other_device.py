"""Where products are made on a GPU: run on a device that is pretended, which refuses what a GPU would.

A pretended tensor says that it is on a GPU, is computed on the processor, and is refused beside a tensor that is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from tasks.duplicates import centroids, products
from tasks.duplicates.candidates import Search, find
from tasks.duplicates.clustering import parallel
from tasks.duplicates.exact_queries import near_to
from tasks.duplicates.stored import stored
from tests.tasks.planted import all_pairs, planted

GPU = torch.device("cuda:0")
aten = torch.ops.aten
MOVES = {aten._to_copy.default, aten.copy_.default}
INDEXED = {aten.index.Tensor}  # by numbers on the processor too


class Pretended(torch.Tensor):
    """A tensor that says it is on a GPU."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Pretended:
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), dtype=held.dtype, device="meta"
        )
        made.held = held
        return made

    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)

    @classmethod
    def __torch_dispatch__(cls, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(op, args, kwargs or {})


class Machine(TorchDispatchMode):
    """A machine with a GPU, pretended."""

    moved = 0  # tensors that were brought to the GPU

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(op, args, kwargs or {})


def computed(op: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What the operation gives, on the device where a GPU would leave it; RuntimeError where it would not be taken."""
    tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
    pretended = [isinstance(one, Pretended) for one in tensors]
    alone = [not is_one and one.dim() > 0 for one, is_one in zip(tensors, pretended, strict=True)]
    if any(pretended) and any(alone) and op not in MOVES | INDEXED:
        raise RuntimeError(f"{op} of tensors on two devices")
    asked = kwargs.get("device")
    there = torch.device(asked).type == "cuda" if asked is not None else bool(pretended and pretended[0])
    Machine.moved += op in MOVES and there and any(alone)
    plain = {name: value for name, value in kwargs.items() if name not in ("device", "pin_memory")}
    if asked is not None:
        plain["device"] = "cpu"
    held = tree_map(lambda one: one.held if isinstance(one, Pretended) else one, (args, plain))
    found = op(*held[0], **held[1])
    if op._schema.name.endswith("_") or "out" in kwargs:
        return kwargs.get("out", args[0])
    return tree_map(lambda one: Pretended(one) if there and isinstance(one, torch.Tensor) else one, found)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with a GPU, on one thread: what stands in for it belongs to the thread."""
    monkeypatch.setattr(torch.cuda, "_lazy_init", lambda: None)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(products, "half", lambda: True)
    for module in (products, centroids):
        monkeypatch.setattr(module, "device", lambda: str(GPU))  # one without a number is looked up
    with Machine():
        yield


@pytest.mark.usefixtures("gpu")
def test_what_is_on_two_devices_is_refused() -> None:
    with pytest.raises(RuntimeError, match="two devices"):
        torch.ones(3, device="cuda") + torch.ones(3)


def test_on_a_gpu_products_are_added_up_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = torch.backends.cuda.matmul
    before, settings.allow_bf16_reduced_precision_reduction = settings.allow_bf16_reduced_precision_reduction, True
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    try:
        assert products.device.__wrapped__() == "cuda"
        assert settings.allow_bf16_reduced_precision_reduction is False
    finally:
        settings.allow_bf16_reduced_precision_reduction = before


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("method", "clusters", "recall"),
    [("probes", 8, 0.99), ("probes", 1600, 0.99), ("clusters", 4, 0.9), ("exact", None, 1)],
)
def test_a_search_on_a_gpu_finds_the_pairs(method: str, clusters: int | None, recall: float) -> None:
    vectors = planted(3_000, d=16, copies=0.3)
    before = Machine.moved
    found = find(vectors, method, Search(0.97, clusters, clusterings=2, reach=0.5))
    assert Machine.moved > before
    known = {tuple(pair) for pair in all_pairs(vectors, 0.97).tolist()}
    near = {tuple(pair) for pair in np.sort(found.pairs, axis=1).tolist()}
    assert near <= known
    assert len(near) >= recall * len(known) > 10


@pytest.mark.usefixtures("gpu")
def test_queries_are_answered_on_a_gpu() -> None:
    vectors = planted(500, d=16, copies=0.3)
    pairs, _ = near_to(stored([vectors]), np.arange(500), 0.97, parallel)
    assert len(np.unique(np.sort(pairs, axis=1), axis=0)) == len(all_pairs(vectors, 0.97)) > 10
