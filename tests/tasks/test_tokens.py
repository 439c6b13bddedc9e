from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks import tokens
from tasks.tokens import has_phrase, token_table, tokenise
from tests.tasks.captioned import captioned, map_here

CAPTIONS = st.one_of(st.text(), st.text("aB1 '’-é\u0301漢สู", max_size=30), st.text("ab' \n.", max_size=20))


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A Woman, a DOG & 2 cats", ["a", "woman", "a", "dog", "2", "cats"]),
        ("cafe\u0301 naïve", ["café", "naïve"]),
        ("don't don’t rock'n'roll 'quoted' dogs' a''b", ["don't", "don't", "rock'n'roll", "quoted", "dogs", "a", "b"]),
        ("medium-dark_skin", ["medium", "dark", "skin"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("若い女性ABC", ["若", "い", "女", "性", "abc"]),
        ("スーパー สวัสดี", ["ス", "ー", "パ", "ー", "ส", "วั", "ส", "ดี"]),
        ("한국 여성 Ёлка", ["한국", "여성", "ёлка"]),
        ("", []),
        ("…!? 🙂", []),
        ("Maʼohi donʼt", ["ma'ohi", "don't"]),
    ],
)
def test_a_caption_becomes_its_words(caption: str, expected: list[str]) -> None:
    assert tokenise(caption) == expected


@given(CAPTIONS)
def test_tokens_are_made_of_tokens(caption: str) -> None:
    found = tokenise(caption)
    assert tokenise(" ".join(found)) == found


@given(st.text(st.characters(max_codepoint=0x2FF, exclude_characters="ʼ")))
@example("ªº²³¼ß_'_Ÿ’s")
def test_the_short_pattern_finds_the_words_of_the_full_one(text: str) -> None:
    assert tokens._SHORT.findall(text) == tokens._WORD.findall(text)


def test_the_short_pattern_agrees_on_every_character_it_is_used_for() -> None:
    usual = [c for c in map(chr, range(0x10000)) if not "\ud800" <= c <= "\udfff" and not tokens._UNUSUAL.search(c)]
    assert len(usual) > 10_000
    assert [c for c in usual if bool(tokens._SHORT.match(c)) != bool(tokens._WORD.match(c))] == []


@given(st.lists(st.none() | CAPTIONS, max_size=8))
@example(["a'", "'b", "a'b", None, "x" * 5000, "é a A"])
def test_the_table_holds_each_caption_s_distinct_tokens(captions: list[str | None]) -> None:
    table = token_table(pa.array([c.encode("utf-8", "replace").decode() if c else c for c in captions], pa.string()))
    expected = [(row, term) for row, caption in enumerate(captions) for term in set(tokenise(caption or ""))]
    found = list(zip(table["row"].to_pylist(), table["term"].to_pylist(), strict=True))
    assert table.schema == tokens.TOKENS
    assert found == sorted(found, key=lambda pair: pair[0])
    assert sorted(found) == sorted(expected)


def test_a_slice_of_captions_is_cut_like_a_copy_of_it() -> None:
    captions = pa.array(["zero", "one two", "two", None, "four"])
    assert token_table(captions.slice(1, 3)).equals(token_table(pa.array(["one two", "two", None])))
    assert token_table(pa.chunked_array([captions.slice(1, 1), captions.slice(2, 2)])).num_rows == 3


@pytest.mark.parametrize(
    ("caption", "phrase", "held"),
    [
        ("a medium-dark skin tone", "medium dark skin tone", True),
        ("dark medium skin tone", "medium dark", False),
        ("mediums dark", "medium dark", False),
        ("若い女性", "女 性", True),
        ("女の性", "女 性", False),
    ],
)
def test_a_phrase_is_tokens_side_by_side(caption: str, phrase: str, held: bool) -> None:
    assert has_phrase(caption, phrase) is held


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


def test_all_parts_tokens_stand_under_one_vocabulary(tmp_path: Path) -> None:
    version = captioned(tmp_path, ["a b", "b", None, "c B", ""])
    tokens.write_tokens(version, map_here)
    stored = tokens.read_tokens(version)
    words = stored.vocabulary.to_pylist()
    assert sorted(words) == ["a", "b", "c"]
    pairs = [(s, words[t]) for s, t in zip(stored.samples.tolist(), stored.terms.tolist(), strict=True)]
    assert sorted(pairs) == [(0, "a"), (0, "b"), (1, "b"), (3, "b"), (3, "c")]


def test_a_version_without_samples_has_no_tokens(tmp_path: Path) -> None:
    version = captioned(tmp_path, [])
    tokens.write_tokens(version, map_here)
    stored = tokens.read_tokens(version)
    assert len(stored.samples) == len(stored.terms) == len(stored.vocabulary) == 0
