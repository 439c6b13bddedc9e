"""Which sample is preferred, which are the same, and which vectors are refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.duplicates.preferred import codes, first_of_kind, preference
from tasks.duplicates.stored import stored
from tasks.errors import EncoderError
from tests.tasks.planted import planted


def table(uids: str = "abcde", **columns: object) -> pa.Table:
    n = len(uids)
    rest = {
        "width": [10] * n,
        "height": [10] * n,
        "caption": ["a caption"] * n,
        "sha256": list(uids),
        "key": list(uids),
    }
    return pa.table({"uid": list(uids), **rest, **columns})


CROSSED = table("dacbe", width=[10, 40, 40, 40, 40], caption=["a longer one", "short", "shorter", "short", "short"])


@pytest.mark.parametrize(
    ("prefer", "order"),
    [
        (("resolution", "caption", "uid"), "cabed"),
        (("caption", "resolution"), "dcabe"),
        (("oldest",), "ebcad"),
        (("uid", "resolution"), "abcde"),
        ((), "abcde"),
    ],
)
def test_who_is_preferred_is_declared_and_the_uid_breaks_ties(prefer: tuple[str, ...], order: str) -> None:
    places = preference(CROSSED, np.arange(5)[::-1], prefer)
    assert "".join(CROSSED["uid"].to_pylist()[place] for place in places) == order


def test_what_has_no_caption_or_size_comes_last() -> None:
    some = table("abc", width=pa.array([None, 10, 10]), caption=["a", None, "b"])
    assert preference(some, np.arange(3), ("resolution", "caption")).tolist() == [2, 1, 0]


def codes_of(vectors: np.ndarray, rows: pa.Table, known: np.ndarray | None = None) -> np.ndarray:
    return codes(rows, stored([vectors]), lambda function, items: [function(item) for item in items], known)


def kinds(vectors: np.ndarray, rows: pa.Table) -> list[int]:
    return first_of_kind(rows["sha256"], codes_of(vectors, rows)).tolist()


def test_vectors_whose_codes_are_known_are_not_read_again() -> None:
    vectors, rows = planted(5), table(sha256=list("xyzxx"))
    every = codes_of(vectors, rows)
    known = every.copy()
    known[3] = 0
    vectors[[0, 1, 2, 4]] = np.nan
    assert (codes_of(vectors, rows, known) == every).all()


def test_equal_bytes_are_one_kind_and_so_are_equal_vectors() -> None:
    vectors = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [0.6, 0.8]], np.float16)
    assert kinds(vectors, table(sha256=list("xyzxx"))) == [0, 1, 0, 0, 0]


def test_different_samples_are_their_own_kind() -> None:
    assert kinds(planted(5), table()) == [0, 1, 2, 3, 4]


@settings(max_examples=50, deadline=None)
@given(data=st.data(), n=st.integers(1, 40))
def test_kinds_are_those_of_comparing_all_bytes(data: st.DataObject, n: int) -> None:
    drawn = st.lists(st.integers(0, 3), min_size=3 * n, max_size=3 * n)
    vectors = np.array(data.draw(drawn), np.float16).reshape(n, 3) + 1
    uids = [f"{k:02}" for k in range(n)]
    rows = pa.table({"uid": uids, "key": uids, "sha256": uids})
    expected = [next(i for i in range(n) if (vectors[i] == vectors[k]).all()) for k in range(n)]
    assert kinds(vectors, rows) == expected


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -np.inf])
def test_a_vector_that_cannot_be_compared_is_named(value: float) -> None:
    vectors = planted(4)
    vectors[2] = value
    with pytest.raises(EncoderError, match=r"1 usable samples .* uid c \(key c\)"):
        kinds(vectors, table("abcd"))


def test_one_value_that_is_not_a_number_is_enough() -> None:
    vectors = planted(4)
    vectors[1, 7] = np.nan
    with pytest.raises(EncoderError, match="uid b"):
        kinds(vectors, table("abcd"))
