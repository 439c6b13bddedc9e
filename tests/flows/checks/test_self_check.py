"""The self-check: nothing of ours is open to others, no secret can be read, no library tells its maker anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.checks.secrets import hidden, refuse_arguments, without_secrets
from flows.checks.self_check import check, check_writable
from flows.checks.telemetry import OFF
from flows.config import read_config
from flows.curate import Run, curate, stage_task
from flows.runtime import Runtime
from flows.serving.dashboard import command
from flows.serving.listening import Listen
from flows.stages import STAGES
from tasks.errors import ConfigError, LakeError, LakeHeld, SluiceError, Unavailable, UsageError
from tests.drawn_pool import draw_pool
from tests.flows.runs import Serial, curated

SECRET = "correct-horse-battery-staple"
SECRETS = {
    "PREFECT_API_AUTH_STRING": f"admin:{SECRET}", "AWS_SECRET_ACCESS_KEY": SECRET, "OPENLINEAGE_API_KEY": SECRET,
    "SLUICE_DASHBOARD_TOKEN": f"{SECRET}-{SECRET}", "HF_TOKEN": f"hf_{SECRET}",
}  # fmt: skip
NOBODY = 65534


# --- what listens


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"PREFECT_SERVER_API_HOST": "0.0.0.0"}, "set PREFECT_SERVER_API_AUTH_STRING"),
        ({"PREFECT_SERVER_API_HOST": "::"}, "unset PREFECT_SERVER_API_HOST"),
        ({"PREFECT_SERVER_API_HOST": "build.example"}, "PREFECT_SERVER_API_HOST=build.example"),
        ({"STREAMLIT_SERVER_ADDRESS": "192.0.2.7"}, "set SLUICE_DASHBOARD_TOKEN"),
        ({"PREFECT_API_URL": "http://192.0.2.7:4200/api"}, "use https://, or set PREFECT_API_AUTH_STRING"),
        ({"PREFECT_API_URL": "http://127.0.0.1.example:4200/api"}, "without TLS"),
    ],
)
def test_what_others_could_reach_is_refused_with_the_setting_that_allows_it(
    environment: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError) as problem:
        check(["curate", "./pool"], environment)
    check(["versions"], environment)  # which starts nothing
    assert said in str(problem.value)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"PREFECT_SERVER_API_HOST": "127.0.0.1"},
        {"PREFECT_SERVER_API_HOST": "::1"},
        {"PREFECT_SERVER_API_HOST": "0.0.0.0", "PREFECT_SERVER_API_AUTH_STRING": "admin:secret"},
        {"PREFECT_API_URL": "http://localhost:4200/api"},
        {"PREFECT_API_URL": "http://[::1]:4200/api"},
        {"PREFECT_API_URL": "https://prefect.example/api"},
        {"PREFECT_API_URL": "http://prefect:4200/api", "PREFECT_API_AUTH_STRING": "admin:secret"},
    ],
)
def test_what_only_this_machine_reaches_or_asks_who_comes_is_allowed(environment: dict[str, str]) -> None:
    check(["curate", "./pool"], environment)


def test_the_check_takes_less_than_50_ms() -> None:
    def seconds() -> float:
        started = time.perf_counter()
        check(["curate", "./pool", "--config", "my.toml"], os.environ)
        return time.perf_counter() - started

    assert min(seconds() for _ in range(5)) < 0.05  # where others use the machine, one may be interrupted


def test_a_local_cluster_and_its_workers_listen_on_loopback_alone() -> None:
    with Runtime(workers=1) as runtime:
        assert runtime.map_parts(abs, [-1]) == [1]
        me = psutil.Process()
        found = {
            c.laddr.ip for p in [me, *me.children(recursive=True)] for c in p.net_connections() if c.status == "LISTEN"
        }
    assert found and found <= {"127.0.0.1", "::1"}


# --- secrets


@pytest.mark.parametrize(
    "arguments",
    [
        ["curate", "./pool", "--dask", f"tls://admin:{SECRET}@cluster.example:8786"],
        ["export", "latest", f"--api-key={SECRET}"],
        ["dashboard", f"--token={SECRET}"],
        ["dashboard", "--token", SECRET],
        ["curate", "AKIA" + "ABCDEFGHIJ012345"],
    ],
)
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(arguments: list[str]) -> None:
    with pytest.raises(UsageError, match="looks like a secret") as problem:
        refuse_arguments(arguments)
    assert SECRET not in str(problem.value) and "AKIA" not in str(problem.value)


def test_ordinary_arguments_are_none() -> None:
    refuse_arguments(
        ["audit", "latest", "--keywords", "tokens.txt", "--lake", "s3://bucket/secret-pool", "--tls-key", "k.pem"]
    )
    refuse_arguments(["curate", "https://pool.example/a@b:c", "--dask", "tls://cluster.example:8786"])


@pytest.mark.parametrize(
    "toml", [f'[embed]\napi_key = "{SECRET}"', f'[dedup]\nreference = "s3://user:{SECRET}@bucket/x"', 'token = "x"']
)
def test_a_secret_in_the_configuration_is_refused_and_not_repeated(toml: str, tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(toml, "utf-8")
    with pytest.raises(ConfigError, match=r"my\.toml: .+ looks like a secret") as problem:
        read_config(path)
    assert SECRET not in str(problem.value)


def test_keywords_and_tokens_of_captions_are_no_secrets(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text('[audit]\nkeywords = ["secret", "token"]', "utf-8")
    assert read_config(path).audit.keywords == ("secret", "token")


def test_a_text_is_shown_without_the_secrets_of_the_environment() -> None:
    text = f"no answer from https://admin:{SECRET}@store.example: 403 for {SECRET}"
    assert hidden(text, {"MY_SECRET": SECRET}) == "no answer from https://***@store.example: 403 for ***"
    assert hidden("short values stay: abc", {"TOKEN": "abc"}) == "short values stay: abc"


def test_no_secret_of_the_environment_comes_into_the_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    draw_pool(tmp_path / "shapes", 40, shard_rows=40)

    class Failing(Serial):
        def map_parts(self, function: Any, items: Any) -> list[Any]:
            raise OSError(f"https://user:{SECRET}@store.example refused the key {SECRET}")

    with pytest.raises(OSError, match="refused"):
        curated(tmp_path / "shapes", tmp_path / "lake", runtime=Failing())
    curated(tmp_path / "shapes", tmp_path / "lake")
    assert not _holding(tmp_path / "lake")
    errors = [json.loads(path.read_text("utf-8"))["error"] for path in tmp_path.glob("lake/*/runs/*.json")]
    assert "OSError: https://***@store.example refused the key ***" in errors


@pytest.mark.parametrize(
    ("problem", "kind", "said"),
    [
        (OSError(f"the key {SECRET} was refused"), SluiceError, "OSError: the key *** was refused"),
        (OSError(5, f"no answer for {SECRET}"), SluiceError, "OSError: [Errno 5] no answer for ***"),
        (TimeoutError(f"https://me:{SECRET}@a.example"), Unavailable, "TimeoutError: https://***@a.example"),
        (LakeHeld(f"held by {SECRET}"), LakeHeld, "held by ***"),
    ],
)
def test_what_prefect_keeps_of_a_run_that_broke_holds_no_secret(
    problem: Exception, kind: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET", SECRET)

    def broken(*_: Any) -> None:
        raise problem

    monkeypatch.setattr("flows.curate.run_curate", broken)
    monkeypatch.setattr(Run, "step", broken)
    for edge in (lambda: curate.fn("pool"), lambda: stage_task("ingest").fn(Run, STAGES[0])):
        with pytest.raises(kind) as raised:
            edge()
        told = "".join(traceback.format_exception(raised.value))
        assert str(raised.value) == said and SECRET not in told and "in broken" in told


def test_an_exception_that_came_from_one_with_a_secret_tells_none_and_others_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_SECRET", SECRET)
    with pytest.raises(SluiceError, match="ValueError: no number") as raised, without_secrets():
        raise ValueError("no number") from OSError(SECRET)
    assert SECRET not in "".join(traceback.format_exception(raised.value))
    with pytest.raises(ZeroDivisionError), without_secrets():
        _ = 1 / 0


@pytest.mark.slow
def test_no_secret_comes_into_the_lake_nor_into_prefect_s_database_nor_onto_the_screen(tmp_path: Path) -> None:
    draw_pool(tmp_path / "shapes", 80, shard_rows=40)
    environment = {**os.environ, **SECRETS, "PREFECT_HOME": str(tmp_path / "prefect"), "OPENLINEAGE_DISABLED": "true"}
    environment.pop("PREFECT_API_AUTH_STRING")  # the embedded server asks for none
    called = [sys.executable, "-m", "flows.cli", "curate", str(tmp_path / "shapes"), "--lake", str(tmp_path / "lake")]
    done = subprocess.run(called, env=environment, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    assert SECRET.encode() not in done.stdout + done.stderr
    assert not _holding(tmp_path) and list((tmp_path / "prefect").rglob("*.db"))


def _holding(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


# --- telemetry

RECORDED = """
import json, socket, sys
from pathlib import Path
asked = []
def resolve(host, *given, **more):
    asked.append(str(host)); raise OSError("no network in this test")
def connect(self, address):
    asked.append(str(address)); raise OSError("no network in this test")
socket.getaddrinfo = resolve
socket.socket.connect = socket.socket.connect_ex = connect
from tests.flows.runs import curated
curated(Path(sys.argv[1]), Path(sys.argv[2]))
from prefect.settings import get_current_settings
from huggingface_hub import constants
import os
told = [get_current_settings().server.analytics_enabled, not constants.HF_HUB_DISABLE_TELEMETRY]
print(json.dumps({"asked": asked, "told": told, "environment": dict(os.environ)}))
"""


def test_a_run_asks_nobody_anything_even_where_the_environment_turns_telemetry_on(tmp_path: Path) -> None:
    draw_pool(tmp_path / "shapes", 40, shard_rows=40)
    on = {name: "true" if value == "false" else "0" for name, value in OFF.items()}
    called = [sys.executable, "-c", RECORDED, str(tmp_path / "shapes"), str(tmp_path / "lake")]
    here = Path(__file__).parents[3]
    done = subprocess.run(called, cwd=here, env={**os.environ, **on}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["asked"] == [] and found["told"] == [False, False]
    assert {name: found["environment"][name] for name in OFF} == OFF  # which children inherit


def test_the_dashboard_tells_nobody_that_it_runs(tmp_path: Path) -> None:
    assert "--browser.gatherUsageStats=false" in command(tmp_path, "pool", Listen())


# --- rights


@contextmanager
def somebody_else() -> Iterator[None]:
    """As a user without rights, where this one has them all."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("inside", ["", "shapes", "shapes/columns"])
def test_a_lake_that_may_not_be_written_to_is_told_before_any_work(inside: str) -> None:
    with tempfile.TemporaryDirectory() as root:  # pytest's own folders are closed to others
        home = Path(root) / "lake" / "shapes"
        (home / "columns" if inside else home.parent).mkdir(parents=True)
        for path in (Path(root), *Path(root).rglob("*")):
            path.chmod(0o777)
        folder = Path(root) / "lake" / inside
        folder.chmod(0o555)
        with somebody_else(), pytest.raises(LakeError, match=rf"{folder.name} may not be read and written .+ --lake"):
            check_writable(home)
        folder.chmod(0o777)
        with somebody_else():
            check_writable(home)


def test_a_run_looks_whether_it_may_write_before_it_reads_the_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_pool(tmp_path / "shapes", 40, shard_rows=40)
    monkeypatch.setattr(os, "access", lambda *given, **more: False)
    with pytest.raises(LakeError, match="may not be read and written"):
        curated(tmp_path / "shapes", tmp_path / "lake")
    assert not (tmp_path / "lake").exists()
