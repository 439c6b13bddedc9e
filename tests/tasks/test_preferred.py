"""Which sample is preferred, which are the same, and which vectors are refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tasks.errors import EncoderError
from tasks.preferred import check_vectors, first_of_kind, gather, preference
from tests.tasks.planted import planted


def test_more_pixels_are_preferred_then_a_longer_caption_then_the_lower_uid() -> None:
    pixels, captions = np.array([100, 400, 400, 400, 400]), np.array([99, 5, 7, 5, 5])
    assert preference(pixels, captions, ["a", "d", "e", "c", "b"]).tolist() == [2, 4, 3, 1, 0]


def test_equal_bytes_are_one_kind_and_so_are_equal_vectors() -> None:
    vectors = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [0.6, 0.8]], np.float16)
    assert first_of_kind(["x", "y", "z", "x", "x"], vectors).tolist() == [0, 1, 0, 0, 0]


def test_different_samples_are_their_own_kind() -> None:
    assert first_of_kind(list("abcde"), planted(5)).tolist() == [0, 1, 2, 3, 4]


def test_vectors_are_gathered_from_all_parts_in_the_order_asked_for() -> None:
    rows = planted(10)
    sample = np.array([9, 0, 3, 4, 5])
    assert (gather([rows[:4], rows[4:4], rows[4:]], sample) == rows[sample]).all()


def test_parts_of_several_dimensions_are_refused() -> None:
    with pytest.raises(EncoderError, match=r"\[16, 32\]"):
        gather([planted(3, d=32), planted(3, d=16)], np.arange(6))


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -np.inf])
def test_a_vector_that_cannot_be_compared_is_named(value: float) -> None:
    vectors = planted(4)
    vectors[2] = value
    with pytest.raises(EncoderError, match=r"1 usable samples .* uid c \(key 3\)"):
        check_vectors(vectors, pa.table({"uid": list("abcd"), "key": list("1234")}))


def test_one_value_that_is_not_a_number_is_enough() -> None:
    vectors = planted(4)
    vectors[1, 7] = np.nan
    with pytest.raises(EncoderError, match="uid b"):
        check_vectors(vectors, pa.table({"uid": list("abcd"), "key": list("1234")}))


def test_good_vectors_and_none_at_all_pass() -> None:
    check_vectors(planted(4), pa.table({"uid": list("abcd"), "key": list("1234")}))
    check_vectors(planted(4)[:0], pa.table({"uid": [], "key": []}))
