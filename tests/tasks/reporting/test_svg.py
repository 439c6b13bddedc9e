import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from tasks.reporting.svg import cut, ticks


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-3, 1e6))
def test_ticks_are_few_round_numbers_within_the_span(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert len(found) <= 8
    assert all(low - span * 1e-6 <= tick <= low + span * (1 + 1e-6) for tick in found)
    assert found == sorted(set(found))


@given(name=st.text(max_size=40), most=st.integers(2, 30))
def test_a_cut_name_fits_and_a_short_one_is_whole(name: str, most: int) -> None:
    def width(text: str) -> int:
        return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)

    assert width(cut(name, most)) <= most
    if width(name) <= most:
        assert cut(name, most) == name
