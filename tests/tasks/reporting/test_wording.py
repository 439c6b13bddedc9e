import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.reporting.findings import Funnel
from tasks.reporting.wording import allowed, count, effect, figures, headline, plural, share, short, signed


def funnel(read: int, quarantined: int, filtered: int, duplicates: int) -> Funnel:
    kept = read - quarantined - filtered - duplicates
    return Funnel(read, quarantined, filtered, duplicates, kept, {}, 0, {})


def test_the_headline_names_only_what_happened() -> None:
    assert headline(funnel(0, 0, 0, 0)) == "The pool holds no sample."
    assert headline(funnel(1, 0, 0, 0)) == "1 of 1 sample kept: nothing was removed."
    assert headline(funnel(1200, 0, 200, 0)) == "1,000 of 1,200 samples kept: 200 filtered out."


@given(value=st.floats(0, 1))
def test_a_share_reads_nothing_or_all_only_where_it_is(value: float) -> None:
    assert (share(value) == "0%") == (value == 0)
    assert (share(value) == "100%") == (value == 1)


def test_unknown_figures_are_a_dash() -> None:
    assert {count(None), share(None), signed(None), figures(None)} == {"–"}


@pytest.mark.parametrize(("value", "text"), [(-0.1172, "−11.7%"), (0.5, "+50.0%"), (-0.0001, "0.0%"), (0.0, "0.0%")])
def test_a_change_has_its_sign_unless_it_is_none(value: float, text: str) -> None:
    assert signed(value) == text


def test_figures_keep_four_significant_digits() -> None:
    assert [figures(value) for value in (0.206934, 12345.6, -0.25, 3.0)] == ["0.2069", "12,346", "−0.25", "3"]


@given(text=st.text(), length=st.integers(2, 40))
def test_short_is_one_line_within_the_length(text: str, length: int) -> None:
    assert len(short(text, length)) <= length
    assert "\n" not in short(text, length)


def test_bounds_are_said_as_a_person_would() -> None:
    assert allowed({"low": 0, "high": 0}) == "0"
    assert allowed({"low": 1, "high": None}) == "at least 1"
    assert allowed({"low": None, "high": 0.5}) == "at most 0.5"
    assert allowed({"low": 0, "high": 0.2}) == "0 to 0.2"


def test_the_effect_is_told_of_the_first_two_words_before_and_after_weighting() -> None:
    rows = [{"label": name, "change_filter": -0.117, "change_weighted": 0.0} for name in ("woman", "man", "person")]
    assert (
        effect(rows, weighted=False)
        == "The filter changed how often captions say “woman” by −11.7% and “man” by −11.7%."
    )
    assert effect(rows, weighted=True) is not None and "the change is 0.0% and 0.0%" in str(effect(rows, weighted=True))
    assert effect([], weighted=True) is None


def test_numbers_agree_with_their_noun() -> None:
    assert [plural(n, "shard") for n in (0, 1, 2000)] == ["0 shards", "1 shard", "2,000 shards"]
