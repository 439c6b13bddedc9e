"""How often the 95% intervals of two versions' comparison hold what other pools of the source show.

Captions of twelve words of 2 to 50%, each moving the chance to stay; with near-duplicates a caption stands three times,
and stays or goes as one; `new`: the share of samples that only the later version has. Run: python -m
tests.benchmarks.comparison_coverage [--draws 1000]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from tasks.groups.comparison import compare
from tests.tasks.captioned import captioned, map_here
from tests.tasks.groups.test_comparison import ALL, WORDS, drawn

UNITS = 600


def truth(new: float) -> np.ndarray:
    """(12,) the source's changes, by a large draw."""
    has, stays = drawn(np.random.default_rng(1), 400_000)
    mean = (1 - new) * stays.mean() + new
    return np.array([((1 - new) * stays[has[:, i]].mean() + new) / mean - 1 for i in range(len(WORDS))])


def held(root: Path, rng: np.random.Generator, new: float, copies: int) -> list[bool]:
    """Of one drawn pool, whether each interval that was printed holds the truth."""
    has, stays = drawn(rng, UNITS)
    came = rng.random(UNITS) < new
    kept = (rng.random(UNITS) < stays) | came
    captions = [" ".join(WORDS[one]) for one in np.repeat(has, copies, axis=0)]
    before, after = np.repeat(~came, copies), np.repeat(kept, copies)
    groups = [range(i * copies, (i + 1) * copies) for i in range(UNITS)] if copies > 1 else []
    versions = [
        captioned(root, captions, ["kept" if one else "filtered" for one in side], None, groups)
        for side in (after, before)
    ]
    true, rows = truth_of[new], compare(*versions, ALL, map_here)[0]["words"].to_pylist()
    return [
        bool(row["change_lower"] <= true[int(row["term"][1:])] <= row["change_upper"])
        for row in rows
        if row["change_lower"] is not None
    ]


truth_of = {new: truth(new) for new in (0.0, 0.2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=100)
    options = parser.parse_args()
    for new in truth_of:
        for copies in (1, 3):
            rng, found = np.random.default_rng(2), list[bool]()
            for _ in range(options.draws):
                with tempfile.TemporaryDirectory() as root:
                    found += held(Path(root), rng, new, copies)
            what = f"new {new:.0%}, {'near-duplicates' if copies > 1 else 'no near-duplicates'}"
            print(f"{what}: {np.mean(found):.1%} of {len(found):,} intervals hold, {options.draws} draws", flush=True)


if __name__ == "__main__":
    main()
