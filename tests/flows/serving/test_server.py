"""The flow under Prefect: what its UI shows of a run, and an embedded server that never outlives its run."""

from __future__ import annotations

import dataclasses
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import httpx
import psutil
import pytest

from flows.stages import STAGES
from tasks.errors import GateFailed, Unavailable, UsageError
from tests.drawn_pool import draw_pool
from tests.flows.runs import FILE

REPOSITORY = Path(__file__).parents[3]
NAMES = [stage.name for stage in STAGES]
HOLD = """
import time
from prefect.settings import PREFECT_API_URL
from flows.serving.server import embedded
with embedded():
    print(PREFECT_API_URL.value(), flush=True)
    time.sleep(600)
"""


@dataclasses.dataclass
class Seen:
    """What Prefect's server told of two runs while it was there, and its port."""

    port: int
    health: Any
    outcome: dict[str, Any]
    failure: str
    flow_runs: list[Any]  # the oldest first
    task_runs: dict[str, list[Any]]  # flow run's name → its task runs, in order
    artifacts: dict[str, list[Any]]  # flow run's name → its artifacts


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home for Prefect other than the user's, for this process and for those that it starts."""
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

    folder = tmp_path_factory.mktemp("prefect")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(folder))
        patch.delenv("PREFECT_API_URL", raising=False)
        ours = {PREFECT_HOME: folder, PREFECT_LOGGING_TO_API_ENABLED: False}  # logs are sent late, to nobody
        with temporary_settings(ours, restore_defaults={PREFECT_API_URL}):
            yield folder


@pytest.fixture(scope="module")
def seen(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """One run that ends well and one that a gate stops, under one embedded server."""
    from prefect.settings import PREFECT_API_URL

    from flows.curate import curate
    from flows.serving.server import embedded

    folder = tmp_path_factory.mktemp("runs")
    pool = folder / "shapes"
    draw_pool(pool, 120, shard_rows=60)
    (pool / "good.toml").write_text(FILE)
    (pool / "strict.toml").write_text(FILE.replace("max_filtered = 0.9", "max_filtered = 0.001"))
    with embedded():
        url = str(PREFECT_API_URL.value())
        with urlopen(f"{url}/health", timeout=10) as answer:
            health = answer.read()
        outcome = curate(str(pool), str(folder / "lake"), config=str(pool / "good.toml"), workers=1)
        with pytest.raises(GateFailed) as problem:
            curate(str(pool), str(folder / "lake"), config=str(pool / "strict.toml"), workers=1)
        told = asked_of_the_server()
    return Seen(int(url.split(":")[2].split("/")[0]), health, outcome, str(problem.value), *told)


def asked_of_the_server() -> tuple[list[Any], dict[str, list[Any]], dict[str, list[Any]]]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:
        runs = sorted(client.read_flow_runs(), key=lambda run: run.start_time)
        tasks, artifacts = {}, {}
        for run in runs:
            of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
            tasks[run.name] = sorted(client.read_task_runs(flow_run_filter=of_run), key=lambda task: task.start_time)
            mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
            artifacts[run.name] = client.read_artifacts(artifact_filter=mine)
    return runs, tasks, artifacts


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def closes(port: int, seconds: float) -> bool:
    """Whether nobody answers there within that time."""
    until = time.monotonic() + seconds
    while answers(port) and time.monotonic() < until:
        time.sleep(0.1)
    return not answers(port)


def test_the_embedded_server_answers_and_ends_with_the_block(seen: Seen) -> None:
    assert seen.health == b"true"
    assert not answers(seen.port)


def test_a_run_that_ends_well_is_completed_with_one_task_run_a_stage(seen: Seen) -> None:
    good = seen.flow_runs[0]
    assert seen.outcome["status"] == "done"
    assert good.state_name == "Completed"
    assert [task.name for task in seen.task_runs[good.name]] == NAMES
    assert {task.state_name for task in seen.task_runs[good.name]} == {"Completed"}


def test_each_stage_leaves_a_summary_and_the_parts_a_progress_artifact(seen: Seen) -> None:
    artifacts = seen.artifacts[seen.flow_runs[0].name]
    summaries = {artifact.key: artifact.data for artifact in artifacts if artifact.type == "markdown"}
    assert set(summaries) == {f"sluice-{name}" for name in [*NAMES, "run"]}
    for name in NAMES:
        assert summaries[f"sluice-{name}"].startswith(f"**{name}**: ") and "| yes |" in summaries[f"sluice-{name}"]
    assert f"version {seen.outcome['version']}" in summaries["sluice-run"]
    progress = {artifact.key: artifact for artifact in artifacts if artifact.type == "progress"}
    assert progress["sluice-ingest-progress"].data == 100
    assert "2 of 2 parts" in progress["sluice-ingest-progress"].description


def test_a_failing_gate_fails_the_flow_run_with_our_words(seen: Seen) -> None:
    strict = seen.flow_runs[1]
    assert strict.state_name == "Failed"
    assert "the gate after filter failed; no version was committed" in seen.failure
    assert seen.failure.splitlines()[0] in strict.state.message
    assert [(task.name, task.state_name) for task in seen.task_runs[strict.name]] == [
        ("ingest", "Completed"),
        ("filter", "Failed"),
    ]
    summaries = {artifact.key: artifact.data for artifact in seen.artifacts[strict.name]}
    assert "no version was committed" in summaries["sluice-filter"] and "| NO |" in summaries["sluice-filter"]
    assert "### Some of the samples" in summaries["sluice-filter"]


def test_the_embedded_server_dies_with_a_run_that_is_killed(home: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD], cwd=REPOSITORY, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        port = int(process.stdout.readline().decode().split(":")[2].split("/")[0])
        servers = psutil.Process(process.pid).children(recursive=True)
        assert servers and answers(port)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert closes(port, 15)
    assert not psutil.wait_procs(servers, timeout=15)[1]


def test_a_server_that_the_settings_name_is_used_and_nothing_begins_where_it_does_not_answer(home: Path) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.serving.server import embedded

    before = psutil.Process().children()
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}),
        pytest.raises(Unavailable, match=r"no Prefect server answers at PREFECT_API_URL, http://127\.0\.0\.1:1/api"),
        embedded(),
    ):
        pytest.fail("nothing may begin")
    assert psutil.Process().children() == before


def test_a_server_that_stops_answering_and_a_wrong_parameter_are_told_in_our_words(home: Path) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.curate import curate
    from flows.serving.server import _in_our_words

    with pytest.raises(UsageError, match="workers: Input should be greater than or equal to 1"), _in_our_words():
        curate.validate_parameters({"pool": "pool", "workers": 0})
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}),
        pytest.raises(Unavailable, match=r"stopped answering .* The lake is whole"),
        _in_our_words(),
    ):
        raise httpx.ConnectError("All connection attempts failed")
