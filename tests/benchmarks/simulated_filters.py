"""Pools whose samples are removed with known probabilities, so that the weights that undo it are known.

Ten traits make the embedding and half of the words; the other words follow their own chance. Words are split by thirds:
two thirds may be features or choose, one third and all its pairs judge and are used for nothing else.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
from scipy.sparse import csc_array, hstack

from tasks.weights.features import Pool, Terms

TRAITS, WORDS, WIDTH = 10, 90, 96
FEWEST = 40  # captions of the pool with a word or pair, for it to judge
OVERLAP: Final = ("group", "group x attribute", "smooth")  # filters that leave overlap, and something to repair
FILTERS: Final = (*OVERLAP, "chance", "near-deterministic")


class Simulated(NamedTuple):
    pool: Pool
    embedding: np.ndarray  # (n, WIDTH) float16
    shown: Terms  # words that methods may use
    hidden: csc_array  # (n, t) words and pairs that nothing was chosen by
    chance: np.ndarray  # (n,) known probability of being kept
    form: np.ndarray  # (n, f) what its log odds are linear in, traits as far as the embedding shows them

    @property
    def oracle(self) -> np.ndarray:
        """(m,) weights of the kept samples that undo the filter, mean 1."""
        weights = 1 / self.chance[self.pool.kept]
        return weights / weights.mean()


def simulate(seed: int, shape: str, n: int, draw: int = 0) -> Simulated:
    """A pool, which is the same for all draws, and what a draw of the filter keeps of it."""
    rng = np.random.default_rng(seed)
    traits = rng.normal(size=(n, TRAITS))
    embedding = 0.4 * traits @ rng.normal(size=(TRAITS, WIDTH)) + 0.7 * rng.normal(size=(n, WIDTH)) + 2
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    leaning = rng.normal(size=(TRAITS, WORDS)) * (rng.random((TRAITS, WORDS)) < 0.3) * (np.arange(WORDS) % 2)
    level = rng.uniform(-3.5, -1, WORDS)
    level[:4] = -1.0  # the groups and attributes that filters look at are frequent
    words = rng.random((n, WORDS)) < 1 / (1 + np.exp(-(traits @ leaning + level)))
    chance = _chance(shape, traits, words)
    kept = np.random.default_rng([seed, draw]).random(n) < chance
    order = np.argsort(-words.sum(axis=0), kind="stable")
    shown, hidden = order[np.isin(order % 3, (0, 1))], order[order % 3 == 2]
    pool = Pool(kept, np.ones(n, dtype=bool), np.arange(n), np.ones(n))
    terms = Terms(tuple(f"word {i}" for i in shown), csc_array(words[:, shown].astype(np.float64)))
    seen = np.hstack([np.ones((n, 1)), embedding])
    form = _form(shape, seen @ np.linalg.lstsq(seen, traits, rcond=None)[0], words)
    return Simulated(pool, embedding.astype(np.float16), terms, _with_pairs(words[:, hidden]), chance, form)


def _form(shape: str, traits: np.ndarray, words: np.ndarray) -> np.ndarray:
    """(n, f) the functions of `_chance`, its coefficients apart."""
    of = {
        "group": [words[:, 0], words[:, 1]],
        "group x attribute": [words[:, 0] & words[:, 3], words[:, 1]],
        "smooth": [traits[:, 0], traits[:, 1], traits[:, 2] ** 2],
        "chance": [],
        "near-deterministic": [traits[:, 0], traits[:, 1]],
    }[shape]
    return np.array(of, dtype=np.float64).reshape(len(of), len(traits)).T


def _chance(shape: str, traits: np.ndarray, words: np.ndarray) -> np.ndarray:
    """(n,) probability of being kept."""
    harm = {
        "group": 1.5 * words[:, 0] + 1.2 * words[:, 1] - 2.2,
        "group x attribute": 2.0 * (words[:, 0] & words[:, 3]) + 0.5 * words[:, 1] - 2.2,
        "smooth": traits[:, 0] + 0.8 * traits[:, 1] - 0.5 * traits[:, 2] ** 2 - 1.5,
        "chance": np.full(len(traits), -2.0),
        "near-deterministic": 8 * (traits[:, 0] + 0.5 * traits[:, 1] - 0.9),
    }[shape]
    chance: np.ndarray = 1 / (1 + np.exp(np.clip(harm, -30, 30)))
    return chance


def _with_pairs(words: np.ndarray) -> csc_array:
    """(n, t) words and their pairs, as far as frequent enough."""
    pairs = [words[:, i] & words[:, j] for i, j in combinations(range(words.shape[1]), 2)]
    all_terms = hstack([csc_array(words.astype(np.float64)), csc_array(np.array(pairs).T.astype(np.float64))])
    frequent = np.asarray(all_terms.sum(axis=0)).ravel() >= FEWEST
    return csc_array(all_terms)[:, np.flatnonzero(frequent)]
