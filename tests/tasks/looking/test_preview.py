"""A preview of thresholds says what dedup does at each, and shows pairs of each band."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tasks import dedup
from tasks.errors import UsageError
from tasks.files import read_table, write_table
from tasks.lake import Version
from tasks.looking import preview
from tasks.looking.preview import THRESHOLDS, Preview, facts, look
from tasks.samples import DUPLICATE, FILTERED, KEPT, QUARANTINED
from tests.tasks import small_version
from tests.tasks.planted import crowd, planted


def version(root: Path, vectors: np.ndarray, verdicts: list[str] | None = None) -> Version:
    """One image file a sample, so that copies are those with the same vector."""
    captions = [f"picture {i}" for i in range(len(vectors))]
    made = small_version.version(root, captions, vectors, verdicts or [KEPT] * len(vectors))
    for part in made.parts:
        path = made.column_path("samples", part)
        table = read_table(path)
        write_table(path, table.set_column(table.schema.get_field_index("sha256"), "sha256", table["uid"]))
    return made


def seen(made: Version) -> Preview:
    return preview.preview(made, look(made))


POOL = np.concatenate([planted(150, copies=0.5), crowd(30, apart=0.2), np.repeat(crowd(1, seed=3), 3, axis=0)])


@pytest.mark.parametrize("threshold", [0.8, 0.95, 0.99])
def test_what_a_threshold_would_remove_is_what_dedup_removes(tmp_path: Path, threshold: float) -> None:
    verdicts = [FILTERED if i % 7 == 0 else KEPT for i in range(len(POOL))]
    made = version(tmp_path, POOL, verdicts)
    row = next(row for row in seen(made).removals if row.threshold == threshold)
    config = dedup.Config(threshold=threshold, method="exact")
    done = dedup.run(made, config, small_version.map_inline).table("decision", ["verdict", "duplicate_of"])
    gone = np.asarray(done["verdict"]) == DUPLICATE
    assert row.removed == gone.sum()
    assert row.share == pytest.approx(gone.sum() / verdicts.count(KEPT))


def test_a_version_after_dedup_is_judged_anew(tmp_path: Path) -> None:
    made = version(tmp_path, POOL)
    done = dedup.run(made, dedup.Config(threshold=0.9, method="exact"), small_version.map_inline)
    after = seen(done)
    assert after.removals == seen(made).removals
    assert after.chosen == 0.9


def test_copies_stand_at_one_and_go_at_any_threshold(tmp_path: Path) -> None:
    vectors = np.concatenate([np.eye(4, 8), np.eye(1, 8)]).astype(np.float16)
    found = seen(version(tmp_path, vectors))
    assert (found.copies, found.distinct) == (1, 4)
    assert {row.removed for row in found.removals} == {1}
    assert {row.groups for row in found.removals} == {1}
    top = found.bands[0]
    assert (top.low, top.samples) == (1.0, 2)
    assert [pair.rows for pair in top.pairs] == [(0, 4)]


def test_every_sample_is_in_one_band_or_below_all(tmp_path: Path) -> None:
    found = seen(version(tmp_path, POOL))
    near = look(version(tmp_path, POOL)).nearest
    assert sum(band.samples for band in found.bands) == (near >= THRESHOLDS[0]).sum()
    assert sum(found.counts) == (near >= found.edges[0]).sum()
    for band in found.bands:
        assert all(band.low <= pair.similarity <= band.high for pair in band.pairs)
        assert len(band.pairs) <= preview.PAIRS


def test_a_pair_is_two_samples_of_that_cosine(tmp_path: Path) -> None:
    made = version(tmp_path, POOL, [QUARANTINED, *[KEPT] * (len(POOL) - 1)])
    vectors = np.concatenate(made.embeddings()).astype(np.float64)
    uids = made.table("samples", ["uid"])["uid"].to_pylist()
    for band in seen(made).bands:
        for pair in band.pairs:
            a, b = vectors[list(pair.rows)]
            assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) == pytest.approx(pair.similarity, abs=1e-5)
            assert pair.uids == tuple(uids[row] for row in pair.rows)
            assert 0 not in pair.rows


def test_a_large_pool_is_asked_by_a_sample_and_what_goes_is_bounded(tmp_path: Path) -> None:
    made = version(tmp_path, POOL)
    whole = seen(made)
    found = preview.preview(made, look(made, exact_up_to=10, queries=120))
    assert (found.exact, found.asked) == (False, 120)
    for bound, known in zip(found.removals, whole.removals, strict=True):
        assert bound.removed is None and bound.share is None
        assert known.share is not None and bound.at_most >= known.share


def test_a_version_without_embeddings_is_refused_and_the_way_out_named(tmp_path: Path) -> None:
    made = version(tmp_path, POOL)
    columns = {name: key for name, key in made.columns.items() if name != "embedding"}
    with pytest.raises(UsageError, match=r"no embeddings.*sluice versions"):
        look(Version(made.lake, "pool", made.parts, columns))


@pytest.mark.parametrize("n", [0, 1])
def test_a_pool_of_one_or_none_removes_nothing(tmp_path: Path, n: int) -> None:
    made = version(tmp_path, np.ones((n, 8), np.float16), [KEPT] * n)
    found = seen(made)
    assert {row.removed for row in found.removals} == {0}
    assert sum(found.counts) == 0


def test_the_facts_are_json_without_gaps(tmp_path: Path) -> None:
    told = facts(seen(version(tmp_path, POOL)))
    again = json.loads(json.dumps(told, allow_nan=False))
    assert {"removals", "bands", "counts", "edges"} <= again.keys()
    assert again["removals"][0].keys() == {"threshold", "removed", "share", "groups", "at_most"}
