"""A planted association: one group is flagged five times as often as all others. Is it found, ranked first, removed?

Twelve groups of people and their intersections with six attributes: a classifier's verdict that is tied to one
intersection, and words that are tied to none. A filter takes half of what is flagged, a fifth are near-duplicates.
The audit reads the version before and after weights that a file of targets asks to make the two independent.
Run: python -m tests.benchmarks.planted_association [--seeds 20] [--rows 10000]
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from tasks import reweight
from tasks.files import write_table
from tasks.groups.association import audit_groups
from tasks.groups.term_groups import read_groups
from tasks.lake import Version
from tasks.samples import DUPLICATE, FILTERED, KEPT, SCORE
from tasks.weights.balance import effective_sample_size
from tasks.words.tokens import write_tokens
from tests.tasks.small_version import map_inline, version

ORIGINS = ("asian", "african", "european", "latin", "arab")
WORDS = ("old", "smiling", "crying", "working", "poor")  # attributes by keyword, tied to no group
INSIDE, OUTSIDE = 0.25, 0.05  # chance to be flagged in the planted group, and elsewhere
GROUPS = "\n".join(
    [
        '[groups.woman]\nterms = ["woman"]\n[groups.man]\nterms = ["man"]',
        *(f'[groups.{one}]\nterms = ["{one}"]\n[groups."{one} woman"]\nall = ["{one}", "woman"]' for one in ORIGINS),
        *(f'[attributes.{one}]\nterms = ["{one}"]' for one in WORDS),
        '[attributes.flagged]\nclassifier = "sexual"\nabove = 0.5\n',
    ]
)
TARGETS = '[[independent]]\ngroup = "asian woman"\nattribute = "flagged"\n'


class Found(NamedTuple):
    """What one seed showed."""

    rank: int | None  # of the planted pair among the summary's strongest before curation
    rank_after: int | None  # the same by weight
    odds: tuple[float, float, float]  # log odds ratio in the pool, and its bounds
    kept: float  # log odds ratio among the kept
    weighted: tuple[float, float, float]
    effective: float  # effective sample size / kept samples
    seconds: float


def planted(root: Path, rows: int, seed: int) -> Version:
    """The version with near-duplicates, scores and verdicts, and `people.toml` and `targets.toml` beside its lake."""
    rng = np.random.default_rng(seed)
    original = np.arange(rows)
    copies = rng.random(rows) < 0.2
    copies[0] = False
    original[copies] = np.maximum.accumulate(np.where(copies, 0, original))[copies]
    woman, origin = rng.random(rows) < 0.5, rng.integers(0, 12, rows)
    flagged = rng.random(rows) < np.where(woman & (origin == 0), INSIDE, OUTSIDE)
    said = rng.random((rows, len(WORDS))) < [0.2, 0.15, 0.1, 0.1, 0.05]
    captions = [_caption(woman[i], origin[i], said[i]) for i in original]
    score = np.where(flagged, 0.5 + rng.random(rows) / 2.1, rng.random(rows) * 0.49)[original].astype(np.float32)
    gone = (flagged & (rng.random(rows) < 0.5))[original]
    verdicts = np.where(gone, FILTERED, np.where(copies, DUPLICATE, KEPT)).tolist()
    embeddings = rng.normal(size=(rows, 8)) + np.where(flagged, 1.0, 0.0)[:, None]
    embeddings = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True))[original]
    groups = [np.flatnonzero(original == i).tolist() for i in np.unique(original[copies])]
    made = version(root / "lake", captions, embeddings, verdicts, groups)
    (root / "people.toml").write_text(GROUPS, "utf-8")
    (root / "targets.toml").write_text(TARGETS, "utf-8")
    return _scored(made, score)


def _caption(woman: bool, origin: int, said: np.ndarray) -> str:
    words = [word for word, is_said in zip(WORDS, said, strict=True) if is_said]
    return " ".join(["photo of a", *ORIGINS[origin : origin + 1], "woman" if woman else "man", *words])


def _scored(made: Version, score: np.ndarray) -> Version:
    start = 0
    for part in made.parts:
        piece = pa.table([pa.array(score[start : start + part.rows])], schema=SCORE)
        write_table(made.lake.column_path("score.sexual", "s", part.part), piece)
        start += part.rows
    return made.derive("filter", columns={"score.sexual": "s"})


def audited(root: Path, made: Version, **settings: Any) -> tuple[Version, dict[str, Any], dict[Any, Any]]:
    """The version with weights that meet the target, its audit's summary, and its associations by stage and pair."""
    files = {"groups": str(root / "people.toml"), "targets": str(root / "targets.toml")}
    done = reweight.run(made, reweight.Config(**files, **settings), map_inline)
    write_tokens(done, map_inline)
    tables, summary = audit_groups(done, read_groups(root / "people.toml"))
    rows = {(row["stage"], row["group"], row["attribute"]): row for row in tables["associations"].to_pylist()}
    return done, summary, rows


def found(root: Path, rows: int, seed: int) -> Found:
    start = time.perf_counter()
    done, summary, table = audited(root, planted(root, rows, seed))
    weights = done.table("decision", ["weight"])["weight"].drop_null().to_numpy()
    return Found(
        rank(summary, "before"),
        rank(summary, "after"),
        odds(table["pool", *PAIR]),
        odds(table["kept", *PAIR])[0],
        odds(table["weighted", *PAIR]),
        effective_sample_size(weights) / len(weights),
        time.perf_counter() - start,
    )


PAIR = "asian woman", "flagged"


def rank(summary: dict[str, Any], when: str) -> int | None:
    """From 1, in the summary's list; None where the planted pair is not on it."""
    listed = [(row["group"], row["attribute"]) for row in summary["associations"][when]]
    return listed.index(PAIR) + 1 if PAIR in listed else None


def odds(row: dict[str, Any]) -> tuple[float, float, float]:
    figure, lower, upper = (row[f"log_odds_ratio{end}"] for end in ("", "_lower", "_upper"))
    return figure, lower if lower is not None else math.nan, upper if upper is not None else math.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--rows", type=int, nargs="+", default=[3000, 10_000])
    options = parser.parse_args()
    for rows in options.rows:
        seen = []
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory() as root:
                seen.append(found(Path(root), rows, seed))
        true = math.log(INSIDE / (1 - INSIDE)) - math.log(OUTSIDE / (1 - OUTSIDE))
        print(f"{rows:,} samples, {options.seeds} seeds; planted log odds ratio {true:.2f}")
        print(f"  found and ranked first before: {sum(one.rank == 1 for one in seen)}")
        print(
            f"  interval in the pool holds what was planted: {sum(one.odds[1] <= true <= one.odds[2] for one in seen)}"
        )
        for name, values in {
            "log odds ratio in the pool": [one.odds[0] for one in seen],
            "among the kept": [one.kept for one in seen],
            "by weight": [one.weighted[0] for one in seen],
            "effective sample size / kept": [one.effective for one in seen],
            "seconds": [one.seconds for one in seen],
        }.items():
            print(f"  {name}: median {np.median(values):.4f} ({min(values):.4f} to {max(values):.4f})")
        print(f"  on the list by weight: {sum(one.rank_after is not None for one in seen)}", flush=True)


if __name__ == "__main__":
    main()
