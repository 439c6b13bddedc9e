"""Runs a function on many parts: on a Dask cluster of this machine, started when first needed, or on the team's own.

The only file that knows clusters. Stages get `map_parts` and know no more.
"""

from __future__ import annotations

import logging
import os
import signal
import ssl
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from tasks.errors import SluiceError, Unavailable, UsageError
from tasks.storing.copying import forget_listings
from tasks.storing.sending import packed

Progress = Callable[[int, int], None]  # parts done, parts in all

DASK = {
    "logging.distributed": "error",
    "distributed.scheduler.allowed-failures": 3,  # workers that one part may kill
    "distributed.scheduler.no-workers-timeout": "60s",  # else a cluster without workers waits for ever
    # What looks at the processes many times a second takes the workers' time: four seconds of a minute and a half.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.tick.limit": "30s",  # that an event loop may be late before it is said
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.worker.memory.monitor-interval": "1s",
    # Dask makes workers give memory back at once. A forward pass asks for the same large blocks again and again, and
    # then pays for fresh pages each time: up to twice the time of a stage.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
}
CONNECT = "20s"  # that a scheduler may take to answer
WORKERS = 60  # seconds until it has its first worker
TLS = "DASK_DISTRIBUTED__COMM__TLS__"  # what Dask's TLS settings begin with in the environment
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Runtime:
    """A Dask client for one run; a context manager.

    Without an address: a cluster on loopback, one worker a core (one a GPU where there are any), without a dashboard.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        if address is not None:
            check_address(address)
        self.address = address
        self.workers = workers
        self.on_progress: Progress = lambda done, total: None
        self.on_result: Callable[[Any], None] = lambda result: None  # as each part is done, before on_progress
        self.parts_done = 0
        self._client: Any = None
        self._cluster: Any = None

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A cluster takes a second to close, which the run need not wait for: its work is done.
        threading.Thread(target=self._close).start()

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
        if self._cluster is not None:
            for nanny in self._cluster.workers.values():  # they hold nothing that is not in the lake
                nanny.auto_restart = False
                if nanny.pid is not None:
                    os.kill(nanny.pid, signal.SIGKILL)
            self._cluster.close()

    def map_parts(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """The function's results in the items' order. SluiceError where a part killed its workers again and again."""
        items = list(items)
        if not items:
            return []
        import dask

        dask.config.set(DASK)  # before distributed is imported: it reads the logging then
        from distributed import CancelledError, KilledWorker, as_completed
        from distributed.scheduler import NoWorkerError

        client = self._connect()
        function, jobs = packed(function, items)
        futures = [client.submit(function, job, pure=False) for job in jobs]
        self.on_progress(0, len(items))
        try:
            for done, future in enumerate(as_completed(futures), 1):  # type: ignore[no-untyped-call]
                self.on_result(future.result())
                self.parts_done += 1
                self.on_progress(done, len(items))
        except KilledWorker as problem:
            raise SluiceError(
                f"a part killed every worker that took it ({problem}); most often it needs more memory than there is"
            ) from problem
        except (CancelledError, NoWorkerError) as problem:
            raise Unavailable(
                f"the Dask cluster stopped, or has no workers ({problem}); see to it, then run the same command again"
            ) from problem
        finally:
            forget_listings()
            if any(not future.done() for future in futures):
                client.cancel(futures)
        return [future.result() for future in futures]

    def map_here(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """The same on this machine alone, in threads beside a cluster: for work through files that no other sees."""
        if self.address is None:
            return self.map_parts(function, items)
        from tasks.duplicates.clustering import parallel

        return parallel(function, items)

    def _connect(self) -> Any:
        if self._client is None:
            from distributed import Client

            if self.address is not None:
                check_certificates(self.address)
            target = self.address or self._local_cluster()
            try:
                self._client = Client(target, timeout=CONNECT)  # type: ignore[no-untyped-call]
            except (OSError, TimeoutError) as problem:
                if refused := _refused(problem):
                    raise UsageError(
                        f"--dask: the certificate at {self.address}, or ours there, was refused: {refused}; renew it, "
                        f"set the clock of this machine or that one, or correct what {TLS}* names"
                    ) from problem
                raise Unavailable(
                    f"no Dask scheduler answered at {self.address} ({problem}); start one with `dask scheduler`, or "
                    "leave --dask out to use this machine"
                ) from problem
            self._expect_workers()
        return self._client

    def _expect_workers(self) -> None:
        """SluiceError where the scheduler has no worker: it would wait for one for ever."""
        try:
            self._client.wait_for_workers(1, timeout=WORKERS)
        except TimeoutError:
            raise Unavailable(
                f"the Dask scheduler at {self.address} has had no worker for {WORKERS} s; start some with "
                "`dask worker`, or leave --dask out to use this machine"
            ) from None

    def _local_cluster(self) -> Any:
        from distributed import LocalCluster

        self._cluster = LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=self.workers or default_workers(),
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # the default, and None, listen on every interface
            silence_logs=logging.CRITICAL,  # what fails in a worker is told once, by the run
        )
        return self._cluster


def default_workers() -> int:
    """One a GPU where there are any, else one a core that this process may use."""
    import torch

    return int(torch.cuda.device_count()) or len(os.sched_getaffinity(0))


def decoders(workers: int | None) -> int:
    """Decoding threads beside one worker's forward pass."""
    return max(1, len(os.sched_getaffinity(0)) // (workers or len(os.sched_getaffinity(0))))


def check_address(address: str) -> None:
    """UsageError for an address that would carry code in the clear beyond this machine."""
    try:
        parts = urlsplit(address)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:  # half an IPv6 address, a port that is no number
        scheme, host, port = "", None, None
    if scheme not in ("tcp", "tls") or not host or not port:
        raise UsageError(
            f"--dask: an address such as tcp://127.0.0.1:8786 or tls://host:8786 was expected, not {address!r}"
        )
    if scheme == "tcp" and host not in LOOPBACK and os.environ.get("SLUICE_ALLOW_PLAIN_TCP") != "1":
        raise UsageError(
            f"--dask: {address} is neither loopback nor TLS, and whoever reaches a scheduler can run code on it; use "
            "tls://, or set SLUICE_ALLOW_PLAIN_TCP=1 on a network that you trust"
        )


def check_certificates(address: str) -> None:
    """UsageError for an address with TLS where Dask was not told of the certificates."""
    import dask
    import distributed  # noqa: F401  it brings the settings' defaults

    names = ("ca-file", "client.cert", "client.key")
    absent = [name for name in names if not dask.config.get(f"distributed.comm.tls.{name}", None)]
    if address.startswith("tls:") and absent:
        wanted = ", ".join(TLS + name.upper().replace(".", "__").replace("-", "_") for name in absent)
        raise UsageError(f"--dask: {address} speaks TLS, which needs certificates; set {wanted} to their files")


def _refused(problem: BaseException | None) -> str | None:
    """What TLS found wrong with a certificate, among the causes of an exception."""
    while problem is not None:
        if isinstance(problem, ssl.SSLError):
            return getattr(problem, "verify_message", None) or problem.reason or str(problem)
        problem = problem.__cause__ or problem.__context__
    return None
