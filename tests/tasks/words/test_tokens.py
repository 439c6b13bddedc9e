from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.lake import Version
from tasks.words import tokens
from tests.tasks.captioned import captioned, map_here

CAPTIONS = st.lists(st.none() | st.text("aéB' -漢", max_size=12), max_size=9)


def written(root: Path, captions: list[str | None]) -> tokens.Words:
    version = captioned(root, captions)
    tokens.write_tokens(version, map_here)
    return tokens.read_words(version)


def spelled(words: tokens.Words) -> list[list[str]]:
    """Each caption's words in order."""
    vocabulary, ends = words.vocabulary.to_pylist(), words.lists.ends
    names = [vocabulary[term if term >= 0 else ~term] for term in words.lists.terms.tolist()]
    return [names[start:end] for start, end in pairwise(ends)]


@settings(max_examples=15, deadline=None)
@given(CAPTIONS)
def test_all_parts_words_stand_in_order_under_one_vocabulary(captions: list[str | None]) -> None:
    expected = [tokens.tokenise(caption or "") for caption in captions]
    with tempfile.TemporaryDirectory() as root:
        words = written(Path(root), captions)
        assert spelled(words) == expected
        marked = [words.lists.terms[words.lists.ends[i] : words.lists.ends[i + 1]] < 0 for i in range(len(captions))]
    counts = {word: sum(word in caption for caption in expected) for caption in expected for word in caption}
    assert dict(zip(words.vocabulary.to_pylist(), words.captions.tolist(), strict=True)) == counts
    for caption, again in zip(expected, marked, strict=True):
        assert again.tolist() == [word in caption[:i] for i, word in enumerate(caption)]


def test_tokens_are_each_sample_s_words_once(tmp_path: Path) -> None:
    version = captioned(tmp_path, ["a b", "b", None, "c B c", ""])
    tokens.write_tokens(version, map_here)
    stored = tokens.read_tokens(version)
    words = stored.vocabulary.to_pylist()
    pairs = [(s, words[t]) for s, t in zip(stored.samples.tolist(), stored.terms.tolist(), strict=True)]
    assert sorted(pairs) == [(0, "a"), (0, "b"), (1, "b"), (3, "b"), (3, "c")]


def test_lists_are_the_same_read_in_blocks_and_gathered_in_any_order(tmp_path: Path) -> None:
    lists = written(tmp_path, ["a b", "", "b c a", None, "d"]).lists
    read = np.concatenate([lists.read(rows).terms for rows in lists.blocks(2)])
    np.testing.assert_array_equal(read, lists.terms)
    picked = lists.gather(np.array([4, 1, 0]))
    assert picked.lengths.tolist() == [1, 0, 2]
    np.testing.assert_array_equal(picked.terms, [lists.terms[-1], *lists.terms[:2]])


def test_only_missing_parts_are_cut(tmp_path: Path) -> None:
    version = captioned(tmp_path, ["a", "b", "c", "d", "e"])
    asked: list[Any] = []

    def counting(function: Any, items: Any) -> list[Any]:
        asked.append(len(items))
        return map_here(function, items)

    key = tokens.write_tokens(version, counting)
    files = sorted(version.lake.artifact_path("tokens", key).glob("*.parquet"))
    files[0].unlink()
    assert tokens.write_tokens(version, counting) == key
    tokens.write_tokens(version, counting)
    assert asked == [2, 1, 0]


def test_versions_that_share_parts_share_their_files_and_each_its_vocabulary(tmp_path: Path) -> None:
    version = captioned(tmp_path, ["a", "b", "c", "d", "e"])
    tokens.write_tokens(version, map_here)
    fewer = version.derive("filter", parts=version.parts[1:])

    def refuse(function: Any, items: Any) -> list[Any]:
        assert not items, "work that exists was done again"
        return []

    assert tokens.write_tokens(fewer, refuse) == tokens.key(version)
    assert spelled(tokens.read_words(version)) == [["a"], ["b"], ["c"], ["d"], ["e"]]
    assert spelled(tokens.read_words(fewer)) == [["d"], ["e"]]


def test_a_vocabulary_that_is_there_is_read_and_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version: Version = captioned(tmp_path, ["a b a"])
    tokens.write_tokens(version, map_here)
    first = tokens.read_words(version)
    monkeypatch.setattr(tokens, "part_terms", None)
    again = tokens.read_words(version)
    assert again.vocabulary.equals(first.vocabulary)
    np.testing.assert_array_equal(again.lists.terms, first.lists.terms)


def test_a_version_without_samples_has_no_tokens(tmp_path: Path) -> None:
    version = captioned(tmp_path, [])
    tokens.write_tokens(version, map_here)
    stored = tokens.read_tokens(version)
    assert len(stored.samples) == len(stored.terms) == len(stored.vocabulary) == 0
