from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.classifying.overrides import Decided, Override, Overrides, Rows, apply, facts, kept, read_overrides
from tasks.errors import ConfigError

HEADER = "uid,action,author,reason"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def written(*lines: str, header: str = HEADER) -> Path:
        path = tmp_path / "overrides.csv"
        path.write_text("\n".join([header, *lines, ""]), "utf-8")
        return path

    return written


def rows(n: int, usable: tuple[int, ...] | None = None, blocked: tuple[int, ...] = ()) -> Rows:
    there = np.isin(np.arange(n), range(n) if usable is None else usable)
    return Rows([f"u{i}" for i in range(n)], there, np.isin(np.arange(n), blocked))


def decided(*reasons: str | None) -> Decided:
    return Decided(np.array([reason is not None for reason in reasons]), np.array(reasons, dtype=object))


def said(**actions: str) -> Overrides:
    """One author's overrides."""
    return Overrides({uid: Override(action == "drop", "Kim", "seen") for uid, action in actions.items()})


def test_a_row_says_who_decided_what_and_why(write: Callable[..., Path]) -> None:
    path = write("U1,keep,Kim,a drawing", 'u0,drop,"Lee, QA","two\nlines"')
    assert read_overrides(path).by_uid == {
        "u0": Override(True, "Lee, QA", "two lines"),
        "u1": Override(False, "Kim", "a drawing"),
    }


def test_other_columns_their_order_and_a_byte_order_mark_change_nothing(write: Callable[..., Path]) -> None:
    one = read_overrides(write("u1,drop,Kim,why"))
    path = write("why,,DROP?,u1 ,drop, Kim", header="\ufeffreason,note,other,uid,action,author")
    assert read_overrides(path) == one and read_overrides(path).digest == one.digest


def test_of_a_keep_and_a_drop_the_drop_stands_and_the_uid_is_named(write: Callable[..., Path]) -> None:
    lines = ["u2,drop,Kim,first", "u2,keep,Lee,no", "u1,keep,Lee,yes", "u1,drop,Kim,later", "u0,keep,Lee,x"]
    found = read_overrides(write(*lines))
    assert found.contradicting == ("u1", "u2")
    assert found.by_uid["u1"] == Override(True, "Kim", "later") and found.by_uid["u2"] == Override(True, "Kim", "first")


def test_of_equal_actions_the_first_stands(write: Callable[..., Path]) -> None:
    found = read_overrides(write("u1,drop,Kim,first", "u1,drop,Lee,second"))
    assert found.by_uid == {"u1": Override(True, "Kim", "first")} and found.contradicting == ()


def test_the_digest_changes_with_what_is_said_and_not_with_the_order(write: Callable[..., Path]) -> None:
    lines = ["u1,drop,Kim,a", "u2,keep,Kim,b"]
    digest = read_overrides(write(*lines)).digest
    assert read_overrides(write(*reversed(lines))).digest == digest
    others = [["u1,keep,Kim,a"], ["u1,drop,Lee,a"], ["u1,drop,Kim,c"], ["u3,drop,Kim,a"]]
    assert len({digest, *(read_overrides(write(*other, lines[1])).digest for other in others)}) == 5


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("u1,hide,Kim,why", r"row 3: action: keep or drop was expected, 'hide' was found"),
        ("u1,,Kim,why", r"row 3: action: keep or drop was expected, '' was found"),
        (",drop,Kim,why", r"row 3: uid: a text was expected"),
        ("u1,drop, ,why", r"row 3: author: a text was expected"),
        ("u1,drop,Kim", r"row 3: reason: a text was expected"),
        ('u1,drop,Kim,"open', r"after row \d: not CSV"),
    ],
)
def test_a_wrong_row_is_refused_with_its_number_and_value(write: Callable[..., Path], line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"overrides\.csv, {message}"):
        read_overrides(write("u0,keep,Kim,fine", line))


def test_a_file_that_is_absent_lacks_a_column_or_is_not_utf8_is_refused(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"absent\.csv: a file of overrides was expected: No such file"):
        read_overrides(tmp_path / "absent.csv")
    with pytest.raises(ConfigError, match=r"columns uid, action, author, reason were expected, author, reason not"):
        read_overrides(write(header="uid,action"))
    (tmp_path / "latin.csv").write_bytes(f"{HEADER}\nu1,drop,Andr".encode() + b"\xe9,x\n")
    with pytest.raises(ConfigError, match=r"latin\.csv, row 2: UTF-8 was expected, b'\\xe9' was found"):
        read_overrides(tmp_path / "latin.csv")


def test_a_header_alone_overrides_nothing(write: Callable[..., Path]) -> None:
    found = read_overrides(write())
    before = decided(None, "knife: score")
    after = apply(found, rows(2), before)
    assert after.filtered.tolist() == [False, True] and after.reason.tolist() == [None, "knife: score"]


def test_a_persons_word_stands_over_the_categories_and_the_blocklist_over_both() -> None:
    before = decided("knife: labelled", None, "knife: score", None, None)
    after = apply(said(u0="keep", u1="drop", u2="keep", u3="drop"), rows(5, blocked=(2, 3, 4)), before)
    assert after.filtered.tolist() == [False, True, True, True, True]
    assert after.reason.tolist() == [None, "dropped by Kim: seen", "blocklist", "blocklist", "blocklist"]
    assert before.reason.tolist()[0] == "knife: labelled"  # what was given is not changed


def test_what_is_not_usable_is_neither_dropped_nor_kept() -> None:
    there, before = rows(3, usable=(0,), blocked=(2,)), decided(None, None, None)
    overrides = said(u0="keep", u1="drop", u2="drop")
    assert not apply(overrides, there, before).filtered.any()
    assert kept(overrides, there).tolist() == [True, False, False]
    assert facts(overrides, there, before)["unusable_uids"] == 2


def test_the_facts_count_what_the_overrides_change_and_what_they_could_not() -> None:
    overrides = Overrides({**said(u0="keep", u1="drop", u2="keep", u3="drop", gone="keep").by_uid}, ("u1",))
    before = decided("knife: score", None, "knife: score", "knife: score")
    assert facts(overrides, rows(4, blocked=(2,)), before) == {
        "dropped": 2,
        "dropped_against_categories": 1,
        "kept": 2,
        "kept_against_categories": 1,
        "kept_but_blocked": 1,
        "unknown_uids": 1,
        "unusable_uids": 0,
        "contradictions": 1,
        "contradicting_uids": ["u1"],
    }


@given(st.data())
def test_each_sample_ends_as_the_strongest_word_on_it_has_it(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 8))
    flags = st.lists(st.booleans(), min_size=n, max_size=n)
    usable, blocked, by_category = (np.array(data.draw(flags), np.bool_) for _ in range(3))
    actions = data.draw(st.dictionaries(st.integers(0, n + 2).map("u{}".format), st.sampled_from(["keep", "drop"])))
    there = Rows([f"u{i}" for i in range(n)], usable, blocked)
    before = Decided(by_category & usable, np.where(by_category & usable, "knife: score", None).astype(object))
    after = apply(said(**actions), there, before)
    for row in range(n):
        action = actions.get(f"u{row}")
        expected = blocked[row] or action == "drop" or (by_category[row] and action != "keep")
        assert after.filtered[row] == (usable[row] and expected)
        assert (after.reason[row] is not None) == after.filtered[row]
    counts = facts(said(**actions), there, before)
    total = counts["dropped"] + counts["kept"] + counts["unknown_uids"] + counts["unusable_uids"]
    assert total == len(actions)
