import math
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from tasks.reporting.bias_plots import Mark, Row, change_axis, forest, key, odds_axis

changes = st.floats(-1.0, 50.0, allow_nan=False)
logarithms = st.floats(-9.0, 9.0) | st.sampled_from([math.inf, -math.inf])
KINDS = ("pool", "filter", "plain", "weighted")


def drawn(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{html}</div>")


def inside(html: str) -> bool:
    """Whether all that is drawn of estimates starts and ends within its drawing."""
    found = True
    for svg in drawn(html).iter("svg"):
        width = float(svg.attrib["viewBox"].split()[2])
        places = [
            float(one.attrib[name]) for one in svg.iter() for name in ("x1", "x2", "cx", "x") if name in one.attrib
        ]
        places += [float(one.attrib["d"][1:].split()[0]) for one in svg.iter("path")]
        found = found and all(0 <= x <= width for x in places)
    return found


@given(values=st.lists(st.tuples(changes, changes, changes) | st.just((None, None, None)), max_size=8))
def test_every_change_of_a_forest_lies_inside_the_drawing(values: list[tuple[float | None, ...]]) -> None:
    rows = [Row(f"term {i}", [Mark("filter", *(sorted(v) if v[0] is not None else v))]) for i, v in enumerate(values)]
    assert inside(forest(rows, change_axis(rows), "change"))


@given(values=st.lists(st.tuples(st.sampled_from(KINDS), logarithms, logarithms, logarithms), max_size=8))
def test_every_association_lies_inside_the_drawing(values: list[tuple[str, float, float, float]]) -> None:
    rows = [Row(f"group {i}", [Mark(kind, *sorted(v))], 0, "attribute") for i, (kind, *v) in enumerate(values)]
    assert inside(forest(rows, odds_axis(rows), "odds"))


def test_a_change_beyond_the_axis_is_an_arrow_with_its_value() -> None:
    rows = [Row("kiss", [Mark("plain", 21.11)]), Row("woman", [Mark("plain", -0.1)])]
    svg = forest(rows, change_axis(rows), "change")
    assert svg.count("<path") == 2  # on wide and on narrow screens
    assert svg.count("+2111.0%") == 2


def test_an_attribute_that_none_of_a_group_has_is_an_arrow_with_odds_of_0() -> None:
    rows = [Row("woman", [Mark("plain", -math.inf, -math.inf, -0.5)])]
    svg = forest(rows, odds_axis(rows), "odds")
    assert svg.count("<path") == 2  # on wide and on narrow screens
    assert svg.count(">×0<") == 2


def test_the_axis_of_odds_has_its_ticks_where_they_double() -> None:
    rows = [Row("woman", [Mark("pool", math.log(5), math.log(1.5), math.log(9))])]
    axis = odds_axis(rows)
    assert [axis.tick(tick) for tick in axis.ticks] == ["×1/2", "×1", "×2", "×4", "×8"]


@given(term=st.text(max_size=40).filter(lambda text: text.isprintable()))
def test_terms_of_any_kind_are_text(term: str) -> None:
    rows = [Row(term, [Mark("filter", 0.1)])]
    texts = [found.text for found in drawn(forest(rows, change_axis(rows), "change")).iter("text")]
    assert any((text or "")[:9] == term[:9] for text in texts)


def test_kinds_differ_in_shape_not_only_in_colour() -> None:
    shapes = set()
    for kind in KINDS:
        child = next(iter(drawn(key([(kind, "meaning")])).iter("svg")))[0]
        shapes.add((child.tag, child.attrib.get("r")))
    assert len(shapes) == len(KINDS)


def test_a_group_within_a_group_stands_further_right_and_its_full_name_is_kept() -> None:
    rows = [
        Row("culture", [Mark("filter", 0.1)]),
        Row("a very long name of a group that is cut", [Mark("filter", 0)], 1),
    ]
    wide = next(iter(drawn(forest(rows, change_axis(rows), "change")).iter("svg")))
    names = [found for found in wide.iter("text") if found.attrib["class"] == "label"]
    assert float(names[0].attrib["x"]) < float(names[1].attrib["x"])
    assert [found.text for found in names[1].iter("title")] == ["a very long name of a group that is cut"]
