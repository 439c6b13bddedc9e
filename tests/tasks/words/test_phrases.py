from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.lake import Version
from tasks.words.phrases import frequent_phrases, standing
from tasks.words.tokens import TermLists, read_words, tokenise, write_tokens
from tests.tasks.captioned import captioned, map_here

CAPTIONS = st.lists(st.none() | st.text("ab é漢字'", max_size=10), max_size=12)
ASKED = [["a", "b"], ["b", "a", "b"], ["a", "a"], ["漢", "字"], ["é", "a", "b", "a"], ["a", "nowhere"], ["a", "b", "a"]]


def version_of(root: Path, captions: list[str | None]) -> Version:
    version = captioned(root, captions)
    write_tokens(version, map_here)
    return version


def phrases_in(caption: str | None, longest: int) -> Counter[str]:
    """How often each phrase of 2 to `longest` words stands in a caption, in plain Python."""
    words = tokenise(caption or "")
    starts = [(i, n) for n in range(2, longest + 1) for i in range(len(words) - n + 1)]
    return Counter(" ".join(words[i : i + n]) for i, n in starts)


def held(lists: TermLists, names: list[str]) -> list[set[str]]:
    parts = [lists.terms[start:end].tolist() for start, end in zip(lists.ends, lists.ends[1:], strict=False)]
    assert all(part == sorted(set(part)) for part in parts)
    return [{names[term] for term in part} for part in parts]


@settings(max_examples=20, deadline=None)
@given(CAPTIONS, st.integers(1, 3), st.integers(2, 4))
@example(["a a a a", "b a", None, "a b a b"], 2, 3)
def test_frequent_phrases_are_those_that_plain_python_finds(
    captions: list[str | None], min_count: int, longest: int
) -> None:
    found = [phrases_in(caption, longest) for caption in captions]
    total = sum(found, Counter())
    frequent = {phrase for phrase, count in total.items() if count >= min_count}
    with tempfile.TemporaryDirectory() as root:
        version = version_of(Path(root), captions)
        words = read_words(version)
        # pruned are words by captions that have them, phrases by how often they stand: nothing frequent is lost
        phrases = frequent_phrases(version, words, min_count, longest)
        names = phrases.vocabulary.to_pylist()
        per_caption = {phrase: sum(phrase in one for one in found) for phrase in total}
        assert {phrase for phrase, count in per_caption.items() if count >= min_count} <= set(names) <= frequent
        assert held(phrases.lists, names) == [set(one) & set(names) for one in found]
    assert phrases.n_words.tolist() == [name.count(" ") + 1 for name in names]
    assert phrases.captions.tolist() == [per_caption[name] for name in names]


@settings(max_examples=20, deadline=None)
@given(CAPTIONS)
@example(["a b a b a a", "é a b a", "漢字 a b"])
def test_asked_phrases_stand_where_plain_python_finds_them(captions: list[str | None]) -> None:
    names = [" ".join(phrase) for phrase in ASKED]
    with tempfile.TemporaryDirectory() as root:
        lists = standing(read_words(version_of(Path(root), captions)), ASKED)
    assert held(lists, names) == [set(phrases_in(caption, 4)) & set(names) for caption in captions]


def test_blocks_are_joined_where_captions_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.words.tokens.BLOCK", 2)
    monkeypatch.setattr(TermLists.blocks, "__defaults__", (2,))
    captions = ["a b c", "c a", "", "b a b c", "c"]
    version = version_of(tmp_path, captions)
    words = read_words(version)
    phrases = frequent_phrases(version, words, 1, 3)
    names = phrases.vocabulary.to_pylist()
    assert held(phrases.lists, names) == [set(phrases_in(caption, 3)) for caption in captions]
    np.testing.assert_array_equal(standing(words, [["c", "c"]]).lengths, 0)


def test_words_alone_leave_nothing_behind(tmp_path: Path) -> None:
    version = version_of(tmp_path, ["a b", "a b"])
    phrases = frequent_phrases(version, read_words(version), 1, 1)
    assert len(phrases.vocabulary) == 0 and phrases.lists.lengths.tolist() == [0, 0]
    assert not list((version.lake.home / "artifacts").glob("phrases-*"))


def test_a_long_caption_takes_time_in_proportion_to_its_length(tmp_path: Path) -> None:
    """A hundred kilobytes of the very words that are asked for."""

    def seconds(length: int) -> float:
        version = version_of(tmp_path / str(length), ["a b " * (length // 4), "a " * (length // 2), "b"])
        words, start = read_words(version), time.perf_counter()
        lists = standing(words, [["a", "b", "a"], ["b", "b"], ["a"] * 5])
        phrases = frequent_phrases(version, words, 1, 3)
        assert lists.lengths.tolist() == [1, 1, 0]
        assert set(phrases.vocabulary.to_pylist()) == {"a b", "b a", "a a", "a b a", "b a b", "a a a"}
        return time.perf_counter() - start

    short, long = seconds(10_000), seconds(100_000)
    assert long < 40 * short + 0.5
