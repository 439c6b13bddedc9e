from __future__ import annotations

import json
import random
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import UsageError
from tasks.exporting.export_datacomp import Config, export_datacomp, subset
from tasks.lake import Version
from tests.tasks.decided_pool import clock, decided, ingested, member, samples, write_tars

FILTERED = {"verdict": "filtered", "stage": "filter", "reason": "romance", "weight": None}
WEIGHTS = {i: {"weight": 0.25 + 0.125 * i} for i in range(15)}


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    folder = tmp_path_factory.mktemp("datacomp")
    pool = write_tars(folder / "pool", samples(15), per_shard=6)
    return decided(ingested(folder / "lake", pool), {**WEIGHTS, 2: FILTERED, 9: FILTERED})


def found(version: Version, array: np.ndarray) -> dict[str, int]:
    """How often DataComp's resharder writes each sample of the pool: what it finds from the left and from the right."""
    uids = version.table("samples", ["uid"])["uid"].to_pylist()
    keys = {uid: np.array([divmod(int(uid, 16), 2**64)], np.dtype("u8,u8"))[0] for uid in uids}
    return {u: int(np.searchsorted(array, k, "right") - np.searchsorted(array, k, "left")) for u, k in keys.items()}


def exported(version: Version, out: Path, **settings: Any) -> tuple[np.ndarray, dict[str, Any]]:
    facts = json.loads(export_datacomp(version, out, Config(**settings)).read_text())
    return np.load(out / "subset.npy"), facts


def test_the_resharder_finds_each_survivor_as_often_as_its_weight_says(version: Version, tmp_path: Path) -> None:
    array, facts = exported(version, tmp_path / "out", factor=8.0)
    assert array.dtype == np.dtype("u8,u8")
    assert np.array_equal(array, np.sort(array))
    expected = [0 if i in (2, 9) else 2 + i for i in range(15)]
    assert list(found(version, array).values()) == expected
    assert (facts["rows"], facts["samples"], facts["left_out"], facts["most_copies"]) == (sum(expected), 13, 0, 16)


def test_over_seeds_a_sample_is_there_as_often_as_its_weight(version: Version, tmp_path: Path) -> None:
    counts = [
        list(found(version, exported(version, tmp_path / str(seed), seed=seed)[0]).values()) for seed in range(40)
    ]
    weights = np.array([0.0 if i in (2, 9) else 0.25 + 0.125 * i for i in range(15)])
    assert np.abs(np.mean(counts, axis=0) - weights).max() < 5 * 0.5 / 40**0.5
    assert np.ptp(np.sum(counts, axis=1)) <= 1
    assert 0 in np.array(counts)[:, 0]


@given(
    uids=st.lists(st.integers(0, 2**128 - 1), min_size=1, max_size=30, unique=True),
    order=st.randoms(use_true_random=False),
)
def test_rows_are_sorted_as_numbers_of_128_bits(uids: list[int], order: random.Random) -> None:
    counts = np.array([order.randint(0, 3) for _ in uids])
    rows = [int(high) << 64 | int(low) for high, low in subset([f"{uid:032x}" for uid in uids], counts).tolist()]
    assert rows == sorted(np.repeat(np.array(uids, object), counts).tolist())


def test_samples_that_the_resharder_takes_for_a_survivor_are_counted(version: Version, tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    with tarfile.open(tmp_path / "pool" / "0.tar", "w") as tar:
        for i, uid in enumerate(("a" * 32, "b" * 32, "A" * 32)):
            member(tar, f"{i}.png", clock(i))
            member(tar, f"{i}.txt", b"a clock")
            member(tar, f"{i}.json", json.dumps({"uid": uid}).encode())
    draft = decided(ingested(tmp_path / "lake", tmp_path / "pool"), {}, {"weight": 1.0})
    _, facts = exported(draft, tmp_path / "out")
    assert (facts["samples"], facts["not_kept_of_same_uid"]) == (2, 1)
    assert exported(version, tmp_path / "other")[1]["not_kept_of_same_uid"] == 0


def test_at_the_stated_factor_no_sample_has_a_copy(version: Version, tmp_path: Path) -> None:
    _, facts = exported(version, tmp_path / "a")
    array, again = exported(version, tmp_path / "b", factor=facts["factor_without_copies"])
    assert facts["most_copies"] > again["most_copies"] == 1
    assert len(np.unique(array)) == len(array)


def test_the_same_seed_gives_the_same_bytes_and_the_facts_name_the_version(version: Version, tmp_path: Path) -> None:
    _, facts = exported(version, tmp_path / "a", seed=3)
    exported(version, tmp_path / "b", seed=3)
    for name in ("subset.npy", "export.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (facts["format"], facts["pool"], facts["seed"]) == ("datacomp", "small", 3)
    assert facts["shuffle"] == {
        "chance": 0.01,
        "buffer_of_batch": {"64": 6301, "256": 25501, "1024": 102301, "4096": 409501},
    }


def test_the_pool_need_not_be_there(tmp_path: Path) -> None:
    pool = write_tars(tmp_path / "pool", samples(4))
    draft = decided(ingested(tmp_path / "lake", pool), {}, {"weight": 1.0})
    (pool / "00000.tar").unlink()
    array, _ = exported(draft, tmp_path / "out")
    assert list(found(draft, array).values()) == [1, 1, 1, 1]


def test_a_version_without_weights_or_without_survivors_is_refused(version: Version, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no weight for 1 of 13"):
        export_datacomp(decided(version, {4: {"weight": None}}), tmp_path / "out")
    with pytest.raises(UsageError, match="keeps no sample"):
        export_datacomp(decided(version, dict.fromkeys(range(15), FILTERED)), tmp_path / "out")
    with pytest.raises(UsageError, match="keeps no sample"):
        export_datacomp(version.derive("ingest", parts=()), tmp_path / "out")
    assert not any(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_refused_and_stays_as_it_was(version: Version, tmp_path: Path) -> None:
    exported(version, tmp_path / "out")
    before = (tmp_path / "out" / "subset.npy").read_bytes()
    with pytest.raises(UsageError, match=r"already holds export\.json"):
        export_datacomp(version, tmp_path / "out", Config(seed=1))
    with pytest.raises(UsageError, match="is a file"):
        export_datacomp(version, tmp_path / "out" / "subset.npy")
    assert (tmp_path / "out" / "subset.npy").read_bytes() == before
    (tmp_path / "empty").mkdir()
    assert len(exported(version, tmp_path / "empty")[0])


def test_a_factor_that_leaves_nothing_names_one_that_does(version: Version, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leaves none of 13 samples"):
        export_datacomp(version, tmp_path / "out", Config(factor=1e-9))
    with pytest.raises(UsageError, match="factor"):
        Config(factor=0)
