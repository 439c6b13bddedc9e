"""The file of deployments: what `prefect deploy` understands, refused with its place where it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.serving.deployments import OURS, Deployment, read_deployments
from flows.serving.serve import listing, prefects
from tasks.errors import ConfigError

INFRA = Path(__file__).parents[3] / "infra"


def written(folder: Path, *deployments: dict[str, Any], **top: Any) -> Path:
    path = folder / "prefect.yaml"
    path.write_text(yaml.safe_dump({"deployments": list(deployments), **top}), "utf-8")
    return path


def curate(folder: Path, **changes: Any) -> dict[str, Any]:
    """A deployment whose pool is there."""
    (folder / "pool").mkdir(exist_ok=True)
    parameters = {"pool": str(folder / "pool"), **changes.pop("parameters", {})}
    return {"name": "nightly", "entrypoint": "flows/curate.py:curate", "parameters": parameters, **changes}


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as problem:
        read_deployments(path)
    return str(problem.value)


def test_the_file_that_comes_with_sluice_declares_each_of_its_flows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pool").mkdir()
    found = read_deployments(INFRA / "prefect.yaml")
    assert {one.entrypoint for one in found} == set(OURS)
    assert [one.name for one in found if one.schedules] == ["curate", "label", "audit"]
    assert all(one.tags == ["sluice"] for one in found)  # by which the automations know our runs


def test_prefects_own_reader_understands_the_same_file() -> None:
    from prefect.cli.deploy._models import PrefectYamlModel

    found = PrefectYamlModel.model_validate(yaml.safe_load((INFRA / "prefect.yaml").read_text("utf-8")))
    assert [one.name for one in found.deployments] == ["curate", "label", "audit", "search"]


def test_a_deployment_becomes_prefects_with_schedules_limit_and_a_form(tmp_path: Path) -> None:
    schedules = [{"cron": "*/5 * * * *", "timezone": "Europe/Berlin"}, {"interval": 3600, "active": False}]
    limit = {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    (one,) = read_deployments(written(tmp_path, curate(tmp_path, schedules=schedules, concurrency_limit=limit)))
    made = prefects(one)
    assert made.entrypoint == "flows.curate.curate" and made.concurrency_limit == 1
    assert [(rule.schedule.timezone, rule.active) for rule in made.schedules] == [
        ("Europe/Berlin", True),
        ("UTC", False),
    ]
    form = made._parameter_openapi_schema.properties
    assert form["pool"]["description"].startswith("The pool: a folder") and form["pool"]["minLength"] == 1
    assert form["workers"]["anyOf"][0] == {"minimum": 1, "type": "integer"}
    assert made._parameter_openapi_schema.required == ["pool"]
    assert "*/5 * * * * (Europe/Berlin); every 3600 s (UTC), inactive" in listing([one])[0]


@pytest.mark.parametrize("name", OURS)
def test_every_parameter_of_every_flow_is_described_in_the_form(name: str) -> None:
    made = prefects(Deployment(name="x", entrypoint=name))
    lacking = [key for key, facts in made._parameter_openapi_schema.properties.items() if not facts.get("description")]
    assert not lacking


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": []}, "unknown key 'deployments.0.schedule'; did you mean 'schedules'?"),
        ({"schedules": [{"cron": "every day"}]}, 'schedules.0.cron: Invalid cron string: "every day"'),
        (
            {"schedules": [{"cron": "0 3 * * *", "interval": 5}]},
            "one of cron, interval (seconds) and rrule was expected",
        ),
        ({"schedules": [{"cron": "0 3 * * *", "timezone": "Mars/Olympus"}]}, "deployments.0.schedules.0"),
        ({"schedules": [{"interval": 0}]}, "greater than 0; 0 was found"),
        ({"schedules": [{"corn": "0 3 * * *"}]}, "did you mean 'cron'?"),
        ({"concurrency_limit": {"limit": 0}}, "deployments.0.concurrency_limit"),
        ({"entrypoint": "flows/curat.py:curate"}, "none of Sluice's flows; did you mean 'flows/curate.py:curate'?"),
        ({"entrypoint": "os:system"}, "'os:system' is none of Sluice's flows"),
        ({"parameters": {"worker": 2}}, "unknown parameter 'worker'; did you mean 'workers'?"),
        ({"parameters": {"workers": 0}}, "workers: Input should be greater than or equal to 1"),
        ({"parameters": {"name": "../up"}}, "name: String should match pattern"),
        ({"parameters": {"config": "no.toml"}}, "there is no configuration no.toml"),
        ({"parameters": {"dask": "tcp://far.example:8786"}}, "SLUICE_ALLOW_PLAIN_TCP"),
        ({"parameters": {"pool": "nowhere"}}, "make the folder that shards will arrive in"),
        ({"name": "a/b"}, "deployments.0.name"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place_and_what_was_meant(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    told = refusal(written(tmp_path, curate(tmp_path, **changes)))
    assert str(tmp_path / "prefect.yaml") in told and message in told


def test_what_is_scheduled_must_have_its_parameters(tmp_path: Path) -> None:
    scheduled = {"name": "x", "entrypoint": "flows/search.py:search", "schedules": [{"cron": "0 3 * * *"}]}
    assert "'images' was expected: what is scheduled has nobody to ask" in refusal(written(tmp_path, scheduled))
    by_hand = {"name": "x", "entrypoint": "flows/search.py:search"}
    assert read_deployments(written(tmp_path, by_hand))[0].schedules == []


def test_a_file_that_is_none_or_holds_nothing_is_refused(tmp_path: Path) -> None:
    assert "docs/schedules.md" in refusal(tmp_path / "absent.yaml")
    for text, message in (
        ("{", "is not YAML"),
        ("- 1", "a table with `deployments`"),
        ("deployments: []", "deployments"),
    ):
        (tmp_path / "prefect.yaml").write_text(text, "utf-8")
        assert message in refusal(tmp_path / "prefect.yaml")


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": {"dask": "tls://admin:correct-horse@cluster.example:8786"}},
        {"work_pool": {"job_variables": {"env": {"PREFECT_API_AUTH_STRING": "admin:correct-horse"}}}},
        {"description": "https://admin:correct-horse@store.example"},
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path, changes: dict[str, Any]) -> None:
    said = refusal(written(tmp_path, curate(tmp_path, **changes)))
    assert "looks like a secret, and a configuration goes to Prefect's server" in said and "in the environment" in said
    assert "correct-horse" not in said


def test_the_name_of_a_block_that_keeps_a_secret_is_none(tmp_path: Path) -> None:
    variables = {"env": {"AWS_SECRET_ACCESS_KEY": "{{ prefect.blocks.secret.store }}"}}
    (one,) = read_deployments(written(tmp_path, curate(tmp_path, work_pool={"job_variables": variables})))
    assert one.work_pool == {"job_variables": variables}


def test_two_deployments_of_one_flow_have_two_names(tmp_path: Path) -> None:
    told = refusal(written(tmp_path, curate(tmp_path), curate(tmp_path)))
    assert "two deployments of flows/curate.py:curate are called 'nightly'" in told
