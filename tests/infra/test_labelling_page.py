import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tasks.classifying.blocklist import Blocklist, match, read_hashes
from tasks.classifying.given import log_path
from tasks.errors import LakeError
from tasks.labelling import desk as desks
from tasks.labels.label_log import ADJUDICATION, NEGATIVE, POSITIVE, UNDO, UNSURE, read_log
from tasks.lake import Version
from tasks.reporting.thumbnail_cache import ThumbnailCache
from tests.infra.one_page import alone
from tests.tasks.decided_pool import serial
from tests.tasks.queued import HOSTILE, SCORE, SPECIFICATION, committed, pictured, queued, say, uids_of

Open = Callable[..., AppTest]


@pytest.fixture
def version(tmp_path: Path) -> Version:
    return pictured(tmp_path)


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens the page as an annotator who gave a name before; `view` is pressed first."""
    monkeypatch.setattr(sys, "argv", ["app.py", str(tmp_path / "lake")])

    def start(name: str | None = "anna", view: str | None = None) -> AppTest:
        app = alone("Work", "Label")
        if name is not None:
            app.query_params["annotator"] = name
        app.run()
        return app.get("button_group")[1].set_value(view).run() if view else app

    return start


def everything(block: Any) -> Iterator[Any]:
    """All elements of a page, one by one."""
    for child in getattr(block, "children", {}).values():
        yield child
        yield from everything(child)


def pictures(app: AppTest) -> list[str]:
    return [image.proto.imgs[0].url for image in app.get("image")]


def texts(app: AppTest) -> list[str]:
    return [text.value for text in app.text]


def progress(app: AppTest) -> str:
    return str(app.get("progress")[0].proto.text)


def press(app: AppTest, label: str) -> AppTest:
    (button,) = [button for button in app.button if button.label == label]
    assert not button.disabled
    return button.click().run()


def shown(app: AppTest) -> str:
    """The uid of the one sample on the page."""
    (key,) = [button.key for button in app.button if button.label == "Yes"]
    return key.removeprefix("1-")


def said(version: Version) -> list[tuple[str, str, str]]:
    entries = read_log(log_path(version.lake, "clock"), "clock").entries
    return [(entry.uid, entry.label, entry.annotator) for entry in entries]


def test_a_name_is_asked_for_and_one_that_cannot_stand_in_the_log_is_refused(version: Version, start: Open) -> None:
    queued(version)
    app = start(None)
    app.text_input[0].input("=cmd()")
    app.button[0].click().run()
    assert "a name starts with a letter" in texts(app)[-1]
    assert pictures(app) == []
    app.text_input[0].input(" anna ")
    app.button[0].click().run()
    assert app.query_params["annotator"] == "anna"
    assert len(pictures(app)) == 1


def test_a_pool_without_a_queue_says_what_to_do(version: Version, start: Open) -> None:
    app = start()
    assert app.subheader[0].value == "Nothing to label yet"
    assert "sluice label" in app.markdown[0].value


def test_a_page_without_a_lake_says_what_was_expected(start: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py"])
    assert texts(start()) == ["a lake was expected; start this page with `sluice dashboard`"]


def test_a_damaged_round_is_named(version: Version, start: Open) -> None:
    queued(version)
    (path,) = (version.lake.home / "labels" / "rounds").glob("*.json")
    path.write_text("{")
    assert any(str(path) in text for text in texts(start()))


def test_a_sample_is_blurred_until_asked_and_the_next_one_is_blurred_again(version: Version, start: Open) -> None:
    queued(version)
    rows = {uid: row for row, uid in enumerate(uids_of(version))}
    made = ThumbnailCache(version).get(list(rows.values()))
    app = start()
    for _ in range(2):
        thumbnail = made[rows[shown(app)]]
        assert thumbnail is not None
        assert pictures(app) == [thumbnail.blurred]
        press(app, "Show sharp")
        assert pictures(app) == [thumbnail.sharp]
        press(app, "Blur")
        assert pictures(app) == [thumbnail.blurred]
        press(app, "Show sharp")
        press(app, "No")


def test_all_can_be_shown_sharp_and_blurred_again(version: Version, start: Open) -> None:
    queued(version)
    app = start(view="Grid")
    blurred = pictures(app)
    press(app, "Show all pictures sharp")
    sharp = pictures(app)
    assert not set(sharp) & set(blurred)
    assert pictures(press(app, "Blur pictures again")) == blurred


def test_yes_no_unsure_and_undo_reach_the_log_in_the_order_given(version: Version, start: Open) -> None:
    queued(version)
    app = start()
    order = []
    for label in ("Yes", "No", "Unsure"):
        order.append(shown(app))
        press(app, label)
    press(app, "Undo")
    assert shown(app) == order[2]
    labels = (POSITIVE, NEGATIVE, UNSURE, UNDO)
    assert said(version) == [(uid, label, "anna") for uid, label in zip([*order, order[2]], labels, strict=True)]
    assert progress(app).startswith("2 of 12 answered by you")


def test_a_second_press_before_the_next_sample_is_there_changes_nothing(version: Version, start: Open) -> None:
    queued(version)
    app = start()
    uid = shown(app)
    (yes,) = [button for button in app.button if button.label == "Yes"]
    (no,) = [button for button in app.button if button.label == "No"]
    no.click()
    yes.click().run()
    assert len(said(version)) == 1
    assert said(version)[0][0] == uid


def test_the_specification_of_the_round_stands_beside_the_sample(version: Version, start: Open) -> None:
    queued(version)
    for view in (None, "Grid"):
        assert set(SPECIFICATION.values()) <= set(texts(start(view=view)))


@pytest.mark.parametrize("view", ["One at a time", "Grid", "Disagreements"])
def test_what_the_pool_wrote_is_shown_as_text_only(view: str, tmp_path: Path, start: Open) -> None:
    version = pictured(tmp_path, HOSTILE)
    queued(version)
    for uid in uids_of(version):
        say(version.lake, uid, POSITIVE, "ben")
        say(version.lake, uid, NEGATIVE, "cem")
    app, seen = start(view=view), set()
    for _ in range(12):
        for element in everything(app._tree):
            told = str(getattr(element, "proto", ""))
            if element.type == "text":
                seen.add(element.value)
            elif element.type != "html":  # two constants of our own
                assert not any(mark in told for mark in ("alert(1)", "track.png", "smile", "sqrt", "a head", "bold"))
        press(app, {"One at a time": "No", "Grid": "Next page", "Disagreements": "Unsure"}[view])
    wanted = [" ".join(text.split()) if view == "Grid" else text for text in HOSTILE[:10]]
    assert set(wanted) <= seen
    assert any(text.endswith("… (5,000 characters in all)") for text in seen)
    assert "(no caption)" in seen
    assert [element.value for element in app.get("html")] == [element.value for element in start().get("html")]


@pytest.mark.parametrize("view", ["One at a time", "Grid"])
def test_nothing_on_the_page_tells_arm_or_score(view: str, version: Version, start: Open) -> None:
    arms = ["prompt", "false_positive", "false_negative", "exploration", "uncertain", "certification", "seed"]
    queued(version, {uid: arms[i % len(arms)] for i, uid in enumerate(uids_of(version))})
    told = "".join(str(getattr(element, "proto", "")) for element in everything(start(view=view)._tree))
    assert not any(word in told for word in (*arms, str(SCORE)))


def test_a_grid_keeps_each_mark_when_it_is_made_and_the_rest_at_once(version: Version, start: Open) -> None:
    queued(version)
    app = start(view="Grid")
    marks = [button.key.removeprefix("mark-") for button in app.button if button.label == "—"]
    assert len(marks) == len(pictures(app)) == 9
    (first,) = [button for button in app.button if button.key == f"mark-{marks[0]}"]
    first.click().run()
    assert said(version) == [(marks[0], POSITIVE, "anna")]
    press(app, "The rest: no")
    assert said(version)[1:] == [(uid, NEGATIVE, "anna") for uid in marks[1:]]
    assert len({entry.time for entry in read_log(log_path(version.lake, "clock"), "clock").entries[1:]}) == 1
    press(app, "Next page")
    assert len(pictures(app)) == 3
    press(app, "Undo")
    assert len([button for button in app.button if button.label == "—"]) == 8


def test_a_digit_turns_a_mark_from_yes_to_unsure_to_no(version: Version, start: Open) -> None:
    queued(version)
    app = start(view="Grid")
    key = next(button.key for button in app.button if button.label == "—")
    for word in ("Yes", "Unsure", "No", "Yes"):
        next(button for button in app.button if button.key == key).click().run()
        assert next(button.label for button in app.button if button.key == key) == word
    assert [label for _, label, _ in said(version)] == [POSITIVE, UNSURE, NEGATIVE, POSITIVE]


def test_disagreement_is_shown_with_who_said_what_and_settled(version: Version, start: Open) -> None:
    queued(version)
    uid = uids_of(version)[4]
    say(version.lake, uid, POSITIVE, "ben")
    say(version.lake, uid, NEGATIVE, "**cem**")
    app = start(view="Disagreements")
    assert shown(app) == uid
    assert {"Yes: ben, 2026-03-02 08:00", "No: **cem**, 2026-03-02 08:00"} <= set(texts(app))
    press(app, "No")
    assert app.subheader[0].value == "No disagreements"
    entry = read_log(log_path(version.lake, "clock"), "clock").entries[-1]
    assert (entry.uid, entry.label, entry.annotator, entry.source) == (uid, NEGATIVE, "anna", ADJUDICATION)


def test_each_disagreement_can_be_passed_over(version: Version, start: Open) -> None:
    queued(version)
    for uid in uids_of(version)[:2]:
        say(version.lake, uid, POSITIVE, "ben")
        say(version.lake, uid, NEGATIVE, "cem")
    app = start(view="Disagreements")
    seen = [shown(app), shown(press(app, "Pass")), shown(press(app, "Pass"))]
    assert seen[0] == seen[2] != seen[1]


def test_a_queue_that_is_answered_says_so_and_its_last_answer_can_be_taken_back(version: Version, start: Open) -> None:
    queued(version)
    desk = desks.Desk(desks.open_queue(version.lake, "clock"), "anna")
    desk.answer(dict.fromkeys(desk.order, NEGATIVE))
    for view in (None, "Grid"):
        app = start(view=view)
        assert app.subheader[0].value == "All answered"
    press(app, "Undo")
    assert len(pictures(app)) == 9


def blocked(version: Version, row: int, folder: Path) -> Version:
    """A newer version, whose blocklist matches one sample."""
    (folder / "hashes.txt").write_text(version.table("samples", ["sha256"])["sha256"][row].as_py())
    hashes = read_hashes(folder / "hashes.txt")
    return committed(version.derive("filter", columns=match(version, Blocklist("hashes.txt"), hashes, serial)))


def test_what_is_blocked_while_the_page_is_open_is_gone_from_the_next_answer_on(
    version: Version, tmp_path: Path, start: Open
) -> None:
    queued(version)
    app = start(view="Grid")
    press(app, "Show all pictures sharp")
    first = pictures(app)
    row = uids_of(version).index(next(button.key for button in app.button if button.label == "—").removeprefix("mark-"))
    blocked(version, row, tmp_path)
    press(app, "Undo")
    assert first[0] not in pictures(app)
    assert progress(app).startswith("0 of 11 answered by you")


def test_what_is_on_the_blocklist_is_withheld_and_counted(version: Version, tmp_path: Path, start: Open) -> None:
    queued(blocked(version, 0, tmp_path))
    app = start()
    assert any("1 withheld" in caption.value for caption in app.caption)
    assert progress(app).startswith("0 of 11 answered by you")


def test_a_label_that_was_not_stored_is_told_and_its_sample_stays(
    version: Version, start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise LakeError("no room on <the disk>")

    queued(version)
    app = start()
    uid = shown(app)
    with monkeypatch.context() as patched:
        patched.setattr(desks, "append", full)
        press(app, "Yes")
    assert app.error[0].value == "That was not kept:"
    assert "no room on <the disk>" in texts(app)
    assert shown(app) == uid
    press(app, "Yes")
    assert not app.error
    assert said(version) == [(uid, POSITIVE, "anna")]


def test_a_sample_without_a_picture_can_only_be_called_unsure(version: Version, tmp_path: Path, start: Open) -> None:
    queued(version)
    (tmp_path / "pool").rename(tmp_path / "elsewhere")
    app = start()
    assert {button.label: button.disabled for button in app.button if button.label in ("Yes", "No", "Unsure")} == {
        "Yes": True, "No": True, "Unsure": False,
    }  # fmt: skip
    grid = start(view="Grid")
    assert next(button for button in grid.button if button.label == "The rest: no").disabled


def test_a_newer_round_is_asked_as_soon_as_it_is_there(version: Version, start: Open) -> None:
    queued(version)
    app = start()
    queued(version, {uids_of(version)[0]: "prompt"}, number=2)
    press(app, "No")
    assert "of 1 answered by you" in progress(app)
