from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.reporting.plots import Limit, Step, funnel, histogram, recall_curve
from tasks.reporting.svg import WIDTH


def numbers(svg: str, tag: str, name: str) -> list[float]:
    return [float(found.attrib[name]) for found in ElementTree.fromstring(svg).iter(tag) if name in found.attrib]


@given(counts=st.lists(st.integers(0, 10**7), min_size=1, max_size=60), log=st.booleans())
def test_no_bar_of_a_histogram_leaves_the_drawing(counts: list[int], log: bool) -> None:
    edges = [i / len(counts) for i in range(len(counts) + 1)]
    svg = histogram(counts, edges, Limit("threshold", 0.3, "filtered"), "score", log=log)
    assert len(numbers(svg, "rect", "height")) == len(counts)
    assert all(0 <= height <= 200 for height in numbers(svg, "rect", "height"))


@pytest.mark.parametrize(
    "steps", [[], [Step("read", 0, 0, "")], [Step("read", 10, 0, ""), Step("kept", 4, 6, "filtered")]]
)
def test_a_funnel_of_any_size_is_drawn(steps: list[Step]) -> None:
    svg = funnel(steps)
    assert len(numbers(svg, "rect", "width")) == 2 * len(steps)
    assert all(0 <= width <= WIDTH for width in numbers(svg, "rect", "width"))


@given(points=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)), max_size=30), now=st.floats(0, 1))
def test_a_recall_curve_stays_inside_the_drawing(points: list[tuple[float, float, float]], now: float) -> None:
    rows = [{"share": share, "recall_estimate": a, "recall_lower": b} for share, a, b in sorted(points)]
    svg = recall_curve(rows, now, "share removed")
    lines = [found.attrib["points"].split() for found in ElementTree.fromstring(svg).iter("polyline")]
    assert [len(line) for line in lines] == [len(points)] * 2
    for x, y in (pair.split(",") for line in lines for pair in line):
        assert 0 <= float(x) <= WIDTH and 0 <= float(y) <= 290
