"""Families of one template in a pool of drawn images, whether one threshold merges them or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.files import write_array, write_table
from tasks.lake import Version
from tasks.looking import preview, template_families
from tasks.looking.preview_page import page
from tests.tasks.decided_pool import ingested, samples, with_clocks_alike, write_tars

COUNT = 24  # every third a clock


@pytest.fixture
def version(tmp_path: Path) -> Version:
    """Clocks lie around one direction, with cosines of about 0.97; shapes have directions of their own."""
    made = ingested(tmp_path / "lake", write_tars(tmp_path / "pool", samples(COUNT), per_shard=10))
    return with_clocks_alike(made)


def found(version: Version) -> template_families.Found:
    return template_families.find(version, preview.look(version))


def test_the_clocks_are_one_family_and_shapes_are_in_none(version: Version) -> None:
    (family,) = found(version).families
    assert sorted(member.row for member in family.members) == list(range(0, COUNT, 3))
    assert family.members[0].difference is None
    assert family.equal > 0.7
    for member in family.members[1:]:
        assert member.difference is not None
        left, top, width, height = member.difference.box
        assert left > 0.15 and left + width < 0.85 and top > 0.15 and top + height < 0.85


def test_members_of_a_group_are_compared_with_its_first(version: Version) -> None:
    uids = version.table("samples", ["uid"])["uid"].to_pylist()
    with version.lake.new_artifact("groups", "g") as folder:
        import pyarrow as pa

        write_table(folder / "groups.parquet", pa.table({"group": [0, 0], "uid": [uids[0], uids[6]]}))
    grouped = version.derive("dedup", artifacts={"groups": "g"}, config={"threshold": 1.0})
    assert (0, 6) in {link[:2] for link in template_families._grouped(grouped, preview.look(grouped))}


CROWD = [(0, i, 0.97) for i in range(1, 50)]
PAIRS = [(100 + 2 * i, 101 + 2 * i, 0.97) for i in range(4)]
THREE = [(200, 201, 0.97), (200, 202, 0.97), (201, 202, 0.97)]


def test_pairs_are_cut_set_by_set_so_that_a_crowd_leaves_room() -> None:
    some = template_families._some(CROWD + PAIRS, most=100, seed=0)
    assert set(PAIRS) <= set(some) and len(some) == 9


def test_where_there_are_too_many_pairs_the_largest_sets_are_compared() -> None:
    many = [(1000 + 2 * i, 1001 + 2 * i, 0.97) for i in range(200)]
    some = template_families._some(many + THREE + CROWD, most=100, seed=0)
    assert len(some) == 100
    assert set(THREE) <= set(some) and len(set(CROWD) & set(some)) == 5


def test_connected_rows_are_joined_in_order() -> None:
    assert template_families.joined([(5, 9), (1, 2), (9, 7)]) == [[1, 2], [5, 7, 9]]
    assert template_families.joined([]) == []


def test_a_pool_that_is_gone_has_no_families_and_says_how_many_pairs_could_not_be_read(
    version: Version, tmp_path: Path
) -> None:
    whole = found(version)
    assert whole.compared == whole.of > 0 and whole.unread == 0
    (tmp_path / "pool").rename(tmp_path / "elsewhere")
    assert found(version) == template_families.Found([], 0, whole.of, whole.of)


def test_where_all_families_are_near_each_other_the_most_similar_ones_are_compared(version: Version) -> None:
    seen, clocks = preview.look(version), range(0, COUNT, 3)
    every = template_families._between(seen, clocks, floor=0.9, most=100)
    assert len(every) == 8 * 7 // 2
    some = template_families._between(seen, clocks, floor=0.9, most=5)
    assert len(some) == 5
    assert min(cosine for *_, cosine in some) >= max(cosine for *_, cosine in set(every) - set(some))


def test_families_are_told_as_json(version: Version) -> None:
    told: list[dict[str, Any]] = json.loads(json.dumps(template_families.facts(version, found(version))))
    assert len(told[0]["members"]) == COUNT // 3
    assert told[0]["members"][0]["box"] is None and len(told[0]["members"][1]["box"]) == 4


def test_the_page_shows_pairs_and_frames_and_escapes_captions(tmp_path: Path) -> None:
    items = [(kind, data, "<script>alert(1)</script> & co") for kind, data, _ in samples(COUNT)]
    made = ingested(tmp_path / "lake", write_tars(tmp_path / "pool", items, per_shard=10))
    for part in made.parts:
        write_array(made.lake.column_path("embedding", "e", part.part), np.ones((part.rows, 4), np.float16))
    made = made.derive("embed", columns={"embedding": "e"})
    seen = preview.look(made)
    families = template_families.Found([], 0, 0, 0)
    text = page(made, preview.preview(made, seen), template_families.strips(made, families))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "data:image/webp" in text
    assert "http://" not in text and "https://" not in text


def test_the_page_frames_the_region(version: Version) -> None:
    seen = preview.look(version)
    strips = template_families.strips(version, template_families.find(version, seen))
    text = page(version, preview.preview(version, seen), strips)
    assert text.count('class="region"') == COUNT // 3 - 1
    assert "Pictures that differ in a region" in text
