from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.lake import Version
from tasks.words.audit_pool import pool_of
from tasks.words.counting import UNIT, Counts, count_sets, count_terms
from tasks.words.tokens import tokenise, write_tokens
from tests.tasks.captioned import captioned, map_here

KEYWORDS = ("a", "A b", "b é", "nowhere", "漢字", "a nowhere", "don't")
WORDS = st.sampled_from(["a", "b", "é", "e\u0301", "don’t", "漢字", "字漢", "c", "…", "A"])
SAMPLES = st.lists(
    st.tuples(
        st.none() | st.lists(WORDS, max_size=5).map(" ".join),
        st.sampled_from(["kept", "kept", "filtered", "duplicate", "quarantined"]),
        st.sampled_from([0.25, 1.0, 3.5]),
        st.integers(0, 4),
    ),
    max_size=14,
)


def made(root: Path, samples: list[tuple[str | None, str, float, int]], weighted: bool) -> Version:
    weights = [weight if weighted and verdict == "kept" else None for _, verdict, weight, _ in samples]
    grouped = defaultdict(list)
    for place, (*_, group) in enumerate(samples):
        grouped[group].append(place)
    groups = [members for group, members in grouped.items() if group and len(members) > 1]
    return captioned(root, [s[0] for s in samples], [s[1] for s in samples], weights, groups)


def has_term(caption: str | None, term: list[str]) -> bool:
    words = tokenise(caption or "")
    return any(words[i : i + len(term)] == term for i in range(len(words) - len(term) + 1))


def oracle(samples: list[tuple[str | None, str, float, int]], term: list[str], weighted: bool) -> dict[str, Any]:
    """The counts of one term, in plain Python."""
    units = defaultdict(list)
    for place, (caption, verdict, weight, group) in enumerate(samples):
        if verdict != "quarantined":
            mass = weight if weighted and verdict == "kept" else 0
            units[("group", group) if group else ("alone", place)].append((has_term(caption, term), verdict, mass))
    holders = [[s for s in unit if s[0]] for unit in units.values()]
    held = [sample for unit in holders for sample in unit]
    return {
        "n_pool": len(held),
        "n_units": sum(map(bool, holders)),
        "reference": sum(len(h) / len(unit) for h, unit in zip(holders, units.values(), strict=True)),
        "n_after_filter": sum(verdict != "filtered" for _, verdict, _ in held),
        "n_kept": sum(verdict == "kept" for _, verdict, _ in held),
        "mass": sum(mass for *_, mass in held),
        "squares": sum(len(h) ** 2 for h in holders),
        "kept_squares": sum(sum(verdict == "kept" for _, verdict, _ in h) ** 2 for h in holders),
        "crossed": sum(len(h) * len(unit) for h, unit in zip(holders, units.values(), strict=True)),
        "n_words": len(term),
    }


def counted(version: Version, min_count: int = 1, longest: int = 1) -> Counts:
    write_tokens(version, map_here)
    return count_terms(version, KEYWORDS, min_count, longest)


def terms_in(caption: str | None, longest: int) -> set[str]:
    words = tokenise(caption or "")
    return {" ".join(words[i : i + n]) for n in range(1, longest + 1) for i in range(len(words) - n + 1)}


@settings(max_examples=25, deadline=None)
@given(SAMPLES, st.booleans(), st.integers(1, 3))
def test_every_term_is_counted_as_plain_python_counts_it(samples: list[Any], weighted: bool, longest: int) -> None:
    with tempfile.TemporaryDirectory() as root:
        found = counted(made(Path(root), samples, weighted), 1, longest)
    usable = [caption for caption, verdict, *_ in samples if verdict != "quarantined"]
    words = {word for caption in usable for word in terms_in(caption, 1)}
    keywords = {" ".join(tokenise(keyword)) for keyword in KEYWORDS}
    rows = {row["term"]: row for row in found.terms.to_pylist()}
    assert set(rows) == {term for caption in usable for term in terms_in(caption, longest)} | keywords
    assert {term for term, row in rows.items() if row["keyword"]} == keywords
    assert found.totals["words"] == len(words)
    assert found.totals["n_pool"] == len(usable)
    for term, row in rows.items():
        expected = oracle(samples, term.split(" "), weighted)
        assert row["reference"] / UNIT == pytest.approx(expected.pop("reference"), abs=1e-6)
        assert row["mass"] / UNIT == expected.pop("mass")
        assert {name: row[name] for name in expected} == expected


@settings(max_examples=8, deadline=None)
@given(SAMPLES, st.randoms(use_true_random=False))
def test_the_order_of_samples_changes_no_figure(samples: list[Any], random: Any) -> None:
    shuffled = random.sample(samples, len(samples))
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        first, second = counted(made(Path(one), samples, True)), counted(made(Path(other), shuffled, True))
    assert first.totals == second.totals
    assert first.terms.drop_columns("term_id").equals(second.terms.drop_columns("term_id"))
    if first.influence is not None and second.influence is not None:
        np.testing.assert_array_equal(first.influence.second, second.influence.second)


def test_rare_words_are_left_out_and_keywords_never_are(tmp_path: Path) -> None:
    version = captioned(tmp_path, ["a b", "a b", "b a a", "c"])
    found = counted(version, min_count=3).terms.select(["term", "n_pool"]).to_pydict()
    assert dict(zip(found["term"], found["n_pool"], strict=True)) == {
        **{"a": 3, "b": 3, "a b": 2},
        **{"b é": 0, "nowhere": 0, "漢 字": 0, "a nowhere": 0, "don't": 0},
    }


def test_a_phrase_is_frequent_by_captions_and_not_by_how_often_it_stands(tmp_path: Path) -> None:
    version = captioned(tmp_path, ["x y x y x y", "x y", "y"])
    write_tokens(version, map_here)
    found = {row["term"]: row["n_pool"] for row in count_terms(version, (), 2, 3).terms.to_pylist()}
    assert found == {"x": 2, "y": 3, "x y": 2}


@settings(max_examples=15, deadline=None)
@given(SAMPLES, st.booleans())
def test_sets_of_samples_are_counted_like_the_terms_that_they_are_of(samples: list[Any], weighted: bool) -> None:
    with tempfile.TemporaryDirectory() as root:
        version = made(Path(root), samples, weighted)
        terms = counted(version)
        names = terms.terms["term"].to_pylist()
        rows = [(i, names.index(term)) for i, (caption, *_) in enumerate(samples) for term in names
                if has_term(caption, term.split(" "))]  # fmt: skip
        table = pa.table({"sample": pa.array([row for row, _ in rows], pa.int32()),
                          "group": pa.array([group for _, group in rows], pa.int32())})  # fmt: skip
        sets = count_sets(names, table, pool_of(version))
    held = terms.terms.filter(pc.greater(terms.terms["n_pool"], 0)).drop_columns(["term_id", "keyword", "n_words"])
    known = sets.terms.filter(pc.greater(sets.terms["n_pool"], 0)).drop_columns(["term_id", "keyword"])
    assert known.equals(held)
    assert {**sets.totals, "words": 0} == {**terms.totals, "words": 0}
    if terms.influence is not None and sets.influence is not None:
        np.testing.assert_allclose(sets.influence.second, terms.influence.second, rtol=1e-12)
