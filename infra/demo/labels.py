"""Labels of the demo pool's one category, derived from the names: a few hundred to train on, all to measure with."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from infra.demo.names import Emoji

CATEGORY = "romance"
POSITIVE_SHARE = 0.6  # the rest of the positives is for the classifier to find
NEGATIVES = 300
HARD_NEGATIVES = 60  # of them, those with a kiss, a heart or two people
SEED = 20220628  # any; the labels of a pool do not change


def write_labels(folder: Path, emojis: Sequence[Emoji], rows: Sequence[dict[str, Any]]) -> None:
    """labels.csv (a sample) and oracle-romance.csv (every drawn emoji): uid, key, category, label (1 | 0)."""
    drawn = [(one, row) for one, row in zip(emojis, rows, strict=True) if row["status"] == "success"]
    labelled = [(row["uid"], row["key"], CATEGORY, int(one.romance)) for one, row in drawn]
    _write(folder / f"oracle-{CATEGORY}.csv", labelled)
    chosen = _choose([one for one, _ in drawn])
    _write(folder / "labels.csv", [labelled[index] for index in chosen])


def _choose(emojis: Sequence[Emoji]) -> list[int]:
    """Indices of the labelled sample, ascending."""
    draw = random.Random(SEED)
    positives = [i for i, one in enumerate(emojis) if one.romance]
    negatives = [i for i, one in enumerate(emojis) if not one.romance]
    hard = [i for i in negatives if is_hard(emojis[i])]
    chosen = set(draw.sample(positives, round(POSITIVE_SHARE * len(positives))))
    chosen |= set(draw.sample(hard, min(HARD_NEGATIVES, len(hard))))
    others = [i for i in negatives if i not in chosen]
    wanted = NEGATIVES - min(HARD_NEGATIVES, len(hard))
    chosen |= set(draw.sample(others, min(wanted, len(others))))
    return sorted(chosen)


def is_hard(one: Emoji) -> bool:
    """Not romance, but with a word or a pose of it."""
    words = ("kiss", "heart", "love", "holding hands", "wedding", "bunny ears", "wrestling", "family")
    return not one.romance and any(word in one.name for word in words)


def _write(path: Path, lines: Iterable[tuple[Any, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("uid", "key", "category", "label"))
        writer.writerows(lines)
