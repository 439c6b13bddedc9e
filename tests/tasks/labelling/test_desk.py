import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.classifying.blocklist import Blocklist, match, read_hashes
from tasks.classifying.given import log_path
from tasks.errors import LakeError, UsageError
from tasks.labelling import desk as desks
from tasks.labelling.desk import (
    Desk,
    Progress,
    Queue,
    annotator_name,
    blocked_uids,
    find_cards,
    newest_rounds,
    open_queue,
)
from tasks.labels.label_log import ADJUDICATION, NEGATIVE, POSITIVE, UNDO, UNSURE, read_log, standings
from tasks.lake import Version
from tests.tasks.decided_pool import serial
from tests.tasks.queued import BEGAN, EARLIER, committed, pictured, queued, say, uids_of

CAPTIONS = ("<b>one</b>", "two", "three")


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Version:
    version = pictured(tmp_path_factory.mktemp("desk"), CAPTIONS)
    queued(version)
    return version


@pytest.fixture
def queue(pool: Version) -> Queue:
    log_path(pool.lake, "clock").unlink(missing_ok=True)
    return open_queue(pool.lake, "clock")


def said(queue: Queue) -> list[tuple[str, str, str]]:
    entries = read_log(log_path(queue.version.lake, "clock"), "clock").entries
    return [(entry.uid, entry.label, entry.annotator) for entry in entries]


def test_everyone_is_asked_the_whole_queue_in_an_order_of_their_own_that_stays(queue: Queue) -> None:
    anna, ben = Desk(queue, "anna"), Desk(queue, "ben")
    assert sorted(anna.order) == sorted(ben.order) == sorted(uids_of(queue.version))
    assert anna.order != ben.order
    assert anna.order == Desk(queue, "anna").order
    assert [card.uid for card in anna.pending(5)] == list(anna.order[:5])
    assert [uid for page in anna.pages(5) for uid in page] == list(anna.order)


def test_a_card_has_the_caption_and_nothing_of_arm_or_score(queue: Queue) -> None:
    cards = Desk(queue, "anna").pending(99)
    uids = uids_of(queue.version)
    assert {card.caption for card in cards} >= set(CAPTIONS)
    assert all(card.row is not None and uids[card.row] == card.uid for card in cards)
    assert cards[0]._fields == ("uid", "row", "caption", "name")


def test_certification_samples_stand_anywhere_in_the_order(queue: Queue) -> None:
    """A queue that lists them last must not ask for them last."""
    arms = [queue.arms[uid] == "certification" for name in ("a", "b", "c", "d") for uid in Desk(queue, name).order]
    first_halves = [arm for start in range(0, len(arms), 12) for arm in arms[start : start + 6]]
    assert 0 < sum(first_halves) < len(first_halves)


def test_an_answer_is_in_the_log_with_its_arm_and_model_before_the_next_sample(queue: Queue) -> None:
    desk = Desk(queue, "anna")
    uid = desk.pending(1)[0].uid
    desk.answer({uid: POSITIVE})
    (entry,) = read_log(log_path(queue.version.lake, "clock"), "clock").entries
    assert (entry.uid, entry.label, entry.annotator) == (uid, POSITIVE, "anna")
    assert (entry.source, entry.model) == (queue.arms[uid], "m1")
    assert desk.pending(1)[0].uid == desk.order[1]


def test_answers_stand_at_a_desk_that_is_opened_again_and_in_a_second_window(queue: Queue) -> None:
    first, second = Desk(queue, "anna"), Desk(queue, "anna")
    first.answer(dict.fromkeys(first.order[:3], NEGATIVE))
    second.refresh()
    again = Desk(queue, "anna")
    assert first.pending(1) == second.pending(1) == again.pending(1)
    assert again.progress == Progress(3, 3, 12, 0)


def test_the_same_answer_twice_is_written_once(queue: Queue) -> None:
    desk = Desk(queue, "anna")
    for label in (POSITIVE, POSITIVE, UNSURE):
        desk.answer({desk.order[0]: label})
    assert [label for _, label, _ in said(queue)] == [POSITIVE, UNSURE]


def test_undo_takes_back_what_was_answered_at_once_and_asks_it_again(queue: Queue) -> None:
    desk = Desk(queue, "anna")
    desk.answer({desk.order[0]: POSITIVE})
    desk.answer(dict.fromkeys(desk.order[1:4], NEGATIVE))
    assert set(desk.undo()) == set(desk.order[1:4])
    assert desk.pending(1)[0].uid == desk.order[1]
    assert set(desk.undo()) == {desk.order[0]}
    assert desk.undo() == ()
    assert desk.progress.answered == 0


def test_undo_leaves_what_others_said(queue: Queue) -> None:
    anna, ben = Desk(queue, "anna"), Desk(queue, "ben")
    anna.answer({anna.order[0]: POSITIVE})
    ben.answer({anna.order[0]: POSITIVE})
    anna.undo()
    assert said(queue)[-1] == (anna.order[0], UNDO, "anna")
    assert Desk(queue, "ben").said(anna.order[0]) == POSITIVE


ACTS = st.lists(
    st.one_of(
        st.none(),  # undo
        st.dictionaries(st.integers(0, 5), st.sampled_from([POSITIVE, NEGATIVE, UNSURE]), min_size=1),
    ),
    max_size=12,
)


@given(ACTS)
def test_any_answers_and_undos_leave_what_a_stack_of_them_leaves(
    pool: Version, acts: list[dict[int, str] | None]
) -> None:
    log_path(pool.lake, "clock").unlink(missing_ok=True)
    queue = open_queue(pool.lake, "clock")
    desk = Desk(queue, "anna")
    stack: list[dict[str, str]] = [{}]
    for act in acts:
        if act is None:
            desk.undo()
            stack = stack[:-1] or [{}]
        else:
            answers = {desk.order[place]: label for place, label in act.items()}
            desk.answer(answers)
            if {**stack[-1], **answers} != stack[-1]:
                stack.append({**stack[-1], **answers})
        wanted = stack[-1]
        assert {uid: desk.said(uid) for uid in desk.order if desk.said(uid)} == wanted
        assert [card.uid for card in desk.pending(99)] == [uid for uid in desk.order if uid not in wanted]
    again = standings(read_log(log_path(pool.lake, "clock"), "clock").entries)
    assert again.keys() == stack[-1].keys()


def test_what_was_said_before_the_round_is_asked_again(queue: Queue) -> None:
    """Else a known positive that is shown again to test the annotators would never be shown."""
    uid = queue.known[uids_of(queue.version)[0]].uid
    say(queue.version.lake, uid, POSITIVE, "anna", EARLIER)
    desk = Desk(queue, "anna")
    assert desk.said(uid) is None
    assert desk.progress == Progress(0, 0, 12, 0)


def test_answers_count_where_this_machine_s_clock_is_behind_the_round_s(tmp_path: Path) -> None:
    version = pictured(tmp_path, count=4)
    queued(version, created_at="2999-01-01T00:00:00+00:00")
    desk = Desk(open_queue(version.lake, "clock"), "anna")
    desk.answer({desk.order[0]: POSITIVE})
    desk.answer({desk.order[1]: POSITIVE})
    assert desk.undo() == (desk.order[1],)
    assert desk.said(desk.order[0]) == POSITIVE


def test_disagreement_tells_who_said_what_until_it_is_settled(queue: Queue) -> None:
    uid = uids_of(queue.version)[1]
    for name, label in (("anna", POSITIVE), ("ben", NEGATIVE), ("cem", UNSURE)):
        say(queue.version.lake, uid, label, name, EARLIER)
    carla = Desk(queue, "carla")
    (dispute,) = carla.disputes()
    assert dispute.card.uid == uid
    assert [(entry.annotator, entry.label) for entry in dispute.said] == [
        ("anna", POSITIVE), ("ben", NEGATIVE), ("cem", UNSURE),
    ]  # fmt: skip
    carla.adjudicate(uid, NEGATIVE)
    assert carla.disputes() == []
    assert read_log(log_path(queue.version.lake, "clock"), "clock").entries[-1].source == ADJUDICATION
    carla.undo()
    assert len(carla.disputes()) == 1


def test_agreement_and_answers_taken_back_are_no_disagreement(queue: Queue) -> None:
    first, second = uids_of(queue.version)[:2]
    for uid, name, label in ((first, "anna", POSITIVE), (first, "ben", POSITIVE), (second, "anna", POSITIVE)):
        say(queue.version.lake, uid, label, name)
    say(queue.version.lake, second, NEGATIVE, "ben")
    assert len(Desk(queue, "carla").disputes()) == 1
    say(queue.version.lake, second, UNDO, "ben")
    assert Desk(queue, "carla").disputes() == []


def test_a_test_of_the_annotators_is_no_disagreement(queue: Queue) -> None:
    uid = uids_of(queue.version)[0]
    say(queue.version.lake, uid, POSITIVE, "anna", EARLIER)
    say(queue.version.lake, uid, NEGATIVE, "ben", source="seed")
    assert Desk(queue, "carla").disputes() == []


def test_what_is_on_the_blocklist_is_never_handed_out_answered_or_disputed(queue: Queue) -> None:
    blocked = uids_of(queue.version)[3]
    say(queue.version.lake, blocked, POSITIVE, "anna")
    say(queue.version.lake, blocked, NEGATIVE, "ben")
    desk = Desk(queue, "carla", frozenset({blocked}))
    assert blocked not in [card.uid for card in desk.pending(99)]
    assert blocked not in desk.order
    assert desk.disputes() == []
    assert desk.progress == Progress(0, 0, 11, 1)
    with pytest.raises(UsageError, match="matches the blocklist"):
        desk.answer({blocked: POSITIVE})


def test_the_blocklist_s_matches_are_known_by_uid(tmp_path: Path) -> None:
    version = pictured(tmp_path, count=5)
    assert blocked_uids(version) == frozenset()
    digest = version.table("samples", ["sha256"])["sha256"][2].as_py()
    (tmp_path / "hashes.txt").write_text(digest)
    hashes = read_hashes(tmp_path / "hashes.txt")
    draft = version.derive("filter", columns=match(version, Blocklist(sha256="hashes.txt"), hashes, serial))
    assert blocked_uids(committed(draft)) == {uids_of(version)[2]}


def test_a_sample_that_is_drawn_twice_is_asked_once(tmp_path: Path) -> None:
    version = pictured(tmp_path, count=3)
    made = queued(version)
    queued(version, number=2, items=(*made.items, *made.items))
    assert len(Desk(open_queue(version.lake, "clock"), "anna").order) == 3


def test_a_uid_that_the_version_lacks_has_a_card_without_a_row(queue: Queue) -> None:
    assert find_cards(queue.version, ["f" * 32])["f" * 32].row is None


def test_a_label_that_the_disk_did_not_take_is_still_asked_for(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise LakeError("no room")

    desk = Desk(queue, "anna")
    monkeypatch.setattr(desks, "append", full)
    with pytest.raises(LakeError, match="no room"):
        desk.answer({desk.order[0]: POSITIVE})
    assert desk.said(desk.order[0]) is None


def test_the_newest_round_of_each_category_is_the_one_to_label(tmp_path: Path) -> None:
    version = pictured(tmp_path, count=3)
    assert newest_rounds(version.lake) == {}
    for number, category in ((1, "clock"), (2, "clock"), (7, "a-1")):
        queued(version, number=number, category=category)
    assert newest_rounds(version.lake) == {"a-1": 7, "clock": 2}
    assert open_queue(version.lake, "clock").round.number == 2
    assert open_queue(version.lake, "clock").round.created_at == BEGAN
    with pytest.raises(UsageError, match="no round yet"):
        open_queue(version.lake, "weapon")


def test_a_name_is_tidied_and_one_that_could_break_a_sheet_or_a_line_is_refused() -> None:
    assert annotator_name("  Zoë   O'Neil-2 ") == "Zoë O'Neil-2"
    for name in ("", "   ", "=cmd()", "@sum", "a" * 41, "an\u202ena", "an\x00na"):
        with pytest.raises(UsageError, match="a name starts with"):
            annotator_name(name)


def seconds(desk: Desk) -> float:
    """The least that the page asks of the desk for an answer, of 25: where others use the machine, some are late."""
    taken = []
    for _ in range(25):
        start = time.perf_counter()
        desk.refresh()
        desk.answer({desk.pending(24)[0].uid: NEGATIVE})
        assert desk.progress.answered
        desk.disputes()
        taken.append(time.perf_counter() - start)
    return min(taken)


def test_the_last_of_ten_thousand_is_answered_as_fast_as_the_first(tmp_path: Path) -> None:
    version = pictured(tmp_path, count=3)
    queued(version, {f"{number:032x}": "prompt" for number in range(10_000)})
    queue = open_queue(version.lake, "clock")
    fresh = Desk(queue, "anna")
    at_first = seconds(fresh)
    fresh.answer(dict.fromkeys(fresh.order[:9_900], POSITIVE))
    Desk(queue, "ben").answer(dict.fromkeys(fresh.order[:9_900], POSITIVE))
    assert seconds(Desk(queue, "anna")) < at_first + 0.005  # to read such a log anew takes some 0.3 s
