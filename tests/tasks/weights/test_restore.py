"""Which groups can have their share back, and the account of each that was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csc_array

from tasks.weights import restore
from tasks.weights.balance import Limits
from tasks.weights.features import Pool, Terms


def pool(kept: np.ndarray, share: np.ndarray | None = None) -> Pool:
    n = len(kept)
    return Pool(kept, np.ones(n, dtype=bool), np.arange(n), np.ones(n) if share is None else share)


def terms(**columns: np.ndarray) -> Terms:
    return Terms(tuple(columns), csc_array(np.array(list(columns.values()), dtype=np.float64).T))


def test_where_a_term_stands_is_counted_against_the_pool_with_near_duplicates_once() -> None:
    kept = np.array([True, False, True, False])
    stands = restore.standing(pool(kept, np.array([0.5, 0.5, 1.0, 1.0])), terms(fox=np.array([1, 0, 0, 1])))
    assert (stands.n_pool.tolist(), stands.n_kept.tolist()) == ([2], [1])
    assert stands.reference == pytest.approx([1.5 / 3])
    assert stands.kept_share == pytest.approx([1 / 1.5])
    assert stands.before == pytest.approx([0.5 / 0.5 - 1])


def test_a_term_needs_half_of_its_units_and_twenty_captions() -> None:
    kept = np.arange(200) % 2 == 0
    rows = np.arange(200)
    asked = terms(
        half=rows < 100, less=(rows < 100) & (~kept | (rows < 90)), few=rows < 38, enough=rows < 40, none=rows < 0
    )
    reasons = restore.reasons(restore.standing(pool(kept), asked))
    assert reasons[0] is None
    assert reasons[1] is not None and "47% of it was kept" in reasons[1]
    assert reasons[2] is not None and "19 captions are left" in reasons[2]
    assert reasons[3] is None
    assert reasons[4] == "no such term in any usable caption"


def test_effective_captions_fall_where_a_few_carry_the_weight() -> None:
    has = csc_array(np.array([[1.0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]))
    found = restore.effective_captions(has[:, [0]], np.array([1.0, 1.0, 4.0, 1.0, 1.0]))
    assert found == pytest.approx([36 / 18])
    assert restore.effective_captions(csc_array((5, 1)), np.ones(5)) == pytest.approx([0])


def test_a_word_in_the_captions_of_a_group_is_settled_with_it() -> None:
    rows = np.arange(100)
    words = terms(same=rows < 20, near=rows < 21, wider=rows < 30, other=rows > 60)
    usable = np.ones(100, dtype=bool)
    assert restore.companions_of(words, terms(group=rows < 20), usable).tolist() == [True, True, False, False]
    assert restore.companions_of(words, Terms((), csc_array((100, 0))), usable).tolist() == [False] * 4


def test_a_reason_names_what_was_wanted_and_the_nearest_that_can_be_met() -> None:
    reason = restore.out_of_reach(0.25, 0.2, Limits(cap=3, ess_floor=0.5))
    assert "25.0000% was wanted, 20.0000% is the nearest" in reason
    assert "at most 3, an effective sample of at least 50%" in reason


def test_the_account_lists_each_term_once_as_restored_or_with_its_reason() -> None:
    asked = terms(fox=np.array([1, 1, 0, 0]), owl=np.array([0, 0, 0, 0]))
    stands = restore.standing(pool(np.array([True, False, True, True])), asked)
    restored, lost = restore.rows(asked, stands, np.array([0.0, 0.0]), [None, "no such term"])
    assert [(row["term"], row["change_after"]) for row in restored] == [("fox", 0.0)]
    assert [(row["term"], row["reason"], row["change_before"]) for row in lost] == [("owl", "no such term", None)]
