"""What a round bought, what the next is expected to buy, and when to stop."""

from __future__ import annotations

from typing import Any

import numpy as np

from tasks.classifying.given import CERTIFICATION, SEED
from tasks.labelling.advice import Bought, another, bought, stop
from tasks.labels.label_log import Standing
from tasks.labels.rounds import Item, Round

YES = Standing(True, ("ada",), (), ())
NO = Standing(False, (), ("ada",), ())
UNSURE = Standing(None, (), (), ("ada",))


def asked(*items: tuple[str, str]) -> Round:
    return Round("knife", 1, "t", 1, "", None, "", tuple(Item(uid, arm, None) for uid, arm in items), None, (), {})


def history(*found: tuple[int, int]) -> list[Bought]:
    return [Bought(i, picked, picked, k, picked, k, {}) for i, (picked, k) in enumerate(found, 1)]


def models(*removed: int) -> list[dict[str, Any]]:
    return [{"removed": one} for one in removed]


def test_answers_are_counted_by_arm_and_what_certifies_or_tests_is_no_pick() -> None:
    items = [("a", "uncertain"), ("b", "uncertain"), ("c", "exploration"), ("d", CERTIFICATION), ("e", SEED)]
    found = bought(asked(*items), {"a": YES, "b": NO, "c": UNSURE, "d": YES, "e": YES})
    assert (found.asked, found.answered, found.positives) == (5, 5, 3)
    assert (found.picked, found.picked_positives) == (3, 1)
    assert found.by_arm["uncertain"] == (2, 2, 1) and found.by_arm[CERTIFICATION] == (1, 1, 1)


def test_without_a_labelled_round_nothing_is_foretold() -> None:
    assert "nothing can be said" in another([]) and "nothing can be said" in another(history((0, 0)))


def test_the_next_round_is_foretold_from_the_last_one_that_was_labelled_with_its_interval() -> None:
    text = another(history((100, 24), (0, 0)), 200)
    assert "Of the last 100 picks 24 were positive; as many again would find 48 of 200 (90% interval" in text
    assert text.endswith(".") and "buys little" not in text


def test_the_scores_of_what_is_picked_are_told_beside_it() -> None:
    assert "by the scores of those picked now 33 are expected" in another(history((100, 24)), 100, 33.2)


def test_a_round_that_found_nothing_among_many_is_said_to_buy_little() -> None:
    assert another(history((300, 0))).endswith("another round buys little.")


def test_the_interval_of_the_hit_rate_holds_the_rate_as_often_as_it_says() -> None:
    """90%: of 2,000 rounds at least 1,750 hold it, of which less has a chance below 10⁻⁶."""
    import re

    rng, held, rate, size = np.random.default_rng(0), 0, 0.12, 500
    for found in rng.binomial(size, rate, 2000):
        low, high = map(int, re.findall(r"interval (\d+) to (\d+)", another(history((size, int(found)))))[0])
        held += low - 0.5 <= rate * size <= high + 0.5
    assert held >= 1750


def test_stopping_is_advised_where_two_rounds_found_nothing_and_the_filter_hardly_moved() -> None:
    assert "time to certify" in (stop(history((100, 1), (100, 0)), models(200, 205)) or "")


def test_it_is_not_advised_while_positives_come_the_filter_moves_or_there_was_one_round() -> None:
    assert stop(history((100, 1), (100, 9)), models(200, 205)) is None
    assert stop(history((100, 1), (100, 0)), models(200, 260)) is None
    assert stop(history((100, 0)), models(200)) is None
    assert stop(history((100, 0), (0, 0)), models(200, 200)) is None
