"""What a certificate says in words, what a round may spend, and the search for the fewest labels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.certifying.certificate import Goal, fewest, percent_down, percent_up, round_level
from tasks.certifying.certified_recall import LargePool, large_pool


def test_rounds_together_spend_no_more_than_what_was_promised() -> None:
    assert round_level(0.05, 1) == 0.025
    assert sum(round_level(0.05, j) for j in range(1, 60)) <= 0.05
    assert Goal(0.9, 0.95, 3).level == pytest.approx(0.05 / 8)
    with pytest.raises(ValueError, match="from 1"):
        round_level(0.05, 0)


def test_a_sentence_rounds_to_the_safe_side() -> None:
    assert (percent_down(0.94999), percent_down(0.95), percent_down(1.0)) == ("94.9%", "95.0%", "100.0%")
    assert (percent_up(0.000997), percent_up(0.0123), percent_up(0.5), percent_up(1.0)) == (
        "0.100%",
        "1.3%",
        "50%",
        "100%",
    )
    assert percent_up(0.0) == "0%" and percent_up(2.91e-8) == "0.0000030%"
    sentence = large_pool(LargePool(20_000, 980_000, 0.1, 3_000, 2_700, 280, 280, 0), Goal(0.9, 0.95, 2)).sentence()
    assert sentence == (
        "Certified: at least 92.0% of the positives are flagged, 90% was wanted. Of what is kept, at most 0.17% is "
        "positive once known positives are removed. Each holds with 98.75% confidence (round 2, large pool). Labels "
        "are taken at their word."
    )


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 60))
def test_the_fewest_that_is_enough_is_found_or_none(low: int, width: int, wanted: int) -> None:
    expected = next((n for n in range(low, low + width + 1) if n >= wanted), None)
    assert fewest(lambda n: n >= wanted, low, low + width) == expected
