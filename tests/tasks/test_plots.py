from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.plots import WIDTH, Mark, Step, forest, funnel, histogram, recall_curve, ticks

finite = st.floats(-1.0, 50.0, allow_nan=False)


def numbers(svg: str, tag: str, name: str) -> list[float]:
    return [float(found.attrib[name]) for found in ElementTree.fromstring(svg).iter(tag) if name in found.attrib]


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-3, 1e6))
def test_ticks_are_few_round_numbers_within_the_span(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert len(found) <= 8
    assert all(low - span * 1e-6 <= tick <= low + span * (1 + 1e-6) for tick in found)
    assert found == sorted(set(found))


@given(counts=st.lists(st.integers(0, 10**7), min_size=1, max_size=60), log=st.booleans())
def test_no_bar_of_a_histogram_leaves_the_drawing(counts: list[int], log: bool) -> None:
    edges = [i / len(counts) for i in range(len(counts) + 1)]
    svg = histogram(counts, edges, 0.3, "score", log=log)
    assert len(numbers(svg, "rect", "height")) == len(counts)
    assert all(0 <= height <= 200 for height in numbers(svg, "rect", "height"))


@given(values=st.lists(st.tuples(finite, finite, finite) | st.just((None, None, None)), max_size=8))
def test_every_estimate_of_a_forest_lies_inside_the_drawing(values: list[tuple[float | None, ...]]) -> None:
    rows = [(f"term {i}", [Mark("filter", *sorted(v) if v[0] is not None else v)]) for i, v in enumerate(values)]
    svg = forest(rows, "change")
    for name in ("x1", "x2"):
        assert all(0 <= x <= WIDTH for x in numbers(svg, "line", name))
    assert all(0 <= x <= WIDTH for x in numbers(svg, "circle", "cx"))


def test_a_change_beyond_the_axis_is_an_arrow_with_its_value() -> None:
    svg = forest([("kiss", [Mark("plain", 21.11)]), ("woman", [Mark("plain", -0.1)])], "change")
    assert svg.count("<path") == 1
    assert "+2111.0%" in svg


@pytest.mark.parametrize(
    "steps", [[], [Step("read", 0, 0, "")], [Step("read", 10, 0, ""), Step("kept", 4, 6, "filtered")]]
)
def test_a_funnel_of_any_size_is_drawn(steps: list[Step]) -> None:
    svg = funnel(steps)
    assert len(numbers(svg, "rect", "width")) == 2 * len(steps)
    assert all(0 <= width <= WIDTH for width in numbers(svg, "rect", "width"))


@given(term=st.text(max_size=40).filter(lambda text: text.isprintable()))
def test_terms_of_any_kind_are_text(term: str) -> None:
    svg = forest([(term, [Mark("filter", 0.1)])], "change")
    texts = [found.text for found in ElementTree.fromstring(svg).iter("text")]
    assert any((text or "")[:21] == term[:21] for text in texts)


@given(points=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), max_size=30), now=st.floats(0, 1))
def test_a_recall_curve_stays_inside_the_drawing(points: list[tuple[float, float, float]], now: float) -> None:
    rows = [{"share": share, "recall_estimate": a, "recall_lower": b} for share, a, b in sorted(points)]
    svg = recall_curve(rows, now, "share removed")
    lines = [found.attrib["points"].split() for found in ElementTree.fromstring(svg).iter("polyline")]
    assert [len(line) for line in lines] == [len(points)] * 2
    for x, y in (pair.split(",") for line in lines for pair in line):
        assert 0 <= float(x) <= WIDTH and 0 <= float(y) <= 290
