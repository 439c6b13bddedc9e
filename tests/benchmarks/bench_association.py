"""Seconds of the audit of term groups on synthetic captions: who is in which group, and everything about groups.

Ten words a caption from 50,000, most of them rare; 990 groups of three words each, ten intersections, five attributes
of ten words; a filter takes 5%, near-duplicates are 25%; weighted. Tokens are stored; the clock covers reading them.
Run: python -m tests.benchmarks.bench_association
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np

from tasks.groups.association import audit_groups
from tasks.groups.membership import members
from tasks.groups.term_groups import TermGroups, parse_groups
from tasks.words.audit_pool import near_duplicates, pool_of
from tasks.words.counting import count_sets
from tasks.words.tokens import read_words, write_tokens
from tests.benchmarks.bench_audit import VOCABULARY, seconds, synthetic
from tests.memory import peak_memory
from tests.tasks.captioned import map_here

GROUPS, WORDS = 990, 3


def synthetic_groups(attributes: int = 5) -> TermGroups:
    """Groups of words of any frequency, the words of no two groups the same."""
    words = iter(f"word{i}" for i in np.random.default_rng(1).permutation(VOCABULARY // 5))
    groups: dict[str, dict[str, list[str]]] = {}
    groups |= {f"g{i}": {"terms": [next(words) for _ in range(WORDS)]} for i in range(GROUPS)}
    groups |= {f"both{i}": {"all": [f"g{i}", f"g{i + 10}"]} for i in range(10)}
    named = {f"a{i}": {"terms": [next(words) for _ in range(10)]} for i in range(attributes)}
    return parse_groups({"groups": groups, "attributes": named}, "benchmark")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captions", type=int, default=500_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    groups = synthetic_groups()
    with tempfile.TemporaryDirectory() as root:
        version = synthetic(Path(root), options.captions, True)
        write_tokens(version, map_here)
        read_words(version)
        near_duplicates(version)

        def count() -> None:
            found = members(version, groups)
            count_sets(found.names, found.table, pool_of(version))

        for name, work in {
            "members of groups": lambda: members(version, groups),
            "members and their counts": count,
            "whole audit of groups": lambda: audit_groups(version, groups),
        }.items():
            taken = [seconds(work) for _ in range(options.runs)]
            print(
                f"{options.captions:,} captions, {len(groups.groups):,} groups, {len(groups.attributes)} attributes: "
                f"{name} {statistics.median(taken):.2f} s (of {options.runs}: {min(taken):.2f} to {max(taken):.2f})",
                flush=True,
            )
    print(f"peak memory {peak_memory() / 2**20:,.0f} MiB")


if __name__ == "__main__":
    main()
