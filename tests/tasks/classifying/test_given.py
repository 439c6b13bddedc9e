"""What people said, and what of it may train."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.classifying.category_spec import Category
from tasks.classifying.given import CERTIFICATION, SEED, given, log_path
from tasks.errors import LabelsError
from tasks.labels.rounds import Item, Round, write_round
from tasks.lake import Lake
from tests.tasks.categorised import uid, write_labels
from tests.tasks.labelled_pool import say

KNIFE = Category("knife")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", "pool")


def begin(
    lake: Lake, number: int, certification: dict | None, rows: tuple[int, ...] = (), arm: str = CERTIFICATION
) -> None:
    items = tuple(Item(uid(row), arm, 0.5) for row in rows)
    write_round(
        lake,
        Round("knife", number, "2026-01-01T00:00:00+00:00", 1, "m", 0.5, "t", items, certification, (), {}),
    )


def test_no_labels_at_all_are_refused_with_three_ways_to_get_some(lake: Lake) -> None:
    with pytest.raises(LabelsError, match=r"sluice label next knife.*sluice label import knife.*`labels`"):
        given(lake, KNIFE)


def test_the_file_and_the_log_are_taken_together_and_the_positive_stands(lake: Lake, tmp_path: Path) -> None:
    path = write_labels(tmp_path / "l.csv", [(uid(1), 0), (uid(2), 1), (uid(3), 0)])
    say(lake, [(1, "1"), (4, "0"), (5, "unsure")])
    found = given(lake, Category("knife", path))
    assert found.labels == {uid(1): True, uid(2): True, uid(3): False, uid(4): False}
    assert found.contradicting == (uid(1),) and found.unsure == 1
    assert found.training == found.labels and found.reserved == 0


def test_an_adjudication_settles_what_annotators_disagree_about(lake: Lake) -> None:
    say(lake, [(1, "1")])
    say(lake, [(1, "0")], annotator="grace")
    assert given(lake, KNIFE).labels[uid(1)] is True
    say(lake, [(1, "0")], annotator="edsger", source="adjudication")
    found = given(lake, KNIFE)
    assert found.labels[uid(1)] is False and not found.contradicting


def test_labels_that_certify_do_not_train_until_another_round_begins(lake: Lake) -> None:
    say(lake, [(1, "1"), (2, "0")])
    begin(lake, 1, {"method": "census"}, (3, 4))
    say(lake, [(3, "1"), (4, "0")], source=CERTIFICATION)
    found = given(lake, KNIFE)
    assert set(found.training) == {uid(1), uid(2)} and found.labels[uid(3)] is True and found.reserved == 2
    begin(lake, 2, None)
    assert set(given(lake, KNIFE).training) == {uid(row) for row in (1, 2, 3, 4)}


def test_labels_picked_in_a_round_that_certifies_wait_too_or_the_model_would_be_another(lake: Lake) -> None:
    say(lake, [(1, "1"), (2, "0")])
    begin(lake, 1, {"method": "census"}, (3,), arm="uncertain")
    say(lake, [(3, "1")], source="uncertain")
    assert set(given(lake, KNIFE).training) == {uid(1), uid(2)} and given(lake, KNIFE).labels[uid(3)] is True
    say(lake, [(4, "0")])  # one that no round asked for makes another model, and the certificate then says so
    assert set(given(lake, KNIFE).training) == {uid(1), uid(2), uid(4)}


def test_what_was_said_of_seeds_tests_the_annotator_and_changes_no_label(lake: Lake) -> None:
    say(lake, [(1, "1")])
    say(lake, [(1, "0")], annotator="grace", source=SEED)
    assert given(lake, KNIFE).labels == {uid(1): True}


def test_damaged_lines_are_counted(lake: Lake) -> None:
    say(lake, [(1, "1")])
    with log_path(lake, "knife").open("a", encoding="utf-8") as file:
        file.write("nonsense\n")
    assert given(lake, KNIFE).damaged == 1
