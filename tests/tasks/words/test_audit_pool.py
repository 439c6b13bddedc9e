from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.queries import database
from tasks.words.audit_pool import DUPLICATE, KEPT, REMOVED, UNIT, UNUSABLE, near_duplicates, pool_of
from tasks.words.counting import groups_table, samples_table, totals_of
from tests.tasks.captioned import captioned

STATES = {"quarantined": UNUSABLE, "filtered": REMOVED, "duplicate": DUPLICATE, "kept": KEPT}


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(STATES)), st.integers(0, 3)), max_size=12), st.booleans())
def test_the_pool_is_the_one_of_the_sql(samples: list[tuple[str, int]], weighted: bool) -> None:
    verdicts = [verdict for verdict, _ in samples]
    weights = [i + 0.3 if weighted and verdict == "kept" else None for i, verdict in enumerate(verdicts)]
    groups = [[i for i, (_, group) in enumerate(samples) if group == number] for number in (1, 2, 3)]
    with tempfile.TemporaryDirectory() as root:
        version = captioned(Path(root), ["a"] * len(samples), verdicts, weights, [group for group in groups if group])
        pool = pool_of(version)
        with database({"sample": samples_table(version), "near_duplicate": groups_table(version)}) as db:
            rows: dict[int, Any] = {row["sample"]: row for row in db.run("audit", "pool").to_pylist()}
    assert pool.state.tolist() == [STATES[verdict] for verdict in verdicts]
    assert set(rows) == set(np.flatnonzero(pool.state != UNUSABLE))
    for i, row in rows.items():
        assert row["mass"] == pool.mass[i] == (round(weights[i] * UNIT) if weights[i] else 0)
        alone = row["unit_size"] == 1
        assert (pool.unit[i] < 0) == alone and (alone or pool.size[pool.unit[i]] == row["unit_size"])
        mates = {other for other, one in rows.items() if one["unit"] == row["unit"]}
        assert alone or mates == {j for j in rows if pool.unit[j] == pool.unit[i]}
    assert totals_of(pool)["n_units"] == len({row["unit"] for row in rows.values()})
    assert totals_of(pool)["unit_squares"] == sum(row["unit_size"] for row in rows.values())


def test_groups_are_placed_once_for_all_versions_of_the_same_parts(tmp_path: Path) -> None:
    version = captioned(tmp_path, ["a"] * 7, groups=[[5, 1], [2, 3, 6]])
    found = near_duplicates(version)
    assert found.tolist() == [-1, 0, 1, 1, -1, 0, 1]
    (version.artifact("groups") / "groups.parquet").unlink()
    assert near_duplicates(version.derive("reweight")).tolist() == found.tolist()


def test_a_version_without_groups_has_captions_that_stand_alone(tmp_path: Path) -> None:
    pool = pool_of(captioned(tmp_path, ["a", "b"], ["kept", "quarantined"]))
    assert (pool.units, pool.alone, pool.unit.tolist()) == (1, 1, [-1, -1])
