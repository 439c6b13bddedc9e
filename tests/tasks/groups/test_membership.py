from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.groups.membership import MEMBERS, members, members_by_terms
from tasks.groups.term_groups import TermGroups, parse_groups
from tasks.lake import Version
from tasks.words.tokens import tokenise, write_tokens
from tests.tasks.captioned import captioned, map_here

WORDS = st.sampled_from(["a", "b", "B", "é", "e\u0301", "don’t", "漢字", "字漢", "c", "…", "tone", "skin", ""])
CAPTIONS = st.lists(st.none() | st.lists(WORDS, max_size=6).map(" ".join), max_size=12)
GROUPS = {
    "a": {"terms": ["A"]},
    "phrases": {"terms": ["a b", "b a", "a b a", "skin tone"]},
    "chars": {"terms": ["漢字", "漢", "don't a"]},
    "both": {"all": ["a", "phrases"]},
    "both deep": {"all": ["both", "é"], "without": ["chars"]},
    "é": {"terms": ["é"]},
    "own": {"terms": ["c", "tone"], "all": ["a"]},
    "but": {"terms": ["c", "b"], "without": ["a", "both"]},
    "path/plain/one": {"terms": ["skin"]},
    "path/plain": {"terms": ["tone", "nowhere"]},
    "path/mixed": {"all": ["é", "own"]},
    "path/mixed/two": {"terms": ["don't"], "without": ["é"]},
    "never": {"terms": ["nowhere", "a nowhere"]},
}


def has(words: list[str], term: str) -> bool:
    wanted = tokenise(term)
    return any(words[i : i + len(wanted)] == wanted for i in range(len(words)))


def is_in(caption: str | None, name: str, tables: dict[str, Any]) -> bool:
    """Whether a caption is in a group, in plain Python."""
    table = tables.get(name)
    below = {other[: other.index("/", len(name) + 1)] if "/" in other[len(name) + 1 :] else other
             for other in tables if other.startswith(f"{name}/")}  # fmt: skip
    if any(is_in(caption, other, tables) for other in below):
        return True
    if table is None:
        return False
    words = tokenise(caption or "")
    return (
        ("terms" not in table or any(has(words, term) for term in table["terms"]))
        and all(is_in(caption, other, tables) for other in table.get("all", []))
        and not any(is_in(caption, other, tables) for other in table.get("without", []))
    )


def written(root: Path, captions: list[str | None]) -> Version:
    version = captioned(root, captions)
    write_tokens(version, map_here)
    return version


def found(version: Version, groups: TermGroups) -> set[tuple[int, str]]:
    sets = members(version, groups)
    assert sets.table.schema == MEMBERS
    rows = list(zip(*sets.table.to_pydict().values(), strict=True))
    assert rows == sorted(set(rows))
    return {(sample, sets.names[group]) for sample, group in rows}


@settings(max_examples=20, deadline=None)
@given(CAPTIONS)
def test_samples_are_in_the_groups_that_plain_python_puts_them_in(captions: list[str | None]) -> None:
    groups = parse_groups({"groups": GROUPS}, "test")
    with tempfile.TemporaryDirectory() as root:
        rows = found(written(Path(root), captions), groups)
    names = [group.name for group in groups.groups]
    assert {"path", "path/plain"} <= set(names)
    assert rows == {(i, name) for i, text in enumerate(captions) for name in names if is_in(text, name, GROUPS)}


@pytest.mark.parametrize(
    ("caption", "names"),
    [
        ("Café noir", {"café"}),
        ("cafe noir", set()),
        ("dark dark skin tone skin tone", {"dark", "tone"}),
        ("dark, skin: tone", {"dark", "tone"}),
        ("skin tone dark", {"tone"}),
        ("a woman's hat", {"woman's"}),
        ("若い女性の写真", {"女"}),
        ("", set()),
        (None, set()),
        ("woman's " * 12_500, {"woman's"}),
    ],
)
def test_a_caption_counts_once_whatever_its_script_marks_repeats_or_length(
    tmp_path: Path, caption: str | None, names: set[str]
) -> None:
    terms = {
        "café": ["café"],
        "dark": ["dark skin tone"],
        "tone": ["skin tone"],
        "woman's": ["woman’s"],
        "女": ["女性"],
    }
    groups = parse_groups({"groups": {name: {"terms": value} for name, value in terms.items()}}, "test")
    assert found(written(tmp_path, [caption]), groups) == {(0, name) for name in names}


def test_sets_of_terms_keep_the_order_in_which_they_were_given(tmp_path: Path) -> None:
    sets = members_by_terms(written(tmp_path, ["a b", "b", "x"]), {"z": ("b",), "y": ("a", "a b")})
    assert sets.names == ("z", "y")
    np.testing.assert_array_equal(sets.table["group"].to_numpy(), [0, 1, 0])
    assert len(members_by_terms(written(tmp_path, ["a"]), {}).table) == 0
