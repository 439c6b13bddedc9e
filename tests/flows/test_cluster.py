"""Workers that are processes of their own, speak TLS, and share only the lake's storage; one is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import dask
import distributed  # noqa: F401  its defaults must be there before they are changed for a while
import pytest
import trustme

from flows import runtime as runtimes
from flows.runtime import Runtime
from tasks.errors import UsageError
from tasks.lake import find_pool
from tasks.storing import copying
from tests.drawn_pool import draw_pool
from tests.flows.runs import curated
from tests.flows.test_kill import REPOSITORY
from tests.object_store import BUCKET, environment, on_machine, serving

QUIET = {"DASK_LOGGING__DISTRIBUTED": "error"}


class Cluster(NamedTuple):
    address: str
    workers: list[subprocess.Popen[bytes]]


def certificates(folder: Path, not_after: datetime | None = None) -> dict[str, str]:
    """Dask's TLS settings, with certificates of an authority of their own for scheduler, workers and clients."""
    folder.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    settings = {"distributed.comm.tls.ca-file": str(folder / "ca.pem")}
    for role in ("scheduler", "worker", "client"):
        made = authority.issue_cert("127.0.0.1", not_after=not_after if role == "scheduler" else None)
        made.private_key_and_cert_chain_pem.write_to_path(folder / f"{role}.pem")
        settings |= {f"distributed.comm.tls.{role}.{what}": str(folder / f"{role}.pem") for what in ("cert", "key")}
    return settings


def told(settings: dict[str, str]) -> dict[str, str]:
    """The settings as a machine's environment."""
    names = {f"dask_{name}".upper().replace(".", "__").replace("-", "_"): path for name, path in settings.items()}
    return {**names, "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}


@contextmanager
def cluster(folder: Path, environments: list[Mapping[str, str]]) -> Iterator[Cluster]:
    """A scheduler, and a worker in each of these environments."""
    folder.mkdir()
    file = folder / "scheduler.json"
    where = ["--host", "127.0.0.1", "--scheduler-file", str(file), "--dashboard-address", "127.0.0.1:0"]
    processes = [start("scheduler", environments[0], *where, "--port", "0", "--protocol", "tls")]
    try:
        until = time.monotonic() + 60
        while not file.exists() and processes[0].poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        for number, one in enumerate(environments):
            local = ["--local-directory", str(folder / f"worker{number}"), "--nthreads", "1", "--no-nanny"]
            processes.append(start("worker", one, *where, *local))
        yield Cluster(json.loads(file.read_text())["address"], processes[1:])
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def start(what: str, told: Mapping[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *arguments]
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, **QUIET, **told},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kill_when(runtime: Runtime, parts: int, worker: subprocess.Popen[bytes]) -> threading.Thread:
    """Kill a worker as soon as so many parts are done."""

    def watch() -> None:
        while runtime.parts_done < parts:
            time.sleep(0.01)
        worker.kill()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    draw_pool(tmp_path / "shapes", 240, shard_rows=20)
    return tmp_path / "shapes"


@pytest.mark.slow
def test_a_worker_killed_in_a_cluster_with_tls_and_a_store_changes_nothing(
    pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = curated(pool, tmp_path / "lake")["digest"]
    settings = certificates(tmp_path / "tls")
    with serving() as store:
        machines = [{**told(settings), **environment(store, tmp_path / f"cache{n}")} for n in range(2)]
        on_machine(monkeypatch, store, tmp_path / "here")
        copying.forget_listings()
        lake = Path(f"s3://{BUCKET}/lakes/team")
        with (
            dask.config.set(settings),
            cluster(tmp_path / "dask", machines) as team,
            Runtime(team.address) as runtime,
        ):
            assert team.address.startswith("tls://127.0.0.1:")
            runtime._connect().wait_for_workers(2, timeout=60)
            killing = kill_when(runtime, 3, team.workers[0])
            outcome = curated(pool, lake, runtime=runtime)
            killing.join()
            assert team.workers[0].poll() is not None and team.workers[1].poll() is None
            assert outcome["digest"] == digest
            assert curated(pool, lake)["status"] == "nothing new"
        for cache in ("here", "cache0", "cache1"):
            assert list((tmp_path / cache).rglob("*.npy")), f"{cache} holds no embedding"
        assert find_pool(lake, None).version("latest").missing() == []


def test_a_certificate_that_expired_is_told_before_any_work(
    pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "CONNECT", "5s")
    settings = certificates(tmp_path / "tls", datetime(2020, 1, 1, tzinfo=UTC))
    with (
        dask.config.set(settings),
        cluster(tmp_path / "dask", [told(settings)]) as team,
        pytest.raises(UsageError, match="was refused: certificate has expired; renew it"),
    ):
        curated(pool, tmp_path / "lake", runtime=Runtime(team.address))


def test_an_address_with_tls_and_no_certificates_is_told_with_the_settings() -> None:
    with (
        Runtime("tls://127.0.0.1:1") as runtime,
        pytest.raises(UsageError, match="set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, "),
    ):
        runtime.map_parts(len, [""])
