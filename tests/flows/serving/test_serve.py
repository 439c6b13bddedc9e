"""`sluice serve`: refuses what cannot work before anything is begun; notifies people where it is told whom."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from typer.testing import CliRunner

from flows import cli
from flows.serving.automations import check_notify, read_automations, told_to
from flows.serving.server import _check_free, full
from flows.shown.links import check_links, links
from tasks.errors import ConfigError, SluiceError, Unavailable, UsageError
from tasks.lake import Lake, Version

INFRA = Path(__file__).parents[3] / "infra"
NOBODY = "http://127.0.0.1:9/api"  # the port of a service that throws away what it gets, and that nobody runs


def served(*arguments: str) -> BaseException | None:
    return CliRunner().invoke(cli.app, ["serve", *arguments]).exception


@pytest.fixture
def deployments(tmp_path: Path) -> str:
    (tmp_path / "pool").mkdir()
    one = {"name": "x", "entrypoint": "flows/curate.py:curate", "parameters": {"pool": str(tmp_path / "pool")}}
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump({"deployments": [one]}), "utf-8")
    return str(tmp_path / "prefect.yaml")


def test_a_server_that_does_not_answer_is_named_with_what_to_do(
    deployments: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: "http://someone:secret@127.0.0.1:9/api"}):
        problem = served("--config", deployments)
    assert isinstance(problem, Unavailable)
    assert NOBODY in str(problem) and "prefect server start" in str(problem) and "secret" not in str(problem)


def test_a_port_that_is_taken_is_refused_before_a_server_starts() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match=r"give another one with --port, or set PREFECT_API_URL"):
            _check_free(taken.getsockname()[1])
        with pytest.raises(UsageError, match="cannot be used"):
            full(taken.getsockname()[1]).__enter__()
    with pytest.raises(UsageError, match="cannot be used"):
        _check_free(70_000)


def test_what_is_wrong_in_the_files_is_refused_before_a_server_is_asked(deployments: str, tmp_path: Path) -> None:
    assert isinstance(served("--config", str(tmp_path / "absent.yaml")), ConfigError)
    (tmp_path / "automations.yaml").write_text("automations: [{name: x}]", "utf-8")
    problem = served("--config", deployments, "--automations", str(tmp_path / "automations.yaml"))
    assert isinstance(problem, ConfigError) and "'x': trigger" in str(problem)


def test_the_automations_that_come_with_sluice_know_a_failed_gate_and_a_stalled_run() -> None:
    gate, failed, stalled = read_automations(INFRA / "automations.yaml")
    assert gate["trigger"]["match"]["prefect.state-message"].endswith("GateFailed*")
    assert (
        failed["trigger"]["match"]["prefect.state-message"] == "!" + gate["trigger"]["match"]["prefect.state-message"]
    )
    assert stalled["trigger"]["posture"] == "Proactive" and stalled["trigger"]["after"] == ["sluice.progress"]
    told = told_to(gate, UUID(int=7))
    assert [one["block_document_id"] for one in told["actions"]] == [str(UUID(int=7))]
    assert "block_document_id" not in (INFRA / "automations.yaml").read_text("utf-8")


@pytest.mark.parametrize("text", ["", "automations: 5", "other: []", "automations: [7]"])
def test_a_file_without_automations_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match="a list `automations` was expected"):
        read_automations(tmp_path / "a.yaml")


def test_a_secret_in_an_automation_is_refused(tmp_path: Path) -> None:
    text = (INFRA / "automations.yaml").read_text("utf-8")
    told = text.replace('subject: "Sluice: a gate failed', 'subject: "https://user:sesame@hooks.example: a gate failed')
    assert told != text
    (tmp_path / "a.yaml").write_text(told, "utf-8")
    with pytest.raises(ConfigError, match=r"a\.yaml: automations\.actions\.subject looks like a secret") as refused:
        read_automations(tmp_path / "a.yaml")
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({}, None),
        ({"SLUICE_NOTIFY_BLOCK": "slack-webhook/data-team"}, "SLUICE_NOTIFY_BLOCK"),
        ({"SLUICE_NOTIFY_URL": "https://hooks.example/x"}, "SLUICE_NOTIFY_URL"),
        ({"SLUICE_NOTIFY_URL": "http://127.0.0.1:9/x"}, "SLUICE_NOTIFY_URL"),
    ],
)
def test_people_are_notified_as_the_environment_says(
    settings: dict[str, str], found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLUICE_NOTIFY_BLOCK", "SLUICE_NOTIFY_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert check_notify() == found


@pytest.mark.parametrize(
    "settings",
    [
        {"SLUICE_NOTIFY_URL": "http://hooks.example/token"},
        {"SLUICE_NOTIFY_URL": "hooks.example/token"},
        {"SLUICE_NOTIFY_BLOCK": "data-team"},
        {"SLUICE_NOTIFY_BLOCK": "slack-webhook/data-team", "SLUICE_NOTIFY_URL": "https://hooks.example/token"},
    ],
)
def test_an_address_that_others_could_read_on_the_way_is_refused_without_being_repeated(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as problem:
        check_notify()
    assert "token" not in str(problem.value)


def test_links_go_to_what_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = Version(Lake(tmp_path, "my pool"), number=5, artifacts={"published": "key"})
    assert links(version) == {}
    monkeypatch.setenv("SLUICE_DASHBOARD_URL", "http://127.0.0.1:8501/")
    monkeypatch.setenv("SLUICE_LAKE_URL", "https://lakes.example/all")
    found: dict[str, Any] = links(version)
    assert found["dashboard"][0] == "http://127.0.0.1:8501/?pool=my+pool&version=5"
    assert found["report"][0] == "https://lakes.example/all/my%20pool/artifacts/published-key/report.html"
    assert "report" not in links(Version(Lake(tmp_path, "p"), number=1))


@pytest.mark.parametrize(
    "address", ["dashboard", "javascript:alert(1)", "https://a:secret@b", "https://b/?token=secret"]
)
def test_a_link_that_is_none_or_tells_a_secret_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_DASHBOARD_URL", address)
    with pytest.raises(SluiceError) as problem:
        check_links()
    assert "SLUICE_DASHBOARD_URL" in str(problem.value) and "secret" not in str(problem.value)
