"""Vectors like those of an image encoder, with planted near-duplicates: for benchmarks and for pools that are skewed.

A vector is a direction that all share (the cone), its topic, its subtopic and what is its own. Topics are of very
different sizes. What is own to a sample, and what an edit changes, lies mostly in some ninety of the directions: an
encoder's spectrum falls as a power of the rank, and a change in random directions would be easier to find.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

BLOCK = 20_000  # samples made at a time
FALL = -0.375  # power of the rank with which the spread of a direction falls
TOPICS, SUBTOPICS = 200, 20  # topics, and subtopics of each


class Shape(NamedTuple):
    """What a pool of vectors looks like; the shares are of the squared norm before copies are planted."""

    cone: float = 0.45
    topic: float = 0.2
    subtopic: float = 0.12
    copies: float = 0.2  # share of the samples that are copies of another
    apart: tuple[float, float] = (0.02, 0.36)  # distance of a copy from its source
    one_topic: float = 0.0  # share of the samples in one subtopic


NATURAL = Shape()


def write(path: Path, n: int, d: int, shape: Shape = NATURAL, seed: int = 0) -> None:
    """(n, d) float16 vectors of unit norm as .npy, in random order, block by block."""
    rng = np.random.default_rng(seed)
    own = n - round(n * shape.copies)
    place = rng.permutation(n)
    made = np.lib.format.open_memmap(path, "w+", np.float16, (n, d))
    world = _world(d, shape, rng)
    for start in range(0, own, BLOCK):
        rows = place[start : min(start + BLOCK, own)]
        made[rows] = _originals(len(rows), world, shape, rng)
    for start in range(own, n, BLOCK):
        rows = place[start : min(start + BLOCK, n)]
        source = (own * rng.random(len(rows)) ** 1.5).astype(np.int64)  # some pictures are copied far more often
        made[rows] = _copies(made[place[source]], world, shape, rng)
    made.flush()


def vectors(n: int, d: int, shape: Shape = NATURAL, seed: int = 0) -> np.ndarray:
    """The same in memory. (n, d) float16"""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "vectors.npy", n, d, shape, seed)
        return np.load(Path(folder) / "vectors.npy")


class _World(NamedTuple):
    cone: np.ndarray  # (d,)
    topics: np.ndarray  # (TOPICS, d)
    subtopics: np.ndarray  # (TOPICS × SUBTOPICS, d)
    popularity: np.ndarray  # (TOPICS × SUBTOPICS,)
    directions: np.ndarray  # (d, d), a rotation with the spectrum's spread


def _world(d: int, shape: Shape, rng: np.random.Generator) -> _World:
    rotation = np.linalg.qr(rng.standard_normal((d, d)))[0].astype(np.float32)
    spread = np.arange(1, d + 1, dtype=np.float32) ** FALL
    directions = (spread / np.linalg.norm(spread))[:, None] * rotation
    popularity = rng.permutation(1 / (np.arange(TOPICS) + 3.0))[:, None] * (1 / (np.arange(SUBTOPICS) + 2.0))
    draw = rng.standard_normal((1 + TOPICS + TOPICS * SUBTOPICS, d)).astype(np.float32)
    cone, topics, subtopics = np.split(draw / np.linalg.norm(draw, axis=1, keepdims=True), [1, 1 + TOPICS])
    return _World(
        cone[0] * shape.cone**0.5,
        topics * shape.topic**0.5,
        subtopics * shape.subtopic**0.5,
        (popularity / popularity.sum()).ravel(),
        directions,
    )


def _originals(n: int, world: _World, shape: Shape, rng: np.random.Generator) -> np.ndarray:
    kind = rng.choice(len(world.popularity), n, p=world.popularity)
    kind[rng.random(n) < shape.one_topic] = 0
    own = (1 - shape.cone - shape.topic - shape.subtopic) ** 0.5
    rows = world.cone + world.topics[kind // SUBTOPICS] + world.subtopics[kind] + own * _changes(n, world, rng)
    return _unit(rows)


def _copies(sources: np.ndarray, world: _World, shape: Shape, rng: np.random.Generator) -> np.ndarray:
    change = _changes(len(sources), world, rng)
    change /= np.linalg.norm(change, axis=1, keepdims=True)
    return _unit(sources.astype(np.float32) + change * rng.uniform(*shape.apart, (len(sources), 1)).astype(np.float32))


def _changes(n: int, world: _World, rng: np.random.Generator) -> np.ndarray:
    """(n, d) float32 of mean squared norm one, spread as the spectrum says."""
    noise = torch.from_numpy(rng.standard_normal((n, len(world.directions)), dtype=np.float32))
    return (noise @ torch.from_numpy(world.directions)).numpy()


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
