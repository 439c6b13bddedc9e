"""A round's queue as Label Studio tasks with pre-annotations, and Label Studio's annotations as entries of the log.

Formats as Label Studio documents them: "Basic Label Studio JSON format", "Import pre-annotated data", "JSON" export.
It takes files of up to 50 MB; a round of a few thousand thumbnails stays below.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from xml.etree import ElementTree as ET

from tasks.errors import LabelsError
from tasks.files import write_json
from tasks.labels.label_files import IMPORT, Destination, Imported, new_entries, read_text, refuse, utc
from tasks.labels.label_log import NEGATIVE, POSITIVE, UNSURE, Entry, fault
from tasks.labels.rounds import Item, Round

CONTROL: Final = "label"  # name of the choices in the labelling configuration
CHOICES: Final = {"yes": POSITIVE, "no": NEGATIVE, "unsure": UNSURE}
HOTKEYS: Final = {"yes": "y", "no": "n", "unsure": "u"}
BLIND: Final = ("certification", "seed")  # arms that measure: who labels must not see what the model says


class Written(NamedTuple):
    tasks: int
    left_out: tuple[str, ...]  # uids without an image to show


def labelling_config(category: str, instructions: str) -> str:
    """The labelling interface's XML: what counts, the image, its caption, and yes, no or unsure."""
    view = ET.Element("View")
    # "$" begins a variable there; the fullwidth one is only a sign
    ET.SubElement(view, "Header", value=f"{category}: {instructions}".replace("$", "＄"))
    ET.SubElement(view, "Image", name="image", value="$image")
    ET.SubElement(view, "Text", name="caption", value="$caption", valueType="text")  # a caption may be a URL
    asked = ET.SubElement(view, "Choices", name=CONTROL, toName="image", choice="single", required="true")
    for choice, key in HOTKEYS.items():
        ET.SubElement(asked, "Choice", value=choice, hotkey=key)
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n"


def write_tasks(
    path: Path, asked: Round, captions: Mapping[str, str], thumbnail: Callable[[str], str | None]
) -> Written:
    """A round's queue as a JSON file of tasks, in the round's order.

    `thumbnail` gives a uid's re-encoded image as a data URI, or None where there is none. A task tells the model's
    verdict as a prediction, its score in [0, 1]; not where the round has no model, and not in the arms that measure.
    """
    tasks, left_out = [], []
    for item in asked.items:
        image = thumbnail(item.uid)
        if image is None:
            left_out.append(item.uid)
            continue
        data = {"uid": item.uid, "category": asked.category, "image": image, "caption": captions.get(item.uid, "")}
        tasks.append({"data": data, "predictions": _predictions(item, asked)})
    write_json(path, tasks)
    return Written(len(tasks), tuple(left_out))


def import_annotations(path: Path, into: Destination) -> Imported:
    """What a project's JSON export brings; an annotation that was cancelled or left empty says nothing.

    An annotator is the user's email, or the number where the export has no more. The time is that of the last change:
    an annotation that was corrected says something new. Raises LabelsError, naming each damaged task.
    """
    said: list[Entry] = []
    faults: list[str] = []
    elsewhere = passed = 0
    for place, task in enumerate(_tasks(path), 1):
        where = f"task {task.get('id', f'at place {place}') if isinstance(task, dict) else f'at place {place}'}"
        try:
            if _data(task).get("category", into.category) != into.category:
                elsewhere += 1
                continue
            answers = [_answer(task, annotation, into.category) for annotation in _list(task, "annotations")]
        except LabelsError as problem:
            faults.append(f"{where}: {problem}")
            continue
        said += [answer for answer in answers if answer is not None]
        passed += answers.count(None)
    refuse(path, faults)
    return new_entries(said, into)._replace(elsewhere=elsewhere, passed=passed)


def _predictions(item: Item, asked: Round) -> list[dict[str, Any]]:
    if not asked.model or asked.threshold is None or item.score is None or item.arm in BLIND:
        return []
    choice = "yes" if item.score >= asked.threshold else "no"
    result = {
        "id": item.uid,
        "from_name": CONTROL,
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [choice]},
    }
    return [{"model_version": asked.model, "score": item.score, "result": [result]}]


def _tasks(path: Path) -> list[Any]:
    try:
        tasks = json.loads(read_text(path))
    except (ValueError, RecursionError) as problem:
        raise LabelsError(f"{path}: not JSON: {problem}; export the project from Label Studio as JSON again") from None
    if not isinstance(tasks, list):
        raise LabelsError(f"{path}: a list of tasks was expected; export the project from Label Studio as JSON")
    return tasks


def _data(task: Any) -> dict[str, Any]:
    data = task.get("data") if isinstance(task, dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("uid"), str):
        raise LabelsError("data.uid was expected, as the tasks that were written have it")
    return data


def _list(facts: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = facts.get(name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise LabelsError(f"{name}: a list of objects was expected, {_short(found)} was found")
    return found


def _answer(task: dict[str, Any], annotation: dict[str, Any], category: str) -> Entry | None:
    """What an annotation says; None where nothing. Its source is left to the round that asked."""
    if annotation.get("was_cancelled"):
        return None
    label = _label(annotation)
    if label is None:
        return None
    who, time = _annotator(annotation.get("completed_by")), _time(annotation)
    entry = Entry(_data(task)["uid"].lower(), category, label, who, time, "", "")
    problem = fault(entry._replace(source=IMPORT))
    if problem:
        raise LabelsError(problem)
    return entry


def _label(annotation: dict[str, Any]) -> str | None:
    chosen = [one.get("value") for one in _list(annotation, "result") if one.get("from_name") == CONTROL]
    if not chosen:
        return None
    choices = chosen[0].get("choices") if len(chosen) == 1 and isinstance(chosen[0], dict) else None
    if not isinstance(choices, list) or len(choices) != 1 or choices[0] not in list(CHOICES):
        raise LabelsError(f"one of {', '.join(CHOICES)} was expected, {_short(chosen)} was found")
    return CHOICES[choices[0]]


def _annotator(user: Any) -> str:
    """A user is an object, an email or a number, by the way in which the project was exported."""
    name = (user.get("email") or user.get("id")) if isinstance(user, dict) else user
    if isinstance(name, int) and not isinstance(name, bool):
        return f"user {name}"
    if not isinstance(name, str):
        raise LabelsError(f"completed_by: a user was expected, {_short(user)} was found")
    return name.strip()


def _time(annotation: dict[str, Any]) -> str:
    found = annotation.get("updated_at") or annotation.get("created_at")
    try:
        return utc(found)  # type: ignore[arg-type]  # what is no text is refused there
    except (TypeError, ValueError, OverflowError):
        raise LabelsError(f"created_at: an ISO 8601 time was expected, {_short(found)} was found") from None


def _short(value: Any) -> str:
    return repr(value)[:80]
