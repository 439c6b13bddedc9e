"""Whom a category's filter concerns, by words in captions."""

from __future__ import annotations

import pyarrow as pa

from tasks.classifying.subgroups import members


def who(captions: list[str | None], *terms: str) -> list[bool]:
    return members(pa.chunked_array([pa.array(captions, pa.string())]), {"group": terms})["group"].tolist()


def test_a_term_counts_as_a_word_and_not_within_another() -> None:
    assert who(["a woman", "WOMAN!", "women", "a superwoman", None, ""], "woman") == [True, True] + [False] * 4


def test_a_phrase_counts_where_its_words_follow_each_other() -> None:
    captions = ["dark skin tone", "a dark-skin tone", "skin dark tone", "medium-dark skin tone"]
    assert who(captions, "dark skin tone") == [True, True, False, True]


def test_any_of_the_terms_will_do_and_letters_are_compared_as_people_read_them() -> None:
    captions = ["cafe\u0301", "o’clock", "tea"]
    assert who(captions, "café", "o'clock") == [True, True, False]


def test_a_term_without_a_word_is_of_nobody() -> None:
    assert who(["!!", "a"], "!!") == [False, False]
