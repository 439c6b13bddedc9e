"""Runs of the flow for tests: in this process, without a server, and without a cluster unless asked."""

from __future__ import annotations

import io
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from flows.config import CurateConfig, parse_config
from flows.curate import Session, plainly, run_curate
from flows.runtime import Runtime
from flows.shown.progress import Reporter

FILE = """
[[filter.category]]
name = "redcross"
labels = "labels.csv"
recall = 0.9
[dedup]
threshold = 0.97
[gates]
max_filtered = 0.9
max_duplicates = 0.95
min_effective_sample_share = 0.05
"""
TOML: dict[str, Any] = {**tomllib.loads(FILE), "audit": {"keywords": ["woman", "man"], "min_count": 5}}


class Serial(Runtime):
    """Parts one after another in this process; remembers how many it worked on, and how many by which module."""

    def __init__(self) -> None:
        super().__init__()
        self.worked: Counter[str] = Counter()

    def map_parts(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        self.parts_done += len(items)
        self.worked[getattr(function, "func", function).__module__] += len(items)  # a partial's function is inside
        return [function(item) for item in items]


def settings(pool: Path, **changes: Any) -> CurateConfig:
    return parse_config({**TOML, **changes}, pool, "test")


def curated(
    pool: Path, lake: Path, config: CurateConfig | None = None, runtime: Runtime | None = None
) -> dict[str, Any]:
    """One run; its outcome, with the lines that it printed under `said`."""
    console = Console(file=io.StringIO(), width=200)
    session = Session(runtime or Serial(), Reporter(console, artifacts=False), plainly)
    outcome = run_curate(str(pool), lake, None, config or settings(pool), session)
    return {**outcome, "said": console.file.getvalue()}  # type: ignore[attr-defined]
