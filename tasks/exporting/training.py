"""Weights in a torch training loop: draw by weight, or weight the loss. Both minimise the same loss in expectation.

    sampler: batches drawn by weight, plain mean loss          E[loss] = sum w l / sum w
    loss:    batches drawn uniformly, loss x loss_weights      E[loss] = (1/n) sum (w / mean w) l = the same

Their noise is not the same. One draw's gradient varies by (1/n) sum v |g|^2 - |G|^2 with v = w for the sampler and
v = w^2 for the loss (weights of mean 1, G the mean gradient): where |g| has nothing to do with w, the loss pays the
factor n / effective sample size, and the sampler pays with seeing images of large weights again within an epoch.
On the toy of the tests (weights 0.625 and 2.5, n / effective sample size 1.56) the loss's variance is 1.55 times the
sampler's.

A batch's loss is divided by the number of samples, not by the sum of their weights: that ratio is biased.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Sampler

from tasks.errors import UsageError
from tasks.exporting.repeats import systematic

SIDECAR: Final = "sluice.json"  # the ending of what `sluice export --format webdataset` adds to a sample


class WeightedSampler(Sampler[list[int]]):
    """Batches of indices, drawn by weight; pass it as `batch_sampler` to a DataLoader.

    An epoch holds each sample w / mean w times on average, rounded at random (systematically, which varies less than
    drawing with replacement), in random order; what does not fill a batch is dropped. `set_epoch` as with
    DistributedSampler; without it each iteration is the next epoch.
    """

    def __init__(self, weights: npt.NDArray[np.float64], batch: int, seed: int) -> None:
        self.weights, self.batch, self.seed, self.epoch = weights, batch, seed, 0

    def __len__(self) -> int:
        return len(self.weights) // self.batch

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration draws: the same number, the same batches."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        self.epoch += 1
        order = rng.permutation(len(self.weights))
        whole = np.floor(self.weights).astype(np.int64)
        whole[order] += systematic((self.weights - whole)[order], rng.random())
        drawn = rng.permutation(np.repeat(np.arange(len(whole)), whole))
        for i in range(len(self)):
            yield drawn[i * self.batch : (i + 1) * self.batch].tolist()


def weighted_sampler(weights: Sequence[float] | npt.NDArray[np.float64], batch: int, seed: int) -> WeightedSampler:
    """A sampler of batches for a plain loss.

    Args:
        weights: (n,) of the dataset's samples in its order, at least 0; only their proportions count.
        batch: samples a batch, at most n.
        seed: the same seed, the same batches.

    Raises:
        UsageError: weights that are not finite, negative or all zero; a batch outside 1 to n.
    """
    values = _checked(weights)
    if not 1 <= batch <= len(values):
        raise UsageError(f"a batch of 1 to {len(values):,} samples was expected, {batch} was found")
    return WeightedSampler(values, batch, seed)


def loss_weights(weights: Sequence[float] | npt.NDArray[np.float64]) -> torch.Tensor:
    """What each sample's loss is multiplied by when batches are drawn uniformly. (n,) → (n,) float32, mean 1

    `(loss(model(x), y) * loss_weights(w)[indices]).mean()` has the expectation of the plain mean loss under
    `weighted_sampler`. UsageError as there.
    """
    return torch.from_numpy(_checked(weights).astype(np.float32))


def from_sidecar(sample: Mapping[str, Any]) -> float:
    """The weight of one webdataset sample of an export, decoded or not: `dataset.map(lambda s: (…, from_sidecar(s)))`.

    UsageError where the sample has no sluice.json, or the exported version had no weights.
    """
    facts = sample.get(SIDECAR)
    if isinstance(facts, bytes | str):
        facts = json.loads(facts)
    weight = facts.get("weight") if isinstance(facts, Mapping) else None
    if not isinstance(weight, int | float):
        raise UsageError(
            f"{sample.get('__key__', 'a sample')}: a weight in {SIDECAR} was expected, {weight!r} was found; "
            "read tars that `sluice export --format webdataset` wrote from a version with weights"
        )
    return float(weight)


def _checked(weights: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The weights at mean 1. (n,) float64"""
    values = np.asarray(weights, np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any() or not values.sum() > 0:
        raise UsageError(
            f"a list of finite weights, none below 0 and one above, was expected; found shape {values.shape}, "
            f"{np.count_nonzero(~np.isfinite(values))} not finite, {np.count_nonzero(values < 0)} below 0"
        )
    return values / values.mean()
