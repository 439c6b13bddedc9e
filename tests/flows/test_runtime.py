"""Workers: results in order, failures with their cause, and nothing that listens beyond this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import psutil
import pytest

from flows import runtime as runtimes
from flows.runtime import DASK, Runtime, check_address, decoders, default_workers
from tasks.errors import PoolError, SluiceError, UsageError
from tasks.lake import find_pool
from tests.drawn_pool import draw_pool
from tests.flows.runs import curated

LISTENS = ("127.0.0.1", "::1")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster that was there before the run: one worker."""
    dask.config.set(DASK)
    from distributed import LocalCluster

    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=40
    ) as cluster:
        yield str(cluster.scheduler_address)


def later_first(item: tuple[int, int]) -> int:
    """Sleeps longer for the first items, so that they end last."""
    number, count = item
    time.sleep(0.02 * (count - number))
    return number * number


def refuse(item: int) -> int:
    if item == 2:
        raise PoolError(f"shard {item}: cannot be read; restore it")
    return item


def die(item: int) -> None:
    os._exit(item)


def wait(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def listening() -> set[str]:
    """Addresses on which this process or one that it started listens."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    sockets = [socket for process in processes for socket in process.net_connections(kind="inet")]
    return {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}


@pytest.mark.parametrize(
    "address",
    [
        "tcp://127.0.0.1:8786",
        "tcp://localhost:8786",
        "tcp://[::1]:8786",
        "tls://127.0.0.1:1",
        "tls://team.example:8786",
    ],
)
def test_loopback_and_tls_are_allowed(address: str) -> None:
    check_address(address)
    assert Runtime(address).address == address


@pytest.mark.parametrize("address", ["tcp://team.example:8786", "tcp://10.0.0.7:8786", "tcp://0.0.0.0:8786"])
def test_plain_tcp_beyond_this_machine_must_be_allowed(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLUICE_ALLOW_PLAIN_TCP", raising=False)
    with pytest.raises(UsageError, match=r"neither loopback nor TLS.*tls://, or set SLUICE_ALLOW_PLAIN_TCP=1"):
        check_address(address)
    monkeypatch.setenv("SLUICE_ALLOW_PLAIN_TCP", "yes")
    with pytest.raises(UsageError, match="neither loopback nor TLS"):
        Runtime(address)
    monkeypatch.setenv("SLUICE_ALLOW_PLAIN_TCP", "1")
    check_address(address)


@pytest.mark.parametrize(
    "address",
    ["", "garbage", "127.0.0.1:8786", "tcp://", "tcp://127.0.0.1", "tcp://:8786", "http://127.0.0.1:8786",
     "tcp://127.0.0.1:99999", "tcp://127.0.0.1:port", "tcp://[::1", "inproc://x:1"],
)  # fmt: skip
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match=r"--dask: an address such as .* was expected"):
        check_address(address)


def test_there_is_a_worker_and_a_decoder_at_least() -> None:
    assert default_workers() >= 1
    assert decoders(None) == 1 and decoders(10_000) == 1
    assert decoders(1) == len(os.sched_getaffinity(0))


def test_no_parts_need_no_cluster() -> None:
    with Runtime("tcp://127.0.0.1:1") as runtime:
        assert runtime.map_parts(wait, []) == []


def test_results_are_in_the_items_order_and_progress_is_told(address: str) -> None:
    told: list[tuple[int, int]] = []
    with Runtime(address) as runtime:
        runtime.on_progress = lambda done, total: told.append((done, total))
        items = [(number, 6) for number in range(6)]
        assert runtime.map_parts(later_first, items) == [number**2 for number in range(6)]
        assert told == [(done, 6) for done in range(7)]
        assert runtime.map_parts(wait, [0, 0.01]) == [0, 0.01]
        assert runtime.parts_done == 8


def test_a_parts_error_is_raised_with_its_message_and_the_workers_go_on(address: str) -> None:
    with Runtime(address) as runtime:
        with pytest.raises(PoolError, match="shard 2: cannot be read; restore it"):
            runtime.map_parts(refuse, range(5))
        assert runtime.map_parts(refuse, [0, 1]) == [0, 1]


def test_a_cluster_that_was_there_gives_the_digest_of_a_serial_run_and_stays(address: str, tmp_path: Path) -> None:
    draw_pool(tmp_path / "shapes", 120, shard_rows=40)
    outcome = curated(tmp_path / "shapes", tmp_path / "lake", runtime=Runtime(address))
    assert outcome["parts_worked"] >= 3
    assert outcome["digest"] == curated(tmp_path / "shapes", tmp_path / "serial")["digest"]
    assert find_pool(tmp_path / "lake", None).version("latest").rows == 120
    with Runtime(address) as runtime:
        assert runtime.map_parts(wait, [0]) == [0]


def test_a_local_cluster_listens_on_loopback_only_and_ends_with_the_run() -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with Runtime(workers=1) as runtime:
        assert runtime.map_parts(wait, [0]) == [0]
        found = listening()
        assert found and found <= set(LISTENS)
        started = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
        workers = [child for child in started if "resource_tracker" not in " ".join(child.cmdline())]
        assert workers
    gone, alive = psutil.wait_procs(workers, timeout=10)
    assert gone and not alive


def test_a_part_that_kills_its_workers_ends_the_run_with_the_cause() -> None:
    with (
        Runtime(workers=1) as runtime,
        pytest.raises(SluiceError, match=r"killed every worker that took it .* more memory than there is"),
    ):
        runtime.map_parts(die, [1])


def test_an_address_where_nobody_answers_is_told_in_reasonable_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "CONNECT", "2s")
    began = time.monotonic()
    with (
        Runtime("tcp://127.0.0.1:1") as runtime,
        pytest.raises(SluiceError, match=r"no Dask scheduler answered at tcp"),
    ):
        runtime.map_parts(wait, [0])
    assert time.monotonic() - began < 20


def test_a_cluster_without_workers_ends_the_run_with_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    monkeypatch.setattr(runtimes, "WORKERS", 1)
    options = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with (
        LocalCluster(n_workers=0, **options) as cluster,  # type: ignore[no-untyped-call]
        Runtime(cluster.scheduler_address) as runtime,
        pytest.raises(SluiceError, match="has had no worker for 1 s"),
    ):
        runtime.map_parts(wait, [0, 0])
