"""Two versions side by side: what stands beside each other without a search, and what is matched by uid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from infra.dashboard.two_versions import _paired, ask_both
from tasks.lake import Lake, Part, Version
from tasks.records.moves import moved
from tests.tasks.decided_pool import decided, ingested, samples, write_tars
from tests.tasks.queued import committed, uids_of

SHARDS = st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 3)), max_size=6)


def version(names: list[tuple[str, int]], samples_key: str) -> Version:
    """Parts by name; of one name all have the same rows, as what is the same content has."""
    parts = [Part(name, f"{place}.tar", name * 64, ord(name) - 96) for place, (name, _) in enumerate(names)]
    return Version(Lake(Path("lake"), "pool"), parts=tuple(parts), columns={"samples": samples_key})


@given(SHARDS, SHARDS, st.booleans())
def test_every_row_of_both_is_paired_or_left_to_be_matched_once(
    one: list[tuple[str, int]], other: list[tuple[str, int]], same: bool
) -> None:
    before, after = version(one, "k"), version(other, "k" if same else "l")
    pairs, others = _paired(before, after)
    for side, whole, rest in (("before", before, others[0]), ("after", after, others[1])):
        places = [(getattr(pair, side), pair.rows) for pair in pairs] + rest
        covered = np.sort(np.concatenate([np.arange(0), *(np.arange(start, start + rows) for start, rows in places)]))
        assert covered.tolist() == list(range(whole.rows))
    assert same or not pairs


def test_shards_that_came_went_and_changed_are_compared_as_sluice_diff_does(tmp_path: Path) -> None:
    items = samples(48)
    pool = write_tars(tmp_path / "pool", items)
    draft = ingested(tmp_path / "lake", pool)
    gone = {"verdict": "filtered", "stage": "filter", "reason": "x: score"}
    before = committed(decided(draft, dict.fromkeys((1, 13, 25), gone)))
    (pool / "00000.tar").unlink()
    write_tars(tmp_path / "more", [*items[12:18], *samples(60)[48:]], per_shard=18)
    (tmp_path / "more" / "00000.tar").rename(pool / "00001.tar")  # another content, some of the same uids
    after = committed(decided(ingested(tmp_path / "lake", pool), dict.fromkeys((2, 20), gone)))
    expected, totals = moved(before, after)
    names = ("before", "after")
    found = {
        (*(move[f"verdict_{side}"] for side in names), move["samples"])
        for move in ask_both(before, after, "moves").to_pylist()
        if any(move[f"{fact}_before"] != move[f"{fact}_after"] for fact in ("verdict", "stage", "reason"))
    }
    assert found == {(*(move[side] for side in names), move["samples"]) for move in expected}
    assert totals["entered"] and totals["left"] and totals["unchanged"]
    assert len(set(uids_of(before)) & set(uids_of(after))) == totals["moved"] + totals["unchanged"]
