"""What an image-text encoder can do, as figures with intervals: retrieval, linear probes, near-duplicates, speed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

RESAMPLES = 1000
SEEDS = 3
PROBE_SAMPLES = 2000

Interval = tuple[float, float, float]  # estimate, low, high


def retrieval(text: np.ndarray, image: np.ndarray, same: np.ndarray, group: np.ndarray, k: int) -> Interval:
    """Share of captions with an image of theirs among the k nearest; a bootstrap 95% interval over groups.

    `text` and `image` are (n, d) of unit norm; a caption's images are those with its number in `same`.
    Groups, not samples, are drawn again: the skin tones of one emoji stand or fall together.
    """
    nearest = np.argsort(-(text @ image.T), axis=1, kind="stable")[:, :k]
    hits = (same[nearest] == same[:, None]).any(axis=1).astype(float)
    return _by_groups(hits, group)


def chance(same: np.ndarray, k: int) -> float:
    """The expected `retrieval` of a random order."""
    n = len(same)
    copies = np.array([Counter(same.tolist())[one] for one in same.tolist()])
    missed = np.ones(n)
    for drawn in range(k):
        missed *= np.clip((n - copies - drawn) / (n - drawn), 0, 1)
    return float(1 - missed.mean())


def _by_groups(values: np.ndarray, group: np.ndarray) -> Interval:
    _, index = np.unique(group, return_inverse=True)
    sums, counts = np.bincount(index, values), np.bincount(index)
    draws = np.random.default_rng(0).integers(0, len(sums), (RESAMPLES, len(sums)))
    means = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def probe(features: np.ndarray, labels: np.ndarray, group: np.ndarray, held_out: np.ndarray) -> Interval:
    """Held-out accuracy of logistic regression on what is not held out; a 95% interval over seeds and groups.

    Each of SEEDS draws PROBE_SAMPLES to train on, the same for every encoder; a sample's hits are averaged over them,
    and held-out groups are drawn again as in `retrieval`.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    hits = np.zeros(int(held_out.sum()))
    for seed in range(SEEDS):
        train = np.random.default_rng(seed).permutation(np.flatnonzero(~held_out))[:PROBE_SAMPLES]
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.02, max_iter=300, tol=1e-2))
        model.fit(features[train], labels[train])
        hits += model.predict(features[held_out]) == labels[held_out]
    return _by_groups(hits / SEEDS, group[held_out])


def frequent(labels: Sequence[str], minimum: int) -> np.ndarray:
    """(n,) bool: the label occurs at least `minimum` times."""
    counts = Counter(labels)
    return np.array([bool(label) and counts[label] >= minimum for label in labels])


def nearest_cosines(image: np.ndarray) -> np.ndarray:
    """(n,) each sample's cosine to its nearest other."""
    similarity = image @ image.T
    np.fill_diagonal(similarity, -1)
    nearest: np.ndarray = similarity.max(axis=1)
    return nearest


def near_duplicates(image: np.ndarray, group: np.ndarray, chosen: np.ndarray, threshold: float) -> dict[str, Any]:
    """Pairs at this cosine, how many are of one group, and what becomes of the `chosen` samples."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    near = np.triu(image @ image.T >= threshold, 1)
    one, other = np.nonzero(near)
    links = coo_array((np.ones(len(one)), (one, other)), shape=near.shape)
    number, component = connected_components(links, directed=False)
    return {
        "threshold": threshold,
        "pairs": len(one),
        "one_group": float((group[one] == group[other]).mean()) if len(one) else float("nan"),
        "groups": int((np.bincount(component) > 1).sum()),
        "fewer": len(image) - number,
        "largest": int(np.bincount(component).max()),
        "chosen_pairs": int(near[np.ix_(chosen, chosen)].sum()),
        "chosen_groups": len(set(component[chosen].tolist())),
    }


def images_per_second(model: Any) -> float:
    """Forward passes of the image tower on one thread, float32, batches of 64; the best of five."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    batch = torch.randn(64, 3, *model.visual.image_size)
    seconds = []
    with torch.inference_mode():
        for _ in range(6):
            began = time.perf_counter()
            model.encode_image(batch)
            seconds.append(time.perf_counter() - began)
    torch.set_num_threads(threads)
    return 64 / min(seconds[1:])
