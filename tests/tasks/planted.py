"""Vectors with planted near-duplicates, and the exact answer."""

from __future__ import annotations

import numpy as np


def planted(n: int, d: int = 32, copies: float = 0.2, apart: float = 0.25, seed: int = 0) -> np.ndarray:
    """(n, d) float16 unit vectors in a cone, around 20 topics; that share of them lies up to `apart` from another."""
    rng = np.random.default_rng(seed)
    own = n - int(n * copies)
    topics = rng.normal(size=(20, d))
    rows = unit(0.8 * topics[rng.integers(0, 20, own)] + rng.normal(size=(own, d)))
    source = rng.integers(0, own, n - own)
    noise = unit(rng.normal(size=(n - own, d))) * rng.uniform(0.01, apart, size=(n - own, 1))
    cone = unit(rng.normal(size=(1, d)))
    everything = unit(np.concatenate([rows, rows[source] + noise]) + 0.7 * cone)
    return everything[rng.permutation(n)].astype(np.float16)


def crowd(n: int, d: int = 32, apart: float = 0.05, seed: int = 0) -> np.ndarray:
    """(n, d) float16 unit vectors, all about that far from one point."""
    rng = np.random.default_rng(seed)
    return unit(unit(rng.normal(size=(1, d))) + apart * unit(rng.normal(size=(n, d)))).astype(np.float16)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def all_pairs(vectors: np.ndarray, threshold: float) -> np.ndarray:
    """Every pair (lower row, higher row) whose cosine, rounded to 6 decimals, reaches the threshold. (m, 2)"""
    rows = unit(vectors.astype(np.float64))
    near = np.triu((rows @ rows.T).round(6) >= threshold, k=1)
    return np.column_stack(near.nonzero())
