"""The Prefect server of compose.yaml as it stands there, on a real Postgres: where Postgres is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml

from tests.drawn_pool import draw_pool
from tests.flows.runs import FILE
from tests.flows.serving.test_schedule import SLUICE, environment, free_port, until

INFRA = Path(__file__).parents[2] / "infra"
TOOLS = Path(sys.executable).parent
FOUND = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), *map(Path, os.get_exec_path())]
POSTGRES = next((folder for folder in FOUND if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)
USER = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []  # Postgres refuses to run as root
GIVEN = {"POSTGRES_PASSWORD": "5ec2e7", "PREFECT_AUTH": "sluice:5ec2e7", "SLUICE_NOTIFY_URL": "", "S3_ACCESS_KEY": "a"}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(POSTGRES is None, reason="no Postgres server is installed")]


class Started(NamedTuple):
    """A Prefect server on Postgres."""

    address: str
    service: dict[str, Any]  # of the compose file, its hosts and ports those of this machine
    client: dict[str, str]  # the environment of the compose file's `serve`


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an empty Postgres on loopback that asks for the password."""
    assert POSTGRES is not None
    home, port = tmp_path_factory.mktemp("postgres"), free_port()
    (home / "password").write_text(GIVEN["POSTGRES_PASSWORD"])
    _give_to_postgres(home)
    data = str(home / "data")
    init = ["-D", data, "-U", "prefect", "-A", "scram-sha-256", f"--pwfile={home / 'password'}"]
    subprocess.run([*USER, str(POSTGRES / "initdb"), *init], check=True, capture_output=True, cwd=home)
    control = [*USER, str(POSTGRES / "pg_ctl"), "-D", data, "-l", str(home / "log"), "-w"]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    subprocess.run([*control, "-o", options, "start"], check=True, stdout=subprocess.DEVNULL, cwd=home)
    try:
        # `template1` is there from the beginning; the image makes the database that POSTGRES_DB names by itself.
        yield port
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, stdout=subprocess.DEVNULL, cwd=home)


def _give_to_postgres(home: Path) -> None:
    """Let its own user into the folder, whose parents pytest keeps for this one."""
    if USER:
        shutil.chown(home, "postgres")
        shutil.chown(home / "password", "postgres")
        for folder in list(home.parents)[:2]:
            folder.chmod(folder.stat().st_mode | 0o011)


@pytest.fixture(scope="module")
def started(postgres: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    home, port = tmp_path_factory.mktemp("prefect"), free_port()
    text = (INFRA / "compose.yaml").read_text("utf-8")
    text = text.replace("@postgres:5432/prefect", f"@127.0.0.1:{postgres}/template1")
    text = text.replace("http://prefect:4200", f"http://127.0.0.1:{port}").replace("0.0.0.0", "127.0.0.1")
    text = re.sub(r"\$\{(\w+)[^}]*\}", lambda found: GIVEN.get(found[1], ""), text.replace("4200", str(port)))
    services = yaml.safe_load(text)["services"]
    service, client = services["prefect"], services["serve"]["environment"]
    client = {name: value for name, value in client.items() if name.startswith("PREFECT")}
    assert service["entrypoint"][0] == "prefect"
    with (home / "said").open("wb") as said:
        process = subprocess.Popen(
            [str(TOOLS / "prefect"), *service["entrypoint"][1:]],
            env=environment(home, **service["environment"]),
            stdout=said,
            stderr=said,
        )
        try:
            until(lambda: _healthy(service), process, said)
            yield Started(f"http://127.0.0.1:{port}/api", service, environment(home, **client))
        finally:
            process.terminate()
            process.wait(30)


def _healthy(service: dict[str, Any]) -> bool:
    """What Docker would find by the compose file's own health check."""
    kind, python, *rest = service["healthcheck"]["test"]
    assert (kind, python) == ("CMD", "python")
    return subprocess.run([sys.executable, *rest], capture_output=True, check=False).returncode == 0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    draw_pool(tmp_path / "shapes", 120, shard_rows=120)
    shutil.move(tmp_path / "shapes" / "labels.csv", tmp_path / "labels.csv")
    (tmp_path / "sluice.toml").write_text(FILE)
    return tmp_path


def _curate(home: Path, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [*SLUICE, "curate", "shapes", "--config", "sluice.toml", "--workers", "1"]
    return subprocess.run(command, cwd=home, env=settings, capture_output=True, text=True, check=False)


def _asked(started: Started, what: str) -> list[dict[str, Any]]:
    user, _, password = GIVEN["PREFECT_AUTH"].partition(":")
    answer = httpx.post(f"{started.address}/{what}/filter", json={}, auth=(user, password)).raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


def test_a_run_and_its_artifacts_are_kept_by_a_prefect_server_on_postgres(started: Started, home: Path) -> None:
    done = _curate(home, started.client)
    assert done.returncode == 0, done.stderr
    (run,) = _asked(started, "flow_runs")
    assert run["state_name"] == "Completed"
    keys = {one["key"] for one in _asked(started, "artifacts")}
    assert {"sluice-run", "sluice-ingest", "sluice-filter-progress", "sluice-publish"} <= keys
    assert not list(Path(started.client["PREFECT_HOME"]).glob("*.db")), "SQLite is in use"


@pytest.mark.parametrize("password", ["", "sluice:another"])
def test_a_server_that_asks_for_a_password_is_told_before_any_work(started: Started, home: Path, password: str) -> None:
    done = _curate(home, {**started.client, "PREFECT_API_AUTH_STRING": password})
    assert done.returncode == 2
    assert "set PREFECT_API_AUTH_STRING here" in " ".join(done.stderr.split())
    assert "another" not in done.stderr and not list(home.glob("lake/*/versions/*"))
