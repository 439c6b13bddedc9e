"""The log of labels: nothing that was acknowledged is lost, nothing damaged is silent, and what stands in the end."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import LakeError, UsageError
from tasks.labels import label_log
from tasks.labels.label_log import LONGEST, Entry, Standing, Tail, append, read_log, standings

HEADER = "uid,category,label,annotator,time,source,model\n"
NOW = "2026-01-02T03:04:05+00:00"

WRITER = """
import sys
from pathlib import Path
from tasks.labels.label_log import Entry, append
path, annotator, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for i in range(count):
    append(path, [Entry(f"{i:032x}", "gun", "1", annotator, "2026-01-02T03:04:05+00:00", "seed", "m" * 64)])
    print(i, flush=True)
"""


def said(uid: int = 1, label: str = "1", annotator: str = "ada", **more: str) -> Entry:
    return Entry(f"{uid:032x}", "gun", label, annotator, NOW, "seed", "")._replace(**more)


def writer(path: Path, annotator: str, count: int) -> subprocess.Popen[bytes]:
    call = [sys.executable, "-c", WRITER, str(path), annotator, str(count)]
    process = subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    return process


def begin(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()


def test_an_absent_log_is_empty(tmp_path: Path) -> None:
    assert read_log(tmp_path / "gun.csv", "gun") == ((), ())


def test_what_is_appended_is_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "labels" / "gun.csv"
    entries = [said(2, "unsure", model="00ff"), said(1, "0"), said(1, "undo")]
    append(path, entries[:1])
    append(path, entries[1:])
    assert read_log(path, "gun") == (tuple(entries), ())
    assert path.read_text() == HEADER + "".join(",".join(entry) + "\n" for entry in entries)


def test_nothing_to_append_makes_no_log(tmp_path: Path) -> None:
    append(tmp_path / "gun.csv", [])
    assert list(tmp_path.iterdir()) == []


names = st.text(min_size=1, max_size=LONGEST)


@given(st.lists(st.tuples(names, names), max_size=5))
def test_any_name_is_refused_or_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, given_names: list[tuple[str, str]]
) -> None:
    path, kept = tmp_path_factory.mktemp("log") / "gun.csv", []
    for annotator, source in given_names:
        entry = said(annotator=annotator, source=source)
        try:
            append(path, [entry])
        except UsageError:
            continue
        kept.append(entry)
    assert read_log(path, "gun") == (tuple(kept), ())


@pytest.mark.parametrize("name", ['Ada, "the first"', "'", "=1+1", "Ада", "a;b\\", "é" * LONGEST])
def test_a_name_with_commas_and_quotes_is_a_name(tmp_path: Path, name: str) -> None:
    append(tmp_path / "gun.csv", [said(annotator=name), said(2)])
    assert [entry.annotator for entry in read_log(tmp_path / "gun.csv", "gun").entries] == [name, "ada"]


@pytest.mark.parametrize(
    "name", ["", " ", "a\nb", "a\rb", "a\0b", "\x1b[2J", "a\x85b", "a\u2028b", "\udcff", "a" * 201]
)
def test_what_cannot_be_a_name_is_refused_and_nothing_of_the_call_is_appended(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"gun\.csv: annotator: .* expected.*nothing was appended"):
        append(tmp_path / "gun.csv", [said(), said(annotator=name)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"uid": "A" * 32}, "uid: 32 hex digits in lower case were expected, 'AAAA"),
        ({"uid": "a" * 31}, "uid: 32 hex digits"),
        ({"label": "maybe"}, "label: 1, 0, unsure, undo were expected, 'maybe' was found"),
        ({"time": "yesterday"}, "time: an ISO 8601 time in UTC was expected, 'yesterday' was found"),
        ({"time": "2026-01-02T03:04:05"}, "time: an ISO 8601 time in UTC"),
        ({"time": "2026-01-02T03:04:05+01:00"}, "time: an ISO 8601 time in UTC"),
        ({"source": ""}, "source: a name was expected"),
        ({"model": "a\nb"}, "model: at most 200 characters"),
    ],
)
def test_an_entry_that_cannot_be_one_is_refused_by_value(tmp_path: Path, wrong: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        append(tmp_path / "gun.csv", [said()._replace(**wrong)])


def test_two_processes_at_once_lose_nothing_and_mix_no_line(tmp_path: Path) -> None:
    path, count = tmp_path / "labels" / "gun.csv", 300
    with writer(path, "ada", count) as ada, writer(path, "bob", count) as bob:
        begin(ada)
        begin(bob)
        ada.communicate()
        bob.communicate()
    assert (ada.returncode, bob.returncode) == (0, 0)
    log = read_log(path, "gun")
    assert log.damaged == ()
    for name in ("ada", "bob"):
        assert [entry.uid for entry in log.entries if entry.annotator == name] == [f"{i:032x}" for i in range(count)]
    assert path.read_text().count(HEADER) == 1


def test_a_killed_writer_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "gun.csv"
    with writer(path, "ada", 1_000_000) as process:
        begin(process)
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(50)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout if line.endswith(b"\n")]
    log = read_log(path, "gun")
    assert [int(entry.uid, 16) for entry in log.entries][: len(acknowledged)] == acknowledged
    assert len(log.entries) - len(acknowledged) in (0, 1)  # one may have been on the disk and not yet acknowledged
    assert log.damaged == ()


@given(st.integers(min_value=1))
def test_a_half_written_last_line_is_closed_and_named_and_the_rest_is_used(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "gun.csv"
    append(path, [said(1)])
    whole = path.stat().st_size
    append(path, [said(2, annotator='Ä, "B"', model="00ff")])
    os.truncate(path, whole + cut % (path.stat().st_size - whole - 1) + 1)  # from 1 byte to all but the newline
    assert read_log(path, "gun") == ((said(1),), ((3, label_log._NOT_ENDED),))
    append(path, [said(3)])
    log = read_log(path, "gun")
    assert log.entries == (said(1), said(3))
    assert [number for number, _ in log.damaged] == [3]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"a,b", "7 values were expected, 2 were found"),
        (b'"a', "not a line of CSV in UTF-8"),
        (b"\xff,gun,1,ada,t,seed,", "not a line of CSV in UTF-8"),
        (",".join(said(category="knife")).encode(), "category: 'gun' was expected, 'knife' was found"),
        (",".join(said(label="2")).encode(), "label: 1, 0, unsure, undo were expected, '2' was found"),
        (HEADER.strip().encode(), "category: 'gun' was expected"),
        (b"\0", "7 values were expected, 1 were found"),
    ],
)
def test_a_damaged_line_is_named_and_the_rest_is_used(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "gun.csv"
    append(path, [said(1)])
    path.write_bytes(path.read_bytes() + line + b"\n")
    append(path, [said(2)])
    log = read_log(path, "gun")
    assert log.entries == (said(1), said(2))
    assert [number for number, _ in log.damaged] == [3]
    assert reason in log.damaged[0][1]


def test_a_log_that_an_editor_saved_with_other_line_ends_is_read(tmp_path: Path) -> None:
    path = tmp_path / "gun.csv"
    append(path, [said(1)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n\n")
    log = read_log(path, "gun")
    assert log.entries == (said(1),)
    assert [number for number, _ in log.damaged] == [3]  # the line with nothing but a carriage return


def test_a_full_disk_is_told_and_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "gun.csv"
    append(path, [said(1)])
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
        with pytest.raises(LakeError, match=r"gun\.csv: the labels were not stored: .*give them again"):
            append(path, [said(2)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, old)
    assert path.read_bytes() == before
    append(path, [said(2)])
    assert read_log(path, "gun") == ((said(1), said(2)), ())


def test_a_log_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        LakeError, match="a log of labels was expected that may be read and appended to: Is a directory"
    ):
        append(tmp_path, [said()])


def test_a_tail_reads_only_what_was_appended_since(tmp_path: Path) -> None:
    path = tmp_path / "gun.csv"
    tail = Tail(path, "gun")
    assert tail.new() == []
    append(path, [said(1)])
    assert tail.new() == [said(1)]
    assert tail.new() == []
    size = path.stat().st_size
    path.write_bytes(b"x" * size)  # what was read is not read again
    with path.open("ab") as file:
        file.write((",".join(said(2)) + "\n" + ",".join(said(3))).encode())
    assert tail.new() == [said(2)]  # the last line has no end yet
    with path.open("ab") as file:
        file.write(b"\nwrong\n")
    assert tail.new() == [said(3)]
    assert tail.damaged == [(5, "7 values were expected, 1 were found")]


@given(st.lists(st.integers(0, 4), max_size=8))
def test_a_tail_that_looks_often_reads_what_one_look_reads(
    tmp_path_factory: pytest.TempPathFactory, batches: list[int]
) -> None:
    path = tmp_path_factory.mktemp("log") / "gun.csv"
    tail, seen = Tail(path, "gun"), []
    for number, batch in enumerate(batches):
        append(path, [said(10 * number + i) for i in range(batch)])
        seen += tail.new()
    assert tuple(seen) == read_log(path, "gun").entries
    assert tail.damaged == []


def test_a_log_that_was_cut_is_told_to_who_follows_it(tmp_path: Path) -> None:
    path = tmp_path / "gun.csv"
    append(path, [said(1)])
    tail = Tail(path, "gun")
    tail.new()
    path.unlink()
    with pytest.raises(LakeError, match=r"gun\.csv: \d+ bytes or more were expected, 0 were found"):
        tail.new()


def test_each_annotators_last_word_counts_and_the_positive_stands() -> None:
    entries = [
        said(label="1"),
        said(label="0"),
        said(label="1", annotator="bob"),
        said(label="unsure", annotator="eve"),
    ]
    found = standings(entries)[said().uid]
    assert found == Standing(True, ("bob",), ("ada",), ("eve",))
    assert found.disagree
    agreed = standings([*entries, said(label="1")])[said().uid]
    assert agreed == Standing(True, ("ada", "bob"), (), ("eve",))
    assert not agreed.disagree


def test_who_is_unsure_does_not_undo_a_negative() -> None:
    assert standings([said(label="unsure")]) == {said().uid: Standing(None, (), (), ("ada",))}
    assert standings([said(label="unsure"), said(label="0", annotator="bob")])[said().uid].label is False


def test_undo_takes_back_the_annotators_own_latest_label_and_the_one_before_stands() -> None:
    entries = [said(label="0"), said(label="1"), said(label="1", annotator="bob"), said(label="undo")]
    assert standings(entries)[said().uid] == Standing(True, ("bob",), ("ada",), ())
    assert standings([*entries, said(label="undo")])[said().uid] == Standing(True, ("bob",), (), ())


def test_a_uid_of_which_all_was_undone_is_absent_and_an_undo_too_many_changes_nothing() -> None:
    assert standings([said(), said(label="undo"), said(label="undo"), said(2, "undo")]) == {}
    assert standings([said(label="undo"), said()])[said().uid].positive == ("ada",)


labels = st.sampled_from(["1", "0", "unsure", "undo"])


@given(st.lists(st.builds(said, st.integers(0, 2), labels, st.sampled_from(["ada", "bob"]))))
def test_a_label_and_its_undo_change_nothing(entries: list[Entry]) -> None:
    assert standings([*entries, said(1, "1"), said(1, "undo")]) == standings(entries)
    for standing in standings(entries).values():
        assert standing.positive or standing.negative or standing.unsure
        assert standing.label is (True if standing.positive else False if standing.negative else None)
