"""Overview, Samples, Compare and Lineage without a browser: what they find, what they hide, what they never run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tasks import references
from tasks.forgetting.forget import forget
from tasks.lake import Version, open_lake
from tasks.records import history
from tasks.reporting.thumbnail_cache import ThumbnailCache
from tests.infra.one_page import alone
from tests.infra.shown_lake import COUNT, FAILURE, record, shown_lake
from tests.infra.test_labelling_page import everything
from tests.tasks.queued import HOSTILE, uids_of

PAGES = ("Overview", "Samples", "Compare", "Lineage")
# What Streamlit reads as Markdown or HTML, and what shows text as text.
MARKUP = ("markdown", "html", "alert", "heading", "metric", "caption", "button", "expandable", "tab")

Open = Callable[..., AppTest]


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """A lake that no test changes."""
    return shown_lake(tmp_path_factory.mktemp("dashboard"))


@pytest.fixture
def start(version: Version, monkeypatch: pytest.MonkeyPatch) -> Open:
    return opener(version, monkeypatch)


def opener(version: Version, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens a page with what its address says."""
    monkeypatch.setattr(sys, "argv", ["server.py", str(version.lake.root), version.lake.pool])

    def start(name: str, **address: str) -> AppTest:
        app = alone("Dataset", name)
        for key, value in address.items():
            app.query_params[key] = value
        app.run()
        assert not app.exception
        return app

    return start


def texts(app: AppTest) -> list[str]:
    return [text.value for text in app.text]


def table(app: AppTest, column: str) -> list[Any]:
    """A column of the first table that has it."""
    return next(frame.value[column].tolist() for frame in app.dataframe if column in frame.value)


def pictures(app: AppTest) -> list[str]:
    return [uri for uri in table(app, "picture") if isinstance(uri, str)]


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("number", ["1", "2"])
def test_every_page_shows_every_version(name: str, number: str, start: Open) -> None:
    app = start(name, version=number)
    assert not app.error
    assert app.title[0].value == name


@pytest.mark.parametrize("name", PAGES)
def test_what_a_pool_s_maker_wrote_is_never_markup(name: str, start: Open) -> None:
    app = start(name)
    hostile = [text for text in (*HOSTILE, FAILURE) if len(text) > 3]
    for element in everything(app):
        if getattr(element, "type", None) in MARKUP:
            assert not any(text in str(element.proto) for text in hostile), element


def test_the_overview_tells_the_chosen_version_s_funnel_and_its_gates(version: Version, start: Open) -> None:
    counts = version.manifest["counts"]
    told = {metric.label.split(" · ")[0]: metric.value for metric in start("Overview").metric}
    assert told["samples read"] == str(COUNT)
    assert told["kept"] == str(counts["kept"]) and told["filtered"] == str(counts["filtered"])
    assert start("Overview", version="1").metric[1].value != told["kept"]
    assert "All 2 expectations were met." in texts(start("Overview"))


def test_the_overview_says_why_a_run_stopped(start: Open) -> None:
    app = start("Overview")
    assert table(app, "why it stopped") == [FAILURE, ""]
    assert table(app, "status") == ["failed", "done"]


def test_a_run_that_says_running_and_was_followed_by_another_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = shown_lake(tmp_path)
    record(version, "running", started_at="2026-01-01T00:00:00+00:00", ended_at=None)
    record(version, "running", started_at="2026-05-01T00:00:00+00:00", ended_at=None)
    (version.lake.home / "runs" / "torn.json").write_text("{")
    app = opener(version, monkeypatch)("Overview")
    assert table(app, "status") == ["running", "failed", "done", "interrupted"]
    assert any("torn.json is damaged" in text for text in texts(app))


@pytest.mark.parametrize(
    ("address", "condition"),
    [
        ({"caption": "CLOCK face"}, lambda row: "clock face" in row["caption"]),
        ({"verdict": "filtered"}, lambda row: row["verdict"] == "filtered"),
        ({"stage": "dedup"}, lambda row: row["stage"] == "dedup"),
        ({"reason": "near-duplicate"}, lambda row: row["reason"] == "near-duplicate"),
        ({"category": "romance", "score_from": "0.6"}, lambda row: row["score_romance"] >= 0.6),
        ({"weight_from": "0.5"}, lambda row: row["weight"] is not None),
        ({"shard": "00001"}, lambda row: row["shard"] == "00001.tar"),
        ({"uid": "000000003"}, lambda row: row["key"] == "000000003"),
        ({"side_from": "49"}, lambda row: row["width"] is not None and row["width"] >= 49),
    ],
)
def test_samples_are_found_by_what_is_known_of_them(
    address: dict[str, str], condition: Callable[[Any], bool], version: Version, start: Open
) -> None:
    from tasks.exporting.contract import contract

    rows = contract(version).to_pylist()
    wanted = [row["uid"] for row in rows if row["caption"] is not None and condition(row)]
    app = start("Samples", **address)
    assert texts(app)[0].startswith(f"{len(wanted)} of the {COUNT}" if wanted else "None of the")
    if wanted:
        assert table(app, "uid") == wanted[:20]


def test_samples_come_in_the_order_that_was_asked_for_and_page_by_page(version: Version, start: Open) -> None:
    app = start("Samples", category="romance", order="highest score")
    scores = table(app, "score")
    assert scores == sorted(scores, reverse=True) and len(scores) == 20
    app = start("Samples")
    assert table(app, "uid") == uids_of(version)[:20]
    (pages,) = app.get("pagination")
    app.session_state["page-" + pages.proto.id.rpartition("page-")[2]] = 2
    assert table(app.run(), "uid") == uids_of(version)[20:]


def test_pictures_are_blurred_until_they_are_asked_for(version: Version, start: Open) -> None:
    made = ThumbnailCache(version).get(range(20))
    sharp = {one.sharp for one in made.values() if one is not None}
    app = start("Samples")
    assert len(pictures(app)) == 20 and not sharp & set(pictures(app))
    (toggle,) = app.toggle
    assert set(pictures(toggle.set_value(True).run())) == sharp
    assert not sharp & set(pictures(toggle.set_value(False).run()))


def test_a_picture_whose_source_is_gone_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = shown_lake(tmp_path)
    (tmp_path / "pool").rename(tmp_path / "elsewhere")
    app = opener(version, monkeypatch)("Samples", why=uids_of(version)[0])
    assert pictures(app) == []
    assert any(text.startswith("No picture") for text in texts(app))


def test_one_sample_is_told_as_sluice_why_tells_it(version: Version, start: Open) -> None:
    uid = next(uid for uid in uids_of(version) if history.why(version, uid)["verdict"] == "duplicate")
    found = history.why(version, uid)
    app = start("Samples", why=uid)
    assert f"Version 2: {found['sentence']}." in texts(app)
    assert any(text.startswith(f"{found['duplicate']['of']} stands for it") for text in texts(app))
    assert table(app, "made by") == [step["made_by"] for step in reversed(found["history"])]
    unknown = texts(start("Samples", why="f" * 32))
    assert any("has no sample with the uid or key" in text for text in unknown)


def test_two_versions_are_compared_as_sluice_diff_compares_them(version: Version, start: Open) -> None:
    expected = history.diff(version.lake.version(1), version)
    app = start("Compare", before="1")
    assert table(app, "samples") == [move["samples"] for move in expected["moves"]]
    told = {metric.label: metric.value for metric in app.metric}
    assert told["unchanged"] == str(expected["samples"]["unchanged"])
    left = sum(m["samples"] for m in expected["moves"] if m["before"] == "kept" and m["after"] != "kept")
    assert told["left (kept before)"] == str(left) and told["came in (kept now)"] == "0"


def test_words_that_moved_need_two_audits_or_intervals(version: Version, start: Open) -> None:
    app = start("Compare", before="1", least="1")
    assert any("has no audit" in text for text in texts(app))
    (toggle,) = [toggle for toggle in app.toggle if "intervals" in toggle.label]
    app = toggle.set_value(True).run()
    assert not app.exception
    assert set(table(app, "significant")) <= {True, False} and "woman" in table(app, "term")


def test_one_version_alone_is_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = shown_lake(tmp_path)
    (version.lake.home / "versions" / "000001.json").unlink()
    app = opener(version, monkeypatch)("Compare")
    assert any(text.startswith("One version is all there is") for text in texts(app))


def test_the_lineage_tells_what_a_version_is_made_of(version: Version, start: Open) -> None:
    app = start("Lineage")
    facts = dict(zip(table(app, "fact"), table(app, "value"), strict=True))
    assert facts["digest"] == version.manifest["digest"] and facts["made from version"] == "1"
    assert "dedup.threshold" in table(app, "setting")
    assert table(app, "shard") == [part.path for part in version.parts]
    assert set(table(app, "missing")) == {0}


def test_a_version_that_is_not_there_leaves_the_choice_as_it_was(start: Open) -> None:
    assert start("Overview", version="77").selectbox[0].value == "latest"


def test_a_run_s_link_opens_its_version_and_not_one_of_another_pool(version: Version, start: Open) -> None:
    app = start("Overview", pool=version.lake.pool, version="1")
    assert app.selectbox[0].value == "1" and not app.error
    refused = start("Overview", pool="<b>other</b>", version="1")
    assert refused.error and not refused.metric and not refused.selectbox
    assert "'<b>other</b>'" in texts(refused)[-1]


def test_a_tag_is_a_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = shown_lake(tmp_path)
    references.append(version.lake.home, references.entry("gold", 1, 2), 0)
    app = opener(version, monkeypatch)("Lineage", version="gold")
    assert app.selectbox[0].options == ["latest", "gold", "2", "1"]
    assert app.subheader[0].value == "Version 1"


def test_a_pool_without_versions_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = open_lake(tmp_path / "lake", "small", "pool")
    monkeypatch.setattr(sys, "argv", ["server.py", str(lake.root)])
    app = alone("Dataset", "Overview").run()
    assert not app.exception and any("`sluice curate` makes one" in text for text in texts(app))


def test_a_file_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = shown_lake(tmp_path)
    path = version.column_path("decision", version.parts[0])
    path.unlink()
    app = opener(version, monkeypatch)("Samples")
    assert app.error[0].value == "This page cannot be shown:"
    assert any(str(path) in text for text in texts(app))


def test_what_was_forgotten_is_shown_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = shown_lake(tmp_path)
    start = opener(version, monkeypatch)
    uid = uids_of(version)[1]
    assert table(start("Samples"), "uid")[1] == uid and table(start("Samples"), "caption")[1]
    forget(version.lake, [uid])
    app = start("Samples", verdict="quarantined")
    assert uid not in table(app, "uid") and "forgotten" in table(app, "reason")
    assert table(start("Samples"), "caption")[1] == ""
    assert "deletion request" in " ".join(table(start("Lineage"), "fact"))
