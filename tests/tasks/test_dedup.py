"""Of each group of near-duplicates that the filter kept one stays, whatever the order, the method or the crowd."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks import dedup
from tasks.dedup import Config
from tasks.duplicates.near_pairs import PAIRS_PER_SAMPLE
from tasks.duplicates.reference import Reference
from tasks.errors import ConfigError, EncoderError
from tasks.files import write_array, write_table
from tasks.lake import Part, Version, open_lake
from tasks.samples import DECISION, SAMPLES
from tests.tasks.planted import crowd, planted


def in_process(function: Any, items: Any) -> list[Any]:
    return [function(item) for item in items]


def version(folder: Path, parts: list[np.ndarray], numbers: list[range] | None = None, **facts: Any) -> Version:
    """A filtered version whose sample number k has uid k; `facts` are columns, given as functions of k."""
    lake = open_lake(folder / "lake", "pool", source="made by hand")
    numbers = numbers or [range(s, s + len(p)) for s, p in zip(np.cumsum([0, *map(len, parts)]), parts, strict=False)]
    made = []
    for vectors, ks in zip(parts, numbers, strict=True):
        part = Part(part=f"{ks.start:016x}", path=f"{ks.start}.tar", digest=f"{ks.start:064x}", rows=len(ks))
        write_table(lake.column_path("samples", "s", part.part), samples([*ks], facts))
        write_table(lake.column_path("decision", "f", part.part), decision([*ks], facts))
        write_array(lake.column_path("embedding", "e", part.part), vectors)
        made.append(part)
    return Version(lake, "filter", tuple(made), {"samples": "s", "decision": "f", "embedding": "e"})


def samples(ks: list[int], facts: dict[str, Any]) -> pa.Table:
    defaults = {
        "uid": lambda k: f"{k:032x}",
        "key": lambda k: f"{k:09d}",
        "caption": lambda k: "a caption",
        "width": lambda k: 100,
        "height": lambda k: 100,
        "sha256": lambda k: f"{k:064x}",
        "status": lambda k: "ok",
    }
    functions = {**defaults, **facts}
    columns = {name: [functions[name](k) if name in functions else None for k in ks] for name in SAMPLES.names}
    return pa.table(columns, schema=SAMPLES)


def decision(ks: list[int], facts: dict[str, Any]) -> pa.Table:
    verdict = facts.get("verdict", lambda k: "kept")
    columns = {name: [verdict(k) if name == "verdict" else None for k in ks] for name in DECISION.names}
    return pa.table(columns, schema=DECISION)


def run(draft: Version, **settings: Any) -> Version:
    return dedup.run(draft, Config(**settings), in_process)


def verdicts(draft: Version) -> dict[str, tuple[str, str | None]]:
    """verdict and survivor, by uid."""
    table = draft.table("decision")
    columns = table["verdict"].to_pylist(), table["duplicate_of"].to_pylist()
    return dict(zip(draft.table("samples")["uid"].to_pylist(), zip(*columns, strict=True), strict=True))


TRIPLE = np.array([[1, 0], [0.99, 0.1], [0, 1]], np.float16)


def test_the_larger_picture_stays_and_the_smaller_points_to_it(tmp_path: Path) -> None:
    done = run(version(tmp_path, [TRIPLE], width=lambda k: 100 + k))
    assert done.table("decision", ["verdict"])["verdict"].to_pylist() == ["duplicate", "kept", "kept"]
    row = done.table("decision").slice(0, 1).to_pylist()[0]
    assert row["duplicate_of"] == f"{1:032x}"
    assert (row["stage"], row["reason"]) == ("dedup", "near-duplicate")
    assert row["duplicate_similarity"] == pytest.approx(0.995, abs=1e-3)


def test_a_copy_of_the_same_bytes_is_an_exact_copy(tmp_path: Path) -> None:
    vectors = np.array([[1, 0], [0, 1], [1, 0]], np.float16)
    done = run(version(tmp_path, [vectors], sha256=lambda k: str(k % 2)))
    row = done.table("decision").slice(2, 1).to_pylist()[0]
    assert (row["reason"], row["duplicate_of"], row["duplicate_similarity"]) == ("exact copy", f"{0:032x}", 1.0)
    assert (done.summary["dedup"]["removed"], done.summary["dedup"]["removed_exact"]) == (1, 1)


def test_what_was_filtered_stays_filtered_and_represents_nothing(tmp_path: Path) -> None:
    done = run(version(tmp_path, [TRIPLE], verdict=lambda k: "filtered" if k == 0 else "kept"))
    assert [v for v, _ in verdicts(done).values()] == ["filtered", "kept", "kept"]
    table = pq.read_table(done.artifact("groups") / "groups.parquet")
    assert table["verdict"].to_pylist() == ["filtered", "kept"]
    assert table["representative"].to_pylist() == [f"{1:032x}"] * 2
    assert done.summary["dedup"]["mixed_groups"] == 1


def test_a_quarantined_sample_takes_no_part(tmp_path: Path) -> None:
    vectors = np.array([[0, 0], [0.99, 0.1], [0.99, 0.11]], np.float16)
    done = run(version(tmp_path, [vectors], verdict=lambda k: "quarantined" if k == 0 else "kept"))
    assert [v for v, _ in verdicts(done).values()] == ["quarantined", "kept", "duplicate"]


def test_another_filter_decision_searches_no_pairs_anew(tmp_path: Path) -> None:
    first = version(tmp_path, [planted(300)])
    one = run(first)
    parts = first.parts
    for part in parts:
        table = decision([*range(300)], {"verdict": lambda k: "filtered" if k % 3 else "kept"})
        write_table(first.lake.column_path("decision", "g", part.part), table)
    other = run(first.derive("filter", columns={"decision": "g"}))
    assert other.artifacts["pairs"] == one.artifacts["pairs"]
    assert other.artifacts["groups"] != one.artifacts["groups"]
    assert other.summary["dedup"]["orphans"] == 0


def test_the_order_and_size_of_parts_decide_nothing(tmp_path: Path) -> None:
    rows = planted(600, copies=0.5)
    area = {"width": lambda k: 100 + k * 7919 % 31}
    whole = run(version(tmp_path / "a", [rows], **area))
    cut = [range(400, 600), range(0, 150), range(150, 400)]
    parted = run(version(tmp_path / "b", [rows[list(ks)] for ks in cut], cut, **area))
    assert verdicts(whole) == verdicts(parted)
    assert whole.summary["dedup"] == parted.summary["dedup"]
    assert whole.summary["dedup"]["removed"] > 50


@pytest.mark.parametrize("method", ["clusters", "probes", "annoy", "exact"])
def test_every_method_leaves_no_orphan_and_no_two_near_survivors(tmp_path: Path, method: str) -> None:
    facts = run(version(tmp_path, [planted(800, copies=0.5)]), method=method, threshold=0.9).summary["dedup"]
    assert (facts["orphans"], facts["survivor_pairs"]) == (0, 0)
    assert facts["recall"]["exact"]
    assert facts["recall"]["estimate"] > 0.99
    assert facts["removed"] > 100


def test_the_largest_groups_are_shown_first(tmp_path: Path) -> None:
    rows = np.concatenate([crowd(n, seed=n) for n in (2, 40, 7)])
    done = run(version(tmp_path, [rows], caption=lambda k: f"caption {k % 8}"))
    largest = done.summary["dedup"]["largest"]
    assert [group["size"] for group in largest] == [40, 7, 2]
    assert (len(largest[0]["uids"]), len(largest[0]["captions"])) == (30, 5)
    table = pq.read_table(done.artifact("groups") / "groups.parquet")
    assert table["group"].to_pylist() == [0] * 40 + [1] * 7 + [2] * 2


def test_pairs_are_stored_in_sample_numbers(tmp_path: Path) -> None:
    rows = np.concatenate([TRIPLE, TRIPLE[:1]])
    done = run(version(tmp_path, [rows], width=lambda k: 100 + k))
    table = pq.read_table(done.artifact("pairs") / "pairs.parquet")
    assert list(zip(table["i"].to_pylist(), table["j"].to_pylist(), strict=True)) == [(0, 3), (1, 3)]
    assert table["similarity"].to_pylist()[0] == 1.0


def test_what_was_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = version(tmp_path, [planted(200)])
    done = run(draft)
    monkeypatch.setattr(dedup, "read_pool", lambda *_: pytest.fail("read again"))
    assert run(draft).summary == done.summary


def test_pairs_read_from_the_lake_decide_as_fresh_ones(tmp_path: Path) -> None:
    draft = version(tmp_path, [planted(500, copies=0.5)])
    fresh = run(draft)
    folder = fresh.artifact("groups")
    before = (folder / "groups.parquet").read_bytes()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert (run(draft).artifact("groups") / "groups.parquet").read_bytes() == before


def test_the_summary_is_json_without_gaps(tmp_path: Path) -> None:
    facts = run(version(tmp_path, [planted(100)])).summary["dedup"]
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert {
        "pairs",
        "groups",
        "removed",
        "removed_exact",
        "recall",
        "recall_bands",
        "gains",
        "residual",
        "largest",
    } <= facts.keys()
    assert {"estimate", "lower", "upper", "queries", "exact"} == facts["recall"].keys()


@pytest.mark.parametrize("usable", [0, 1])
def test_a_pool_of_one_or_none_has_no_duplicates(tmp_path: Path, usable: int) -> None:
    done = run(version(tmp_path, [crowd(3)], verdict=lambda k: "kept" if k < usable else "quarantined"))
    facts = done.summary["dedup"]
    assert (facts["pairs"], facts["groups"], facts["removed"], facts["orphans"]) == (0, 0, 0, 0)
    assert facts["recall"]["estimate"] == 1.0


def test_a_hundred_thousand_identical_images_leave_one(tmp_path: Path) -> None:
    rows = np.repeat(crowd(1, d=8), 100_000, axis=0)
    done = run(version(tmp_path, [rows], sha256=lambda k: "same"))
    facts = done.summary["dedup"]
    assert (facts["removed"], facts["removed_exact"], facts["copies"], facts["pairs"]) == (99_999, 99_999, 99_999, 0)
    assert facts["largest"][0]["size"] == 100_000


def test_a_crowd_of_near_copies_leaves_one_within_bounded_pairs(tmp_path: Path) -> None:
    done = run(version(tmp_path, [crowd(6000, d=16)], verdict=lambda k: "filtered" if k < 3000 else "kept"))
    facts = done.summary["dedup"]
    assert facts["removed"] == 2999
    assert facts["pairs"] < 2 * 6000 * PAIRS_PER_SAMPLE
    assert facts["residual"]["rate"] == 0


def test_what_is_near_to_a_reference_image_is_filtered_and_stands_for_nobody(tmp_path: Path) -> None:
    angle = np.radians([0, 25, 50, 90])  # at 0.9, neighbours are near and no others
    vectors = np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float16)
    draft = version(tmp_path, [vectors], width=lambda k: 100 + (k == 1))
    plain = run(draft, threshold=0.9)
    assert [v for v, _ in verdicts(plain).values()] == ["duplicate", "kept", "duplicate", "kept"]
    reference = Reference(vectors[:1], "digest")
    done = dedup.run(draft, Config(threshold=0.9), in_process, plain, reference)
    assert [v for v, _ in verdicts(done).values()] == ["filtered", "filtered", "kept", "kept"]
    row = done.table("decision").slice(1, 1).to_pylist()[0]
    assert (row["stage"], row["reason"]) == ("dedup", "near-duplicate of the reference set")
    facts = done.summary["dedup"]
    assert facts["reference"] == {"digest": "digest", "images": 1, "unusable": 0, "removed": 2}
    assert (facts["removed"], facts["orphans"]) == (0, 0)
    assert done.artifacts["pairs"] == plain.artifacts["pairs"]
    assert done.artifacts["groups"] != run(draft, threshold=0.9).artifacts["groups"]
    assert plain.summary["dedup"]["reference"] is None


def test_reference_vectors_of_another_encoder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="2 numbers"):
        dedup.run(version(tmp_path, [TRIPLE]), Config(), in_process, None, Reference(np.eye(3, dtype=np.float16), "d"))


def test_a_zero_vector_is_refused_by_name(tmp_path: Path) -> None:
    rows = planted(20)
    rows[4] = 0
    with pytest.raises(EncoderError, match=f"uid {4:032x}"):
        run(version(tmp_path, [rows]))


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"threshold": 0.0}, "threshold"),
        ({"threshold": 1.01}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"method": "guess"}, "clusters, probes, annoy, exact"),
        ({"clusters": 0}, "clusters"),
        ({"clusterings": 0}, "clusterings"),
        ({"recall_queries": 0}, "recall_queries"),
        ({"cap": 0}, "cap"),
        ({"target_recall": 0.0}, "target_recall"),
        ({"prefer": ("size",)}, "resolution, caption, oldest, uid"),
        ({"prefer": ("uid", "uid")}, "each once"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        Config(**settings)
