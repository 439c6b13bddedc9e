"""The share of false discoveries among associations and among changes by the filter, at the stated rate of 5%."""

from __future__ import annotations

import numpy as np

from tasks.groups import contingency
from tasks.groups.contingency import Tables
from tasks.words import changes
from tasks.words.changes import Shares, benjamini_hochberg
from tests.benchmarks.coverage_pools import Floats, Source, draw, tables, units_of


def discoveries(draws: int, clusters: bool) -> None:
    """Print the share of false ones. Of 60 groups every fifth goes with the attribute; of 300 words a fifth are taken
    by the filter, and the others change by what is of no interest, at its very edge."""
    rng, rate, tau = np.random.default_rng(8), 0.05, 0.01
    false: dict[str, list[float]] = {"associations": [], "words": []}
    real, word = np.arange(60) % 5 == 0, np.arange(300) % 5 == 0
    for _ in range(draws):
        pools = [_group(rng, 600, 0.3 if found else 0.1, clusters) for found in real]
        stacked = Tables(
            np.concatenate([one.mass for one in pools]),
            np.concatenate([one.products for one in pools]),
            max(one.largest for one in pools),
        )
        p = {"associations": contingency.p_values(stacked)}
        keep = np.where(word, 0.75, 0.9 * (1 + tau * rng.choice([-1, 1], len(word))))
        p["words"] = changes.p_values(_words(rng, keep, clusters), tau)
        for name, true in (("associations", real), ("words", word)):
            rejected = benjamini_hochberg(p[name], rate)
            false[name].append((rejected & ~true).sum() / max(rejected.sum(), 1))
    kind = "clusters" if clusters else "plain"
    for name, shares in false.items():
        error = np.std(shares) / np.sqrt(len(shares))
        print(f"false discoveries, {name:14} {kind:10} {np.mean(shares):.4f} ± {error:.4f} (stated {rate})")


def _group(rng: np.random.Generator, units: int, inside: float, clusters: bool) -> Tables:
    share = rng.choice([0.06, 0.1, 0.2, 0.4])
    source = Source(units, share, attribute=(inside, 0.1), clusters=clusters, spread=0.5 * clusters)
    return tables(units_of(draw(source, rng), "weighted" if clusters else "pool"))


def _words(rng: np.random.Generator, keep: Floats, clusters: bool) -> Shares:
    """Words in near-duplicate groups that the filter judges alike, in a pool that keeps nine in ten."""
    groups = 20 + rng.geometric(0.005, len(keep))
    word = np.repeat(np.arange(len(keep)), groups)
    size = rng.choice([1, 2, 5], len(word), p=[0.8, 0.15, 0.05]) if clusters else np.ones(len(word), np.int64)
    passed = rng.random(len(word)) < keep[word]
    trials = np.bincount(word, size)
    return Shares(np.bincount(word, size * passed), trials, np.bincount(word, size**2) / trials, 900_000, 1_000_000)
