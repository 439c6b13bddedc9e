from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, TensorDataset

from tasks.errors import UsageError
from tasks.exporting.training import from_sidecar, loss_weights, weighted_sampler

BATCH = 25


class Toy(NamedTuple):
    """Two groups whose labels follow opposite rules; a filter kept a quarter of one. One line cannot fit both."""

    x: torch.Tensor  # (n, 3) float32, the last column 1
    y: torch.Tensor  # (n,) float32
    weights: np.ndarray  # (n,) that undo the filter


@pytest.fixture(scope="module")
def toy() -> Toy:
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], [200, 800])
    x = np.column_stack([rng.normal(size=(1000, 2)), np.ones(1000)])
    slopes = np.array([[2.0, 0.5, 0.5], [-1.0, 1.0, -0.5]])[group]
    y = rng.random(1000) < 1 / (1 + np.exp(-(x * slopes).sum(axis=1)))
    weights = np.where(group == 0, 2.5, 0.625)
    return Toy(torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32), weights)


def optimum(toy: Toy, weights: torch.Tensor) -> torch.Tensor:
    """The minimiser of the weighted loss over all samples. (3,)"""
    theta = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([theta], max_iter=100, line_search_fn="strong_wolfe", tolerance_grad=1e-9)

    def closure() -> torch.Tensor:
        solver.zero_grad()
        loss = binary_cross_entropy_with_logits(toy.x.double() @ theta, toy.y.double(), weights.double())
        loss.backward()
        return loss

    solver.step(closure)
    return theta.detach()


def trained(batches: DataLoader, weighted: bool) -> torch.Tensor:
    """Stochastic gradient descent with a falling rate; the mean of the second half's steps. (3,)"""
    theta = torch.zeros(3, requires_grad=True)
    steps, rates, mean, seen = 0, 0.5, torch.zeros(3, dtype=torch.float64), 0
    for epoch in range(20):
        for x, y, w in batches:
            losses = binary_cross_entropy_with_logits(x @ theta, y, reduction="none")
            (slope,) = torch.autograd.grad((losses * w if weighted else losses).mean(), theta)
            steps += 1
            theta = (theta - rates / (1 + steps / 400) ** 0.6 * slope).detach().requires_grad_()
            if epoch >= 10:
                seen += 1
                mean += (theta.detach() - mean) / seen
    return mean


def drawn_by_weight(toy: Toy) -> DataLoader:
    data = TensorDataset(toy.x, toy.y, torch.ones(len(toy.y)))
    return DataLoader(data, batch_sampler=weighted_sampler(toy.weights, BATCH, seed=1))


def drawn_uniformly(toy: Toy) -> DataLoader:
    data = TensorDataset(toy.x, toy.y, loss_weights(toy.weights))
    return DataLoader(data, batch_size=BATCH, shuffle=True, generator=torch.Generator().manual_seed(1))


def test_both_ways_find_the_weighted_optimum_and_plain_training_does_not(toy: Toy) -> None:
    wanted = optimum(toy, loss_weights(toy.weights))
    plain = optimum(toy, torch.ones(1000))
    by_sampler = trained(drawn_by_weight(toy), weighted=False)
    by_loss = trained(drawn_uniformly(toy), weighted=True)
    unweighted = trained(drawn_uniformly(toy), weighted=False)
    assert (plain - wanted).norm() > 0.5
    assert (by_sampler - wanted).norm() < 0.05
    assert (by_loss - wanted).norm() < 0.05
    assert (unweighted - plain).norm() < 0.05


def test_the_weighted_loss_is_noisier_than_the_sampler_and_of_the_same_mean(toy: Toy) -> None:
    theta = optimum(toy, loss_weights(toy.weights))
    slopes = (torch.sigmoid(toy.x.double() @ theta) - toy.y.double())[:, None] * toy.x.double()  # (n, 3)
    by_loss = slopes * loss_weights(toy.weights).double()[:, None]
    epochs = weighted_sampler(toy.weights, BATCH, seed=2)
    sampled = torch.stack([slopes[batch].mean(dim=0) for _ in range(25) for batch in epochs])
    generator = torch.Generator().manual_seed(3)
    uniform = torch.cat(
        [by_loss[torch.randperm(1000, generator=generator)].view(-1, BATCH, 3).mean(1) for _ in range(25)]
    )
    error = (sampled.var(dim=0) / len(sampled)).sqrt()
    assert ((sampled.mean(dim=0) - by_loss.mean(dim=0)).abs() < 4 * error).all()
    ratio = float(uniform.var(dim=0).sum() / sampled.var(dim=0).sum())
    assert ratio == pytest.approx(1.55, abs=0.1)  # what the docstring of tasks.exporting.training states


@given(weights=st.lists(st.floats(0.01, 10), min_size=2, max_size=50), epoch=st.integers(0, 1000))
def test_an_epoch_holds_each_sample_its_weight_times_within_one(weights: list[float], epoch: int) -> None:
    sampler = weighted_sampler(weights, 1, seed=0)
    sampler.set_epoch(epoch)
    counts = np.bincount([i for batch in sampler for i in batch], minlength=len(weights))
    assert counts.sum() == len(weights)
    assert (np.abs(counts - np.array(weights) / np.mean(weights)) < 1 + 1e-9).all()


def test_over_epochs_the_mean_is_the_weight_and_batches_are_full() -> None:
    weights = np.random.default_rng(0).lognormal(0, 0.5, 200)
    sampler = weighted_sampler(weights, 16, seed=0)
    epochs = [list(sampler) for _ in range(400)]
    assert {len(batch) for epoch in epochs for batch in epoch} == {16}
    assert {len(epoch) for epoch in epochs} == {len(sampler)} == {12}
    counts = np.array([np.bincount(np.concatenate(epoch), minlength=200) for epoch in epochs])
    expected = weights / weights.mean() * 192 / 200  # the last 8 of an epoch, at random, do not fill a batch
    assert (np.abs(counts.mean(axis=0) - expected) < 5 * counts.std(axis=0) / 20 + 1e-9).all()


def test_an_epoch_is_the_same_again_and_the_next_is_another() -> None:
    sampler = weighted_sampler([0.5, 1.5, 1.0, 0.7, 1.3] * 8, 4, seed=9)
    first, second = list(sampler), list(sampler)
    assert first != second
    sampler.set_epoch(0)
    assert list(sampler) == first
    assert list(weighted_sampler([0.5, 1.5, 1.0, 0.7, 1.3] * 8, 4, seed=10)) != first


def test_loss_weights_have_mean_one_whatever_their_scale() -> None:
    assert loss_weights([1.0, 2.0, 3.0]).tolist() == pytest.approx([0.5, 1.0, 1.5])
    assert torch.equal(loss_weights([10.0, 20.0, 30.0]), loss_weights([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [1.0, -1.0], [1.0, float("nan")], [[1.0], [2.0]]])
def test_weights_that_are_none_are_refused(weights: list[float]) -> None:
    with pytest.raises(UsageError, match="finite weights"):
        loss_weights(weights)
    with pytest.raises(UsageError, match="finite weights"):
        weighted_sampler(weights, 1, 0)


@pytest.mark.parametrize("batch", [0, 4])
def test_a_batch_that_an_epoch_cannot_fill_is_refused(batch: int) -> None:
    with pytest.raises(UsageError, match="batch of 1 to 3"):
        weighted_sampler([1.0, 1.0, 1.0], batch, 0)


def test_the_weight_is_read_from_the_sidecar_raw_or_decoded() -> None:
    facts = {"uid": "0" * 32, "weight": 1.5, "version": "0" * 64}
    assert from_sidecar({"__key__": "a", "sluice.json": json.dumps(facts).encode()}) == 1.5
    assert from_sidecar({"__key__": "a", "sluice.json": facts}) == 1.5


@pytest.mark.parametrize("sample", [{"__key__": "a"}, {"__key__": "a", "sluice.json": b'{"weight": null}'}])
def test_a_sidecar_without_a_weight_is_an_error_that_names_the_sample(sample: dict) -> None:
    with pytest.raises(UsageError, match="a: a weight"):
        from_sidecar(sample)
