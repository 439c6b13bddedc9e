"""Label Studio: tasks that it can show, and exports of every shape that it writes, damaged ones named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tasks.errors import LabelsError
from tasks.labels.label_files import Destination, Imported
from tasks.labels.label_log import Entry, append, read_log, standings
from tasks.labels.label_studio import Written, import_annotations, labelling_config, write_tasks
from tasks.labels.rounds import Item, Round

A, B, C, D = (digit * 32 for digit in "abcd")
POOL = frozenset((A, B, C))
IMAGE = "data:image/webp;base64,UklGRg=="
ROUND = Round(
    category="gun",
    number=1,
    created_at="2026-01-02T03:04:05+00:00",
    version=1,
    model="00ff",
    threshold=0.5,
    training="",
    items=(
        Item(A, "false_positive", 0.75),
        Item(B, "exploration", 0.25),
        Item(C, "certification", 0.75),
        Item(D, "seed", 0.75),
    ),
    certification={},
    parts=(),
    report={},
)


def tasks_of(path: Path, asked: Round = ROUND, thumbnail: Callable[[str], str | None] = lambda uid: IMAGE) -> Any:
    write_tasks(path, asked, {A: "a <b>caption</b> é", B: "https://example.com/x"}, thumbnail)
    return json.loads(path.read_text("utf-8"))


def annotation(choice: str, **more: Any) -> dict[str, Any]:
    """As the JSON export of a project has it."""
    chosen = {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [choice]}}
    return {
        "id": 7,
        "completed_by": {"id": 3, "email": "ada@example.com", "first_name": "", "last_name": ""},
        "result": [{**chosen, "id": "x1", "origin": "manual"}],
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2026-01-03T10:00:00.123456Z",
        "updated_at": "2026-01-03T10:00:00.123456Z",
        "lead_time": 4.2,
        **more,
    }


def task(uid: str, *annotations: Any, **more: Any) -> dict[str, Any]:
    data = {"uid": uid, "category": "gun", "image": IMAGE, "caption": "x"}
    return {"id": 11, "data": data, "annotations": list(annotations), "predictions": [], **more}


def taken_in(folder: Path, content: Any, entries: tuple[Entry, ...] = ()) -> Imported:
    path = folder / "export.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return import_annotations(path, Destination("gun", POOL, entries, (ROUND,)))


def test_a_queue_becomes_tasks_in_its_order_with_what_the_model_says(tmp_path: Path) -> None:
    found = tasks_of(tmp_path / "tasks.json")
    assert [one["data"]["uid"] for one in found] == [A, B, C, D]
    assert found[0] == {
        "data": {"uid": A, "category": "gun", "image": IMAGE, "caption": "a <b>caption</b> é"},
        "predictions": [
            {
                "model_version": "00ff",
                "score": 0.75,
                "result": [
                    {
                        "id": A,
                        "from_name": "label",
                        "to_name": "image",
                        "type": "choices",
                        "value": {"choices": ["yes"]},
                    }
                ],
            }
        ],
    }
    assert found[1]["predictions"][0]["result"][0]["value"] == {"choices": ["no"]}


def test_what_measures_the_filter_or_the_annotators_is_asked_without_a_prediction(tmp_path: Path) -> None:
    found = tasks_of(tmp_path / "tasks.json")
    assert [one["predictions"] for one in found[2:]] == [[], []]
    assert all(set(one["data"]) == {"uid", "category", "image", "caption"} for one in found)


def test_a_cold_start_has_no_predictions(tmp_path: Path) -> None:
    asked = Round("gun", 1, "", 1, "", None, "", (Item(A, "prompt", None),), None, (), {})
    assert tasks_of(tmp_path / "tasks.json", asked)[0]["predictions"] == []


def test_a_sample_without_an_image_is_left_out_and_named(tmp_path: Path) -> None:
    shown = {A: IMAGE, C: IMAGE, D: IMAGE}
    assert write_tasks(tmp_path / "tasks.json", ROUND, {}, shown.get) == Written(3, (B,))
    assert [one["data"]["uid"] for one in json.loads((tmp_path / "tasks.json").read_text())] == [A, C, D]


def test_the_labelling_interface_names_what_tasks_and_predictions_use(tmp_path: Path) -> None:
    view = ET.fromstring(labelling_config("gun", 'counts: "real" <guns> & rifles, even at $5\nnot: toys'))
    names = {element.get("name"): element for element in view.iter() if element.get("name")}
    result = tasks_of(tmp_path / "tasks.json")[0]["predictions"][0]["result"][0]
    control = names[result["from_name"]]
    assert control.tag.lower() == result["type"] and control.get("toName") == result["to_name"]
    assert [choice.get("value") for choice in control] == ["yes", "no", "unsure"]
    shown = {element.get("value", "")[1:] for element in view if element.get("value", "").startswith("$")}
    assert shown == {"image", "caption"}
    header = view[0].get("value", "")
    assert '"real" <guns> & rifles' in header and "$" not in header


def test_answers_become_entries_with_the_rounds_arm_and_model(tmp_path: Path) -> None:
    found = taken_in(tmp_path, [task(A, annotation("yes")), task(C, annotation("unsure"))])
    moment = "2026-01-03T10:00:00.123456+00:00"
    assert found.entries == (
        Entry(A, "gun", "1", "ada@example.com", moment, "false_positive", "00ff"),
        Entry(C, "gun", "unsure", "ada@example.com", moment, "certification", "00ff"),
    )


def test_what_was_written_comes_back_answered(tmp_path: Path) -> None:
    asked = [{**one, "annotations": [annotation("no")]} for one in tasks_of(tmp_path / "tasks.json")]
    found = taken_in(tmp_path, asked)
    assert [entry.uid for entry in found.entries] == [A, B, C]
    assert found.unknown == (D,)


def test_the_same_export_twice_adds_nothing_and_a_correction_is_new(tmp_path: Path) -> None:
    log = tmp_path / "gun.csv"
    append(log, taken_in(tmp_path, [task(A, annotation("yes"))]).entries)
    entries = read_log(log, "gun").entries
    again = taken_in(tmp_path, [task(A, annotation("yes"))], entries)
    assert (again.entries, again.repeated) == ((), 1)
    corrected = [task(A, annotation("no", updated_at="2026-01-04T10:00:00Z"))]
    append(log, taken_in(tmp_path, corrected, entries).entries)
    assert standings(read_log(log, "gun").entries)[A].label is False


def test_cancelled_and_empty_annotations_are_counted_and_say_nothing(tmp_path: Path) -> None:
    rectangle = {"from_name": "box", "type": "rectanglelabels", "value": {"x": 1}}
    found = taken_in(
        tmp_path,
        [
            task(A, annotation("yes", was_cancelled=True), annotation("yes", result=[])),
            task(B, annotation("yes", result=[rectangle])),
            task(C),
        ],
    )
    assert (found.entries, found.passed) == ((), 3)


@pytest.mark.parametrize(
    ("user", "name"),
    [
        (10, "user 10"),
        ("bob@example.com", "bob@example.com"),
        ({"id": 4, "email": ""}, "user 4"),
        ({"id": 5}, "user 5"),
    ],
)
def test_a_user_is_named_as_well_as_the_export_can(tmp_path: Path, user: Any, name: str) -> None:
    found = taken_in(tmp_path, [task(A, annotation("yes", completed_by=user))])
    assert [entry.annotator for entry in found.entries] == [name]


def test_annotators_who_disagree_are_both_kept_and_the_sample_is_named(tmp_path: Path) -> None:
    found = taken_in(tmp_path, [task(A, annotation("yes"), annotation("no", completed_by=10))])
    assert len(found.entries) == 2
    assert found.contradicting == (A,)


def test_of_one_users_two_annotations_the_later_stands_whatever_their_order(tmp_path: Path) -> None:
    late = annotation("no", updated_at="2026-01-05T00:00:00Z")
    found = taken_in(tmp_path, [task(A, late, annotation("yes"))])
    assert standings(found.entries)[A].label is False
    assert found.contradicting == ()


def test_tasks_of_other_categories_are_counted(tmp_path: Path) -> None:
    found = taken_in(tmp_path, [task(A, annotation("yes"), data={"uid": A, "category": "knife"})])
    assert (found.entries, found.elsewhere) == ((), 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (task(A, annotation("maybe")), "task 11: one of yes, no, unsure was expected, .*maybe"),
        (task(A, annotation("yes", result=annotation("yes")["result"] * 2)), "task 11: one of yes, no, unsure"),
        (task(A, annotation("yes", result=[{"from_name": "label", "value": {"choices": [[]]}}])), "task 11: one of"),
        (task(A, annotation("yes", result=[{"from_name": "label"}])), "task 11: one of yes"),
        (task(A, annotation("yes", result="yes")), "task 11: result: a list of objects was expected, 'yes' was found"),
        (task(A, annotation("yes", completed_by=None)), "task 11: completed_by: a user was expected, None was found"),
        (task(A, annotation("yes", completed_by="a\nb")), "task 11: annotator: at most 200 characters"),
        (task(A, annotation("yes", updated_at="noon")), "task 11: created_at: an ISO 8601 time was expected, 'noon'"),
        (task(A, annotation("yes", updated_at=5)), "task 11: created_at: an ISO 8601 time was expected, 5 was found"),
        (task(A, annotation("yes", updated_at="0001-01-01T00:00+05:00")), "task 11: created_at"),
        (task(A, "yes"), "task 11: annotations: a list of objects was expected"),
        (task(A, annotations=None), "task 11: annotations: a list of objects was expected, None was found"),
        (task("xyz", annotation("yes")), "task 11: uid: 32 hex digits"),
        (task(A, annotation("yes"), data={"image": IMAGE}), r"task 11: data\.uid was expected"),
        ({"data": {}}, r"task at place 2: data\.uid was expected"),
        ("text", r"task at place 2: data\.uid was expected"),
    ],
)
def test_a_damaged_task_is_named_and_nothing_is_imported(tmp_path: Path, wrong: Any, message: str) -> None:
    with pytest.raises(LabelsError, match=rf"export\.json: {message}.*Nothing was imported"):
        taken_in(tmp_path, [task(B, annotation("yes"), id=10), wrong])


def test_all_damaged_tasks_are_named_in_one_message(tmp_path: Path) -> None:
    wrong = [task(A, annotation("maybe"), id=number) for number in (3, 5)]
    with pytest.raises(LabelsError, match=r"task 3: .*; task 5: "):
        taken_in(tmp_path, wrong)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[{", "not JSON"),
        (b"", "not JSON"),
        (b'["\xff"]', r"line 1: UTF-8 was expected, b'\\xff' was found"),
        ({"id": 1}, "a list of tasks was expected"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_a_file_that_is_no_export_is_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(LabelsError, match=rf"export\.json.*{message}"):
        taken_in(tmp_path, content)
