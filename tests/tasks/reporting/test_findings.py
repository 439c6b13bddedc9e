import dataclasses
from pathlib import Path

import pytest

from tasks.lake import Version
from tasks.reporting import findings
from tests.tasks.decided_pool import curated, samples, write_tars


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    folder = tmp_path_factory.mktemp("findings")
    return curated(folder / "lake", write_tars(folder / "pool", [*samples(24), ("jpg", b"", "nothing")]))


def test_the_funnel_adds_up(version: Version) -> None:
    found = findings.funnel(version)
    assert (found.read, found.quarantined, found.filtered, found.duplicates, found.kept) == (25, 1, 2, 7, 15)
    assert found.read == found.quarantined + found.filtered + found.duplicates + found.kept
    assert (found.usable, found.passed) == (24, 22)
    assert found.reasons == {"zero bytes": 1}


def test_rows_near_the_threshold_are_ordered_by_their_distance(version: Version) -> None:
    above, below = findings.near_threshold(version, findings.category_facts(version)[0], 3)
    assert above == [4, 1]
    assert below == [23, 22, 21]


def test_labels_that_were_not_used_or_contradict_and_parts_without_a_certificate_are_told(version: Version) -> None:
    told = findings.category_facts(version)[0]
    assert (told.recall, told.lower, told.by_label, told.spared) == (0.975, 0.88, 1, 3)
    assert [warning.split(" ", 1)[0] for warning in told.warnings] == ["1", "1", "5"]


def test_the_featured_group_comes_first_and_knows_its_members(version: Version) -> None:
    group = findings.groups(version, 3, ["O’CLOCK"], 5)[0]
    assert (group.size, group.matching, group.keyword) == (8, 8, "O’CLOCK")
    assert [member.row for member in group.members] == [0, 3, 6, 9, 12]
    assert [member.verdict for member in group.members] == ["kept"] + ["duplicate"] * 4
    assert group.caption == "clock face, 1 o'clock"


def test_a_group_is_shown_once_though_it_is_featured_and_large(version: Version) -> None:
    assert len(findings.groups(version, 3, ["clock", "face", "no such word"], 5)) == 1


def test_keywords_stand_in_the_order_asked(version: Version) -> None:
    assert [row["label"] for row in findings.keyword_rows(version, 9)] == ["woman", "o'clock"]


def test_gates_of_the_versions_before_come_first(version: Version, tmp_path: Path) -> None:
    first = {"stage": "ingest", "gate": [{"metric": "kept"}], "parent": None}
    second = {"stage": "filter", "gate": [{"metric": "kept"}, {"metric": "filtered_share"}], "parent": 7}

    class Log:
        def manifest(self, number: int) -> dict[str, object]:
            assert number == 7
            return first

    told = dataclasses.replace(version, manifest=second, lake=Log())  # type: ignore[arg-type]
    assert [(stage, len(results)) for stage, results in findings.gates(told)] == [("ingest", 1), ("filter", 2)]


def test_weights_are_counted_over_all_that_is_weighted(version: Version) -> None:
    found = findings.weight_histogram(version, 10)
    assert found is not None
    assert sum(found[0]) == 15
    assert findings.is_weighted(version)
