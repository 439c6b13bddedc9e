"""Labels in and out by CSV: all or nothing, never twice, and nothing silently dropped."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import LabelsError
from tasks.labels.label_files import Destination, Imported, export_log, export_standing, import_csv, utc
from tasks.labels.label_log import Entry, append, read_log, standings
from tasks.labels.labels import read_labels
from tasks.labels.rounds import Item, Round

NOON = "2026-01-02T12:00:00+00:00"
LATER = "2026-01-02T13:00:00.250000+00:00"
A, B, C, D = (digit * 32 for digit in "abcd")
POOL = frozenset((A, B, C))


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "in.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def into(log: Path | None = None, rounds: tuple[Round, ...] = ()) -> Destination:
    return Destination("gun", POOL, read_log(log, "gun").entries if log else (), rounds)


def taken_in(path: Path, log: Path, annotator: str = "ada") -> Imported:
    found = import_csv(path, into(log), annotator)
    append(log, found.entries)
    return found


def said(uid: str, label: str, annotator: str = "ada", time: str = NOON) -> Entry:
    return Entry(uid, "gun", label, annotator, time, "prompt", "")


def short(entries: tuple[Entry, ...]) -> list[tuple[str, str, str]]:
    return [(entry.uid[0], entry.label, entry.annotator) for entry in entries]


def test_words_for_labels_are_read_whatever_their_case(tmp_path: Path) -> None:
    rows = "".join(f"{A},{word}\n" for word in ("1", "YES", "True"))
    rows += "".join(f"{B}, {word} \n" for word in ("0", "no", "FALSE"))
    found = import_csv(written(tmp_path, "uid,label\n" + rows + f"{C.upper()},Unsure\n"), into(), "ada")
    assert short(found.entries) == [("a", "1", "ada"), ("b", "0", "ada"), ("c", "unsure", "ada")]
    assert found.repeated == 4
    assert {entry.source for entry in found.entries} == {"import"}


def test_a_row_may_say_whose_when_and_from_where(tmp_path: Path) -> None:
    text = "\ufefftime,note,annotator,label,uid,source,model\r\n" + (
        f'2026-01-02T14:00:00.25+01:00,"x, y",bob,1,{A},prompt,00ff\r\n2026-01-02 12:00,,,0,{B},,\r\n'
    )
    found = import_csv(written(tmp_path, text), into(), "ada")
    assert found.entries == (  # in order of time
        Entry(B, "gun", "0", "ada", NOON, "import", ""),
        Entry(A, "gun", "1", "bob", LATER, "prompt", "00ff"),
    )


def test_rows_of_other_categories_are_counted_and_an_empty_one_is_of_this(tmp_path: Path) -> None:
    found = import_csv(written(tmp_path, f"uid,category,label\n{A},knife,maybe\n{B},gun,1\n{C},,0\n"), into(), "ada")
    assert short(found.entries) == [("b", "1", "ada"), ("c", "0", "ada")]
    assert found.elsewhere == 1


def test_unknown_uids_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    strangers = [f"{i:032x}" for i in range(7)]
    rows = "".join(f"{uid},1\n" for uid in [*strangers, strangers[0], A])
    found = import_csv(written(tmp_path, "uid,label\n" + rows), into(), "ada")
    assert short(found.entries) == [("a", "1", "ada")]
    assert found.unknown == tuple(strangers)
    assert found.told() == f"new labels: 1; uids that are not in the pool: 7 ({', '.join(strangers[:5])} …)"


def test_all_wrong_rows_are_named_by_line_in_one_message(tmp_path: Path) -> None:
    rows = (f"{A},1,,", f"{A},maybe,,", "xyz,1,,", f"{B},0,,noon", f"{B},0,a\0b,", f"{B},undo,,", B, f"{B},1,,,z")
    text = "\n".join(("uid,label,annotator,time", *rows))
    with pytest.raises(LabelsError) as problem:
        import_csv(written(tmp_path, text), into(), "ada")
    told = str(problem.value)
    for part in (
        "in.csv: line 3: label: 1, 0 or unsure was expected, 'maybe' was found; line 4: uid: 32 hex digits",
        "line 5: time: an ISO 8601 time was expected, 'noon' was found",
        "line 6: annotator: ",
        "line 7: label: 1, 0 or unsure was expected, 'undo' was found",
        "line 8: label: 1, 0 or unsure was expected, '' was found",
        "line 9: 4 values were expected, more were found",
        "Nothing was imported",
    ):
        assert part in told
    assert "line 2" not in told


def test_of_very_many_wrong_rows_the_rest_is_counted(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"line 11: .*; and 90 more") as problem:
        import_csv(written(tmp_path, "uid,label\n" + f"{A},2\n" * 100), into(), "ada")
    assert "line 12" not in str(problem.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the columns uid, label, and each once, were expected, found: an empty file"),
        ("uid;label\n", "found: uid;label"),
        ("uid,label,label\n", "found: uid, label, label"),
        ("uid,label\n", "labels of category 'gun' were expected, 0 of others were found"),
        (f"uid,category,label\n{A},knife,1\n", "labels of category 'gun' were expected, 1 of others were found"),
        (f'uid,label\n{A},1\n"{B}"x,1\n', "after line 2: not CSV"),
        (f'uid,label\n{A},1\n{B},"1\n', "after line 2: not CSV: unexpected end"),
        (f"uid,label\n{A},1\n\xff,1\n".encode("latin-1"), r"line 3: UTF-8 was expected, b'\\xff' was found"),
        ("uid,label\n".encode("utf-16"), "line 1: UTF-8 was expected"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(LabelsError, match=message) as problem:
        import_csv(written(tmp_path, text), into(), "ada")
    assert "in.csv" in str(problem.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"in\.csv: a file of labels was expected: No such file"):
        import_csv(tmp_path / "in.csv", into(), "ada")


def test_labels_without_a_name_ask_for_one(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="line 2: annotator: a name was expected, nothing was found"):
        import_csv(written(tmp_path, f"uid,label\n{A},1\n"), into(), "")


def test_an_annotators_contradicting_labels_count_as_positive_and_are_named(tmp_path: Path) -> None:
    path, log = written(tmp_path, f"uid,label\n{A},1\n{A},0\n{B},0\n{B},unsure\n"), tmp_path / "gun.csv"
    found = taken_in(path, log)
    assert short(found.entries) == [("a", "1", "ada"), ("b", "0", "ada")]
    assert found.contradicting == (A,)
    assert taken_in(path, log).entries == ()


def test_annotators_who_contradict_each_other_are_both_kept(tmp_path: Path) -> None:
    text = f"uid,label,annotator,time\n{A},1,ada,\n{A},0,bob,\n{B},1,ada,{NOON}\n{B},0,bob,{NOON}\n{C},1,bob,{NOON}\n"
    found = import_csv(written(tmp_path, text), into(), "")
    assert len(found.entries) == 5
    assert found.contradicting == (A, B)
    mixed = import_csv(written(tmp_path, f"uid,label,annotator,time\n{A},1,ada,\n{A},0,bob,{NOON}\n"), into(), "")
    assert mixed.contradicting == (A,)
    assert standings(found.entries)[A].disagree


def test_who_corrects_a_label_later_does_not_contradict_and_the_later_stands(tmp_path: Path) -> None:
    found = import_csv(written(tmp_path, f"uid,label,time\n{A},0,{LATER}\n{A},1,{NOON}\n"), into(), "ada")
    assert found.contradicting == ()
    assert standings(found.entries)[A].label is False


def test_an_old_label_comes_again_when_it_was_changed_since(tmp_path: Path) -> None:
    path, log = written(tmp_path, f"uid,label\n{A},1\n"), tmp_path / "gun.csv"
    taken_in(path, log)
    append(log, [said(A, "0")])
    assert short(taken_in(path, log).entries) == [("a", "1", "ada")]


LABELS = {"1": "1", "0": "0", "unsure": "unsure", "yes": "1"}
lines = st.tuples(
    st.sampled_from([A, B, C, D]),
    st.sampled_from(list(LABELS)),
    st.sampled_from(["", "ada", "bob"]),
    st.sampled_from(["", NOON, LATER]),
)


@given(st.lists(lines, min_size=1, max_size=12), st.lists(lines, max_size=6))
def test_the_same_file_twice_adds_nothing(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]], before: list[tuple[str, ...]]
) -> None:
    entries: list[Entry] = [said(uid, LABELS[label], name or "ada", time or LATER) for uid, label, name, time in before]
    text = "uid,label,annotator,time\n" + "".join(",".join(row) + "\n" for row in rows)
    path = written(tmp_path_factory.getbasetemp(), text)
    first = import_csv(path, Destination("gun", POOL, entries, ()), "ada")
    entries += first.entries
    again = import_csv(path, Destination("gun", POOL, entries, ()), "ada")
    assert again.entries == ()
    assert again.repeated == first.repeated + len(first.entries)


def test_two_imports_at_once_lose_nothing(tmp_path: Path) -> None:
    log = tmp_path / "gun.csv"
    for name in ("ada", "bob"):
        (tmp_path / name).mkdir()
    paths = {name: written(tmp_path / name, f"uid,label\n{A},1\n{B},0\n") for name in ("ada", "bob")}
    threads = [threading.Thread(target=taken_in, args=(path, log, name)) for name, path in paths.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_log(log, "gun")
    assert found.damaged == ()
    assert standings(found.entries)[A].positive == ("ada", "bob")


def test_a_label_of_a_sample_that_a_round_asked_about_gets_its_arm_and_model(tmp_path: Path) -> None:
    def asked(number: int, arm: str, uids: tuple[str, ...]) -> Round:
        items = tuple(Item(uid, arm, 0.5) for uid in uids)
        return Round("gun", number, NOON, 1, f"model{number}", 0.5, "", items, None, (), {})

    rounds = (asked(1, "uncertain", (A, B)), asked(2, "certification", (B,)))
    path = written(tmp_path, f"uid,label,source\n{A},1,\n{B},1,\n{C},1,\n{A},0,elsewhere\n")
    found = import_csv(path, into(rounds=rounds), "ada")
    assert [(entry.uid, entry.source, entry.model) for entry in found.entries] == [
        (A, "uncertain", "model1"),
        (B, "certification", "model2"),
        (C, "import", ""),
    ]


def test_a_log_that_is_exported_comes_back_as_it_was_and_only_once(tmp_path: Path) -> None:
    entries = (said(A, "1", 'B, "b"'), said(B, "0"), said(A, "undo", 'B, "b"'), said(A, "unsure", 'B, "b"'))
    path, log = tmp_path / "out" / "gun.csv", tmp_path / "gun.csv"
    assert export_log(entries, path) == 4
    assert taken_in(path, log).entries == entries
    again = taken_in(path, log)
    assert (again.entries, again.repeated) == ((), 4)
    assert again.told() == "new labels: 0; there already: 4"


def test_standing_labels_are_exported_as_a_labels_file_for_the_filter(tmp_path: Path) -> None:
    entries = [said(B, "0"), said(A, "0"), said(A, "1", "bob"), said(C, "unsure")]
    path = tmp_path / "gun.csv"
    assert export_standing(standings(entries), "gun", path) == 2
    assert path.read_text() == f"uid,category,label\n{A},gun,1\n{B},gun,0\n"
    assert read_labels(path, "gun").by_uid == {A: True, B: False}


def test_an_export_replaces_a_file_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "gun.csv"
    export_log([said(A, "1"), said(B, "1")], path)
    export_log([said(A, "1")], path)
    assert path.read_text().count("\n") == 2
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-01-02T12:00:00Z", NOON),
        ("2026-01-02T05:00:00-07:00", NOON),
        ("2026-01-02T13:00:00.250000Z", LATER),
        ("2026-01-02", "2026-01-02T00:00:00+00:00"),
    ],
)
def test_a_time_is_told_in_utc(time: str, expected: str) -> None:
    assert utc(time) == expected
