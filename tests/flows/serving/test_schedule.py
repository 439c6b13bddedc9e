"""What a team relies on at night: shards become versions by themselves, and a Prefect server may die in between."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
import yaml

from tasks.lake import find_pool
from tests.drawn_pool import draw_pool
from tests.flows.runs import FILE
from tests.flows.test_kill import check

REPOSITORY = Path(__file__).parents[3]
SLUICE = [sys.executable, "-m", "flows.cli"]
PATIENCE = 240.0  # seconds, on a busy machine


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two shards that have not arrived yet, an empty pool, and the file of deployments."""
    draw_pool(tmp_path / "coming", 240, shard_rows=120)
    (tmp_path / "shapes").mkdir()
    for name in ("labels.csv",):
        shutil.copy(tmp_path / "coming" / name, tmp_path / name)
    (tmp_path / "sluice.toml").write_text(FILE)
    return tmp_path


def environment(home: Path, **settings: str) -> dict[str, str]:
    """A Prefect home other than the user's, and a server that looks often."""
    left = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    often = {"PREFECT_RUNNER_POLL_FREQUENCY": "2", "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5"}
    return {**left, **often, "PREFECT_HOME": str(home / "prefect"), "PYTHONPATH": python_path(), **settings}


def python_path() -> str:
    return os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(happened: Callable[[], bool], process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert process.poll() is None and time.monotonic() < end, Path(said.name).read_text()[-3000:]
        time.sleep(0.5)


def kept(lake: Path) -> int:
    """Samples of the latest complete version; 0 before there is one."""
    if not list(lake.glob("*/versions/*.json")):
        return 0
    latest = find_pool(lake, None).latest()
    return latest.rows if latest is not None else 0


def arrive(home: Path, shard: str) -> None:
    shutil.copy(home / "coming" / shard, home / "shapes" / ".arriving")
    (home / "shapes" / ".arriving").rename(home / "shapes" / shard)


@pytest.fixture
def serving(home: Path) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """`sluice serve` with a run every few seconds, and a server of its own."""
    one = {
        "name": "often",
        "entrypoint": "flows/curate.py:curate",
        "parameters": {"pool": "shapes", "lake": "lake", "config": "sluice.toml", "workers": 1},
        "schedules": [{"interval": 6}],
        "concurrency_limit": {"limit": 1, "collision_strategy": "CANCEL_NEW"},
    }
    (home / "prefect.yaml").write_text(yaml.safe_dump({"deployments": [one]}))
    command = [*SLUICE, "serve", "--config", "prefect.yaml", "--port", str(free_port())]
    with (home / "said").open("wb") as said:
        process = subprocess.Popen(command, cwd=home, env=environment(home), stdout=said, stderr=said)
        yield process, said
        process.kill()


@pytest.mark.slow
def test_a_shard_that_is_dropped_into_a_scheduled_folder_becomes_a_version_by_itself(
    home: Path, serving: tuple[subprocess.Popen[bytes], IO[bytes]]
) -> None:
    process, said = serving
    until(lambda: b"no shard has arrived" in (home / "said").read_bytes(), process, said)
    arrive(home, "00000.tar")
    until(lambda: kept(home / "lake") == 120, process, said)
    arrive(home, "00001.tar")
    until(lambda: kept(home / "lake") == 240, process, said)
    latest = find_pool(home / "lake", None).version("latest")
    until(lambda: b"nothing new" in (home / "said").read_bytes(), process, said)
    assert find_pool(home / "lake", None).version("latest").number == latest.number
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    check(home / "lake", latest.manifest["digest"])


@pytest.mark.slow
def test_a_server_that_is_killed_in_mid_run_takes_nothing_from_the_lake(home: Path) -> None:
    for shard in ("00000.tar", "00001.tar"):
        arrive(home, shard)
    port = free_port()
    settings = environment(home, PREFECT_API_URL=f"http://127.0.0.1:{port}/api", PREFECT_CLIENT_MAX_RETRIES="1")
    server = [sys.executable, "-m", "flows.serving.server", str(port)]
    curate = [*SLUICE, "curate", "shapes", "--config", "sluice.toml", "--workers", "1"]
    with (home / "said").open("wb") as said:
        prefect = subprocess.Popen(server, env=environment(home), stdin=subprocess.PIPE, stdout=said, stderr=said)
        until(lambda: answers(port), prefect, said)
        run = subprocess.Popen(curate, cwd=home, env=settings, stdout=said, stderr=said)
        until(lambda: bool(list((home / "lake").glob("*/versions/*.json"))), run, said)
        prefect.kill()
        prefect.communicate()
        assert run.wait(PATIENCE) == 1
    told = (home / "said").read_text()
    assert "does not answer" in told and "the run goes on" in told
    assert "Prefect's server stopped answering" in told and "The lake is whole" in " ".join(told.split())
    done = find_pool(home / "lake", None).version("latest")
    check(home / "lake", done.manifest["digest"])
    again = subprocess.run([*curate, "--json"], cwd=home, env=environment(home), capture_output=True, check=True)
    assert b'"status": "nothing new"' in again.stdout


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
