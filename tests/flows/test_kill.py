"""kill -9 at random moments: the next run finishes the lake, with the version that an undisturbed run makes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.lake import find_pool
from tests.drawn_pool import draw_pool
from tests.flows.runs import FILE

REPOSITORY = Path(__file__).parent.parent.parent


def plain(pool: Path, lake: Path) -> list[str]:
    return [sys.executable, "-m", "tests.flows.plain_run", str(pool), str(lake)]


def with_prefect(pool: Path, lake: Path) -> list[str]:
    command = [sys.executable, "-m", "flows.cli", "curate", str(pool), "--lake", str(lake)]
    return [*command, "--config", str(pool / "sluice.toml"), "--json"]


def start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def finish(command: list[str]) -> None:
    process = start(command)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err.decode()[-3000:] + out.decode()[-1000:]


def check(lake: Path, digest: str) -> None:
    """The lake is whole: the same digest, one verdict a sample in every version, nothing left aside."""
    home = find_pool(lake, None)
    assert home.version("latest").manifest["digest"] == digest
    for version in home.versions():
        assert not version.missing()
        assert sum(version.manifest["counts"].values()) == version.rows
        assert None not in version.table("decision", ["verdict"])["verdict"].to_pylist()
    assert not list(home.home.rglob(".tmp-*"))
    assert all(json.loads(path.read_text()) for path in (home.home / "runs").glob("*.json"))


def killed_then_finished(make: object, kills: int, seed: int, tmp_path: Path) -> None:
    pool = tmp_path / "shapes"
    draw_pool(pool, 600, shard_rows=100)
    (pool / "sluice.toml").write_text(FILE)
    began = time.monotonic()
    finish(make(pool, tmp_path / "undisturbed"))  # type: ignore[operator]
    seconds = time.monotonic() - began
    digest = find_pool(tmp_path / "undisturbed", None).version("latest").manifest["digest"]
    moments = random.Random(seed)
    for kill in range(kills):
        lake = tmp_path / f"lake{kill}"
        process = start(make(pool, lake))  # type: ignore[operator]
        time.sleep(moments.uniform(0.2, 1.0) * seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        finish(make(pool, lake))  # type: ignore[operator]
        check(lake, digest)


def test_a_run_killed_at_random_moments_is_finished_by_the_next(tmp_path: Path) -> None:
    killed_then_finished(plain, 3, 1, tmp_path)


@pytest.mark.slow
def test_twenty_kills_under_prefect_change_nothing(tmp_path: Path) -> None:
    killed_then_finished(with_prefect, 20, 2, tmp_path)


def test_an_interrupted_run_says_that_the_lake_is_whole(tmp_path: Path) -> None:
    pool, lake = tmp_path / "shapes", tmp_path / "lake"
    draw_pool(pool, 3000, shard_rows=500)
    (pool / "sluice.toml").write_text(FILE)
    process = start(with_prefect(pool, lake))
    while process.poll() is None and not list(lake.glob("*/runs/*.json")):
        time.sleep(0.1)
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    # A shell shows 130 for both: Python dies of the signal if that came while a library evaluated text (a namedtuple).
    assert process.returncode in (130, -signal.SIGINT), err.decode()[-2000:]
    assert b"the lake is whole" in err
    (record,) = lake.glob("*/runs/*.json")
    assert json.loads(record.read_text())["status"] == "interrupted"
