"""The flow and the commands on a lake in an object store, from one machine and from another."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.serving.attended import awaits_shards
from tasks.errors import UsageError
from tasks.storing import copying, lease, objects
from tasks.storing.addresses import located
from tests.drawn_pool import draw_pool
from tests.flows.runs import curated, settings
from tests.flows.test_kill import plain, start
from tests.infra.shown_pages import everything, open_page
from tests.object_store import BUCKET, on_machine, serving, upload

LAKE = f"s3://{BUCKET}/lakes/team"


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool") / "shapes"
    draw_pool(folder, 120, shard_rows=40)
    return folder


@pytest.fixture(scope="module")
def made(pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a store with the lake that one machine made, and the version's digest."""
    with serving() as address, pytest.MonkeyPatch.context() as patch:
        on_machine(patch, address, tmp_path_factory.mktemp("first"))
        copying.forget_listings()
        yield address, curated(pool, Path(LAKE))["digest"]


@pytest.fixture
def _elsewhere(made: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on this process is another machine, which has nothing of the lake."""
    on_machine(monkeypatch, made[0], tmp_path / "cache")
    copying.forget_listings()


def run(*command: str) -> str:
    result = CliRunner().invoke(app, [*command, "--lake", LAKE], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_version_is_the_one_that_a_folder_would_have(made: tuple[str, str], pool: Path, tmp_path: Path) -> None:
    assert curated(pool, tmp_path / "lake")["digest"] == made[1]


def test_a_pool_in_the_store_makes_the_same_version_whether_the_lake_is_there_or_in_a_folder(
    made: tuple[str, str], pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = upload(made[0], pool, "pools/shapes")
    on_machine(monkeypatch, made[0], tmp_path / "cache")
    for lake in (f"s3://{BUCKET}/lakes/both", str(tmp_path / "lake")):
        outcome = curated(Path(address), Path(lake), settings(pool))
        assert (outcome["pool"], outcome["digest"]) == ("shapes", made[1])
        again = curated(Path(address), Path(lake), settings(pool))
        assert (again["status"], again["version"]) == ("nothing new", outcome["version"])
        out = tmp_path / Path(lake).name
        command = ["export", "latest", "--format", "webdataset", "--out", str(out), "--lake", lake]
        assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
        assert json.loads((out / "export.json").read_text())["samples"] == outcome["counts"]["kept"]
        with pytest.raises(UsageError, match=f"has a pool 'shapes' from {address}; this one is from {pool}"):
            curated(pool, Path(lake))
    assert "s3://" not in (tmp_path / "lake" / "shapes" / "versions" / "000001.json").read_text()
    assert not [path for path in (tmp_path / "cache").rglob("*.tar") if path.is_file()]


def test_a_lake_inside_its_pool_is_refused(made: tuple[str, str], pool: Path) -> None:
    address = upload(made[0], pool, "pools/outer")
    with pytest.raises(UsageError, match=f"the lake {address}/lake would lie inside the pool"):
        curated(Path(address), Path(f"{address}/lake"), settings(pool))


def test_a_schedule_waits_for_the_first_shard_of_a_pool_in_the_store(made: tuple[str, str], pool: Path) -> None:
    assert awaits_shards(f"s3://{BUCKET}/pools/later") and not awaits_shards(f"s3://{BUCKET}/pools/later/*.tar")
    address = upload(made[0], pool, "pools/later")
    assert not awaits_shards(address)


@pytest.mark.usefixtures("_elsewhere")
def test_another_machine_reads_versions_reasons_audits_and_exports(
    made: tuple[str, str], pool: Path, tmp_path: Path
) -> None:
    rows = json.loads(run("versions", "--json"))
    assert rows[-1]["digest"] == made[1] and rows[-1]["complete"]
    why = json.loads(run("why", f"{7:032x}", "--json"))
    assert why["uid"] == f"{7:032x}"
    assert "woman" in run("audit", "latest")
    run("export", "latest", "--out", str(tmp_path / "there"))
    curated(pool, tmp_path / "lake")
    folder = ["export", "latest", "--out", str(tmp_path / "here"), "--lake", str(tmp_path / "lake")]
    assert CliRunner().invoke(app, folder, catch_exceptions=False).exit_code == 0
    exported = [(tmp_path / place / "samples.parquet").read_bytes() for place in ("there", "here")]
    assert exported[0] == exported[1]


@pytest.mark.usefixtures("_elsewhere")
def test_a_rerun_on_another_machine_finds_nothing_new_and_fetches_no_column(made: tuple[str, str], pool: Path) -> None:
    outcome = curated(pool, Path(LAKE))
    assert (outcome["status"], outcome["digest"]) == ("nothing new", made[1])
    assert not list(located(LAKE).glob("*/columns/*/*"))


@pytest.mark.usefixtures("_elsewhere")
def test_another_machine_goes_on_where_the_first_stopped(made: tuple[str, str], pool: Path, tmp_path: Path) -> None:
    home = located(LAKE) / "shapes"
    last = f"versions/{max(int(name[:-5]) for name in objects.find(home / 'versions')):06d}.json"
    objects.remove(home / last)
    copying.forget_listings()
    outcome = curated(pool, Path(LAKE))
    assert (outcome["status"], outcome["digest"], outcome["parts_worked"]) == ("done", made[1], 0)


@pytest.mark.usefixtures("_elsewhere")
def test_what_needs_a_folder_is_refused_before_any_work() -> None:
    for command in (["label", "next", "redcross"], ["forget", "0" * 32]):
        with pytest.raises(UsageError, match=r"works on a lake in a folder"):
            CliRunner().invoke(app, [*command, "--lake", LAKE], catch_exceptions=False)


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize("page", ["overview", "samples", "duplicates"])
def test_another_machine_opens_the_dashboard(page: str) -> None:
    assert len(list(everything(open_page(page, located(LAKE)).main))) > 5


@pytest.mark.slow
def test_a_run_that_was_killed_is_finished_by_another_machine(
    made: tuple[str, str], pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Path(f"s3://{BUCKET}/lakes/killed")
    on_machine(monkeypatch, made[0], tmp_path / "killed")
    process = start(plain(pool, lake))
    home = located(lake) / "shapes"
    until = time.monotonic() + 120
    while not objects.find(home / "columns") and process.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL and objects.find(home / lease.FOLDER)

    on_machine(monkeypatch, made[0], tmp_path / "next")
    copying.forget_listings()
    monkeypatch.setattr(lease, "EXPIRED", 7.0)
    outcome = curated(pool, lake)
    assert outcome["digest"] == made[1] and "died; what it had finished is used" in outcome["said"]
    assert objects.find(located(lake) / "shapes" / lease.FOLDER) == {}
