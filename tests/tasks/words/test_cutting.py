from __future__ import annotations

import time

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.words import cutting
from tasks.words.cutting import has_phrase, token_lists, tokenise

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
    assert cutting._SHORT.findall(text) == cutting._WORD.findall(text)


def test_the_short_pattern_agrees_on_every_character_it_is_used_for() -> None:
    usual = [c for c in map(chr, range(0x10000)) if not "\ud800" <= c <= "\udfff" and not cutting._UNUSUAL.search(c)]
    assert len(usual) > 10_000
    assert [c for c in usual if bool(cutting._SHORT.match(c)) != bool(cutting._WORD.match(c))] == []


@given(st.lists(st.none() | CAPTIONS, max_size=8))
@example(["a'", "'b", "a'b", None, "x" * 5000, "é a A", " a  b ", "-", "Σ ΑΣ ΑΣ."])
def test_the_table_holds_each_caption_s_tokens_in_order(captions: list[str | None]) -> None:
    table = token_lists(pa.array([c.encode("utf-8", "replace").decode() if c else c for c in captions], pa.string()))
    assert table.schema == cutting.TOKENS
    assert table["tokens"].to_pylist() == [tokenise(caption or "") for caption in captions]


def test_a_slice_of_captions_is_cut_like_a_copy_of_it() -> None:
    captions = pa.array(["zero", "one two", "two", None, "four"])
    assert token_lists(captions.slice(1, 3)).equals(token_lists(pa.array(["one two", "two", None])))
    assert token_lists(pa.chunked_array([captions.slice(1, 1), captions.slice(2, 2)])).num_rows == 3


def test_a_caption_takes_time_in_proportion_to_its_length() -> None:
    """A hundred kilobytes in one caption, of spaces, of letters without any, of another script, of repeats."""

    def seconds(caption: str) -> float:
        start = time.perf_counter()
        token_lists(pa.array([caption]))
        return time.perf_counter() - start

    for text in ("a b' ", "abcde", "若い女 性", "don't "):
        seconds(text)
        short, long = (min(seconds(text * (length // len(text))) for _ in range(3)) for length in (10_000, 100_000))
        assert long < 40 * short + 0.05, text


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
