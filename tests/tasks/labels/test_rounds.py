"""Rounds of labelling: written once, read back as they were, named where damaged."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tasks.errors import LakeError
from tasks.labels.rounds import Item, Round, latest_round, read_rounds, write_round
from tasks.lake import Lake

FIRST = Round(
    category="gun",
    number=1,
    created_at="2026-01-02T03:04:05+00:00",
    version=7,
    model="",
    threshold=None,
    training="",
    items=(Item("0" * 32, "prompt", None), Item("1" * 32, "exploration", None)),
    certification=None,
    parts=("00ff",),
    report={},
)
SECOND = dataclasses.replace(
    FIRST,
    number=2,
    model="00ff",
    threshold=-0.25,
    training="ab",
    items=(Item("2" * 32, "certification", 0.5),),
    certification={"seed": 3, "flagged": 10, "draws": [[0, "é"]]},
    report={"recall": 0.5, "advice": ["label 200 more"]},
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path, "pool")


def files(lake: Lake) -> list[str]:
    return sorted(path.name for path in (lake.home / "labels" / "rounds").iterdir())


def test_before_the_first_round_there_is_none(lake: Lake) -> None:
    assert read_rounds(lake, "gun") == []
    assert latest_round(lake, "gun") is None


def test_rounds_are_read_back_as_they_were_written_oldest_first(lake: Lake) -> None:
    write_round(lake, SECOND)
    path = write_round(lake, FIRST)
    assert path == lake.home / "labels" / "rounds" / "gun-0001.json"
    assert read_rounds(lake, "gun") == [FIRST, SECOND]
    assert latest_round(lake, "gun") == SECOND
    assert files(lake) == ["gun-0001.json", "gun-0002.json"]


def test_the_ten_thousandth_round_follows_the_one_before_it(lake: Lake) -> None:
    for number in (10_000, 9_999):
        write_round(lake, dataclasses.replace(FIRST, number=number))
    assert [found.number for found in read_rounds(lake, "gun")] == [9_999, 10_000]


def test_a_category_whose_name_begins_like_another_has_rounds_of_its_own(lake: Lake) -> None:
    write_round(lake, FIRST)
    write_round(lake, dataclasses.replace(FIRST, category="gun-toy", number=2))
    write_round(lake, dataclasses.replace(FIRST, category="gun-0001"))
    assert latest_round(lake, "gun") == FIRST
    assert [found.number for found in read_rounds(lake, "gun-toy")] == [2]


def test_a_round_that_is_there_is_never_replaced(lake: Lake) -> None:
    write_round(lake, FIRST)
    with pytest.raises(LakeError, match=r"gun-0001\.json: a new round was to be written, and there is one"):
        write_round(lake, dataclasses.replace(FIRST, version=8))
    assert read_rounds(lake, "gun") == [FIRST]
    assert files(lake) == ["gun-0001.json"]


def test_a_number_that_json_has_not_is_never_written(lake: Lake) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_round(lake, dataclasses.replace(FIRST, threshold=float("nan")))
    assert files(lake) == []


def without(name: str) -> str:
    return json.dumps({key: value for key, value in dataclasses.asdict(FIRST).items() if key != name})


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"category": "gun"',
        "[]",
        "null",
        without("parts"),
        without("items"),
        b"\xff",
        json.dumps({"items": [["a"]]}),
    ],
)
def test_a_damaged_round_is_named_with_what_to_do(lake: Lake, text: str | bytes) -> None:
    path = write_round(lake, FIRST)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LakeError, match=r"gun-0001\.json is damaged \(.+\); restore it from a backup, or remove it"):
        latest_round(lake, "gun")


def test_the_latest_round_is_read_without_the_ones_before_it(lake: Lake) -> None:
    write_round(lake, FIRST).write_text("")
    write_round(lake, SECOND)
    assert latest_round(lake, "gun") == SECOND
