"""Templates as parts of a page: escaped, drawings as pictures, no links to files that are not there."""

from __future__ import annotations

import base64
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa

from infra.dashboard.pages import figures
from tasks.queries import database
from tasks.reporting import bias_plots
from tests.infra.shown_pages import Html

ROWS = [bias_plots.Row('<script>"a" & b</script>', [bias_plots.Mark("filter", -0.5, -0.6, -0.4)])]


def drawn() -> str:
    return figures.as_pictures(bias_plots.forest(ROWS, bias_plots.change_axis(ROWS), "change & <more>"))


def test_a_drawing_becomes_one_picture_that_is_whole_and_well_formed() -> None:
    found = Html(drawn())
    assert found.tags == {"img"}
    (picture,) = found.pictures  # that for narrow screens is left out
    drawing = base64.b64decode(picture.partition(",")[2]).decode()
    root = ElementTree.fromstring(drawing)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert any("<script>" in (text.text or "") for text in root.iter("{http://www.w3.org/2000/svg}text"))
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))


def test_the_marks_of_a_key_become_pictures_too() -> None:
    assert len(Html(figures.as_pictures(bias_plots.key([("pool", "in the pool"), ("plain", "kept")]))).pictures) == 2


def test_links_to_files_beside_a_report_are_text() -> None:
    assert figures.as_pictures('<a href="words.csv"><code>words.csv</code></a>') == "<code>words.csv</code>"


def test_commands_stand_out_and_the_rest_is_escaped() -> None:
    assert figures.code("see `sluice <x>` & <b>") == "see <code>sluice &lt;x&gt;</code> &amp; &lt;b&gt;"


def test_a_dark_reader_sees_a_light_page_as_the_dashboard_is() -> None:
    assert "prefers-color-scheme" in (figures.REPORT / "report.css").read_text("utf-8")
    assert "prefers-color-scheme" not in figures._style()


def test_every_question_of_these_pages_says_its_grain() -> None:
    folder = Path(__file__).parents[2] / "sql" / "dashboard"
    asked = [path for name in ("filter", "bias", "duplicates") for path in folder.glob(f"{name}_*.sql")]
    assert len(asked) == 11
    assert all(path.read_text("utf-8").startswith("-- one row") for path in asked)


def test_associations_stand_side_by_side_and_are_searched_in_both_names() -> None:
    rows = [
        {"stage": stage, "group": group, "attribute": "Sexy", "group_samples": 3, "by_construction": False,
         "significant": group == "man" and stage == "kept", "log_odds_ratio_lower": low, "log_odds_ratio_upper": 2.0}
        for group, low in (("woman", 1.0), ("man", 0.5)) for stage in ("pool", "kept")
    ]  # fmt: skip
    with database({"associations": pa.Table.from_pylist(rows)}) as db:

        def groups(search: str, significant: bool) -> list[str]:
            asked = {"search": search, "significant": significant, "after": "kept", "rows": 9}
            found = db.run("dashboard", "bias_associations", **asked).to_pylist()
            assert all((row["before"]["stage"], row["last"]["stage"]) == ("pool", "kept") for row in found)
            return [row["before"]["group"] for row in found]

        assert groups("SEXY", False) == ["woman", "man"]
        assert groups("wo", False) == ["woman"]
        assert groups("", True) == ["man"]
