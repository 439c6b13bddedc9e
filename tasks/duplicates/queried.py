"""Exact queries and what they found, kept so that after an increment only new rows need be asked.

Each version asks its new rows in the proportion in which the known ones were asked, so that the queries of all versions
together are one sample drawn in proportion to the size of each version's rows. Treated as one drawn at random from all
rows, its intervals are not too short: a sample in proportion varies less (Cochran 1977, section 5.5), and counts fewer
affected rows than a chance of 5% would allow less often (Hoeffding 1956, theorem 4).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Stratum(NamedTuple):
    """What the queries of one stratum found."""

    size: int  # rows in it
    missed: NDArray[np.float64]  # (queries,), the weights of what each query found


class Queried(NamedTuple):
    """Queries of one or two strata of rows, and m findings."""

    size: NDArray[np.int64]  # (strata,), rows
    asked: NDArray[np.int64]  # (strata,), queries
    stratum: NDArray[np.int8]  # (m,)
    query: NDArray[np.int64]  # (m,), number of the query within its stratum
    weight: NDArray[np.float64]  # (m,), 2 where the query stands for a finding of a row that is not asked any more
    similarity: NDArray[np.float64]  # (m,), cosine of the pair that was found

    def strata(self, low: float = -np.inf, high: float = np.inf) -> list[Stratum]:
        """The findings of a cosine in [low, high), by stratum and query."""
        here = (self.similarity >= low) & (self.similarity < high)
        found = []
        for number, (size, asked) in enumerate(zip(self.size.tolist(), self.asked.tolist(), strict=True)):
            mine = here & (self.stratum == number)
            counts = np.bincount(self.query[mine], self.weight[mine], minlength=asked).astype(np.float64)
            found.append(Stratum(size, counts))
        return found

    def plus(self, later: Queried) -> Queried:
        """As one sample of all their rows."""
        query = later.query + self.asked[later.stratum]
        both = [np.concatenate([old, new]) for old, new in zip(self, later._replace(query=query), strict=True)]
        return Queried(self.size + later.size, self.asked + later.asked, *both[2:])

    def save(self, path: Path) -> None:
        np.savez(path, allow_pickle=False, **self._asdict())


def load(path: Path) -> Queried:
    """What `save` wrote."""
    with np.load(path) as file:
        return Queried(*(file[name] for name in Queried._fields))


def more(before: Queried, sizes: list[int], rng: np.random.Generator) -> list[int]:
    """How many of so many new rows of each stratum to ask, in the proportion of those before; rounded at random."""
    share = before.asked / np.maximum(before.size, 1)
    return [int(size * part + rng.random()) for size, part in zip(sizes, share.tolist(), strict=True)]
