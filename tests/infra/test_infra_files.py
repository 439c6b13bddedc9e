"""The files that put Sluice on other machines: each passes its own schema tool, and opens nothing to strangers.

Nothing is built or started here: what these tests hold is the files' form, and what they promise about access.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

REPOSITORY = Path(__file__).parent.parent.parent
INFRA = REPOSITORY / "infra"
TOOLS = Path(sys.executable).parent
COMPOSE = yaml.safe_load((INFRA / "compose.yaml").read_text("utf-8"))
MANIFESTS = {
    f"{path.stem}/{document['kind']}/{document['metadata']['name']}": document
    for path in sorted((INFRA / "kubernetes").glob("*.yaml"))
    if path.stem not in ("kustomization", "deployments")
    for document in yaml.safe_load_all(path.read_text("utf-8"))
}
CORE = {name: document for name, document in MANIFESTS.items() if document["kind"] != "DaskCluster"}
CLUSTER = next(document for document in MANIFESTS.values() if document["kind"] == "DaskCluster")
SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|AUTH|ACCESS_KEY|CONNECTION_URL|_KEY$")
PINNED = re.compile(r"[\w./-]+:v?\d+(\.\d+)+(-[\w.-]+)?")


def _run(*command: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY, **more)


def _pods() -> dict[str, dict[str, Any]]:
    """Every pod that the manifests make."""
    found = {name: one["spec"]["template"]["spec"] for name, one in CORE.items() if one["kind"] == "Deployment"}
    return {**found, **{f"dask/{role}": CLUSTER["spec"][role]["spec"] for role in ("worker", "scheduler")}}


def _environments() -> Iterator[tuple[str, str, str]]:
    """Where, name and value of every environment variable that the files set in clear."""
    for name, service in COMPOSE["services"].items():
        yield from ((name, key, str(value)) for key, value in service.get("environment", {}).items())
    for name, one in CORE.items():
        yield from ((name, key, value) for key, value in one.get("data", {}).items() if one["kind"] == "ConfigMap")
    for name, pod in _pods().items():
        for container in pod["containers"]:
            yield from ((name, one["name"], one["value"]) for one in container.get("env", []) if "value" in one)


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = _run(str(TOOLS / "hadolint"), "infra/Dockerfile")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_compose_file_meets_the_compose_specification() -> None:
    done = _run(str(TOOLS / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "infra/compose.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", CORE)
def test_a_manifest_meets_kubernetes_schema_with_no_unknown_key(name: str) -> None:
    kubernetes_validate.validate(CORE[name], kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("role", ["worker", "scheduler"])
def test_the_pods_of_the_dask_cluster_meet_the_schema_of_pods(role: str) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": role}, "spec": CLUSTER["spec"][role]["spec"]}
    kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)


def test_the_dask_cluster_has_what_its_operator_requires_and_nothing_that_it_does_not_know() -> None:
    """The operator's definition asks for a worker with a spec and a scheduler with a spec and a service."""
    assert CLUSTER["apiVersion"] == "kubernetes.dask.org/v1"
    assert CLUSTER["spec"].keys() == {"worker", "scheduler"}
    assert CLUSTER["spec"]["worker"].keys() == {"replicas", "spec"}
    assert CLUSTER["spec"]["scheduler"].keys() == {"spec", "service"}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "scheduler"}}
    service["spec"] = CLUSTER["spec"]["scheduler"]["service"]
    kubernetes_validate.validate(service, kubernetes_validate.latest_version(), strict=True)
    name, namespace = CLUSTER["metadata"]["name"], CLUSTER["metadata"]["namespace"]
    worker = CLUSTER["spec"]["worker"]["spec"]["containers"][0]
    assert worker["args"][0] == f"tls://{name}-scheduler.{namespace}.svc:{service['spec']['ports'][0]['port']}"


def test_every_manifest_is_in_the_kustomization_and_in_its_namespace() -> None:
    listed = yaml.safe_load((INFRA / "kubernetes" / "kustomization.yaml").read_text("utf-8"))
    files = {path.name for path in (INFRA / "kubernetes").glob("*.yaml")}
    assert set(listed["resources"]) == files - {"kustomization.yaml", "deployments.yaml"}
    assert listed["configMapGenerator"] == [{"name": "sluice-deployments", "files": ["prefect.yaml=deployments.yaml"]}]
    for name, document in MANIFESTS.items():
        wanted = None if document["kind"] == "Namespace" else listed["namespace"]
        assert document["metadata"].get("namespace") == wanted, name


def test_no_port_is_published_beyond_loopback() -> None:
    for name, service in COMPOSE["services"].items():
        assert "network_mode" not in service, name
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", [])), name
    for name, document in CORE.items():
        if document["kind"] == "Service":
            assert document["spec"]["type"] == "ClusterIP", name
        assert document["kind"] != "Ingress", name
    for name, pod in _pods().items():
        assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}, name
        assert not any("hostPort" in port for one in pod["containers"] for port in one.get("ports", [])), name


def test_what_is_published_asks_who_it_is() -> None:
    asks = {"prefect": "PREFECT_SERVER_API_AUTH_STRING", "dashboard": "SLUICE_DASHBOARD_TOKEN"}
    published = {name for name, service in COMPOSE["services"].items() if service.get("ports")}
    assert published == set(asks)
    for name, variable in asks.items():
        assert COMPOSE["services"][name]["environment"][variable].startswith("${")


def test_dask_speaks_tls_everywhere() -> None:
    """The variables are settings that Dask has: a misspelt one would leave it open."""
    import dask.config
    import distributed  # noqa: F401  its settings and their defaults

    known = dask.config.get("distributed.comm.tls")
    for values in (COMPOSE["x-dask"], MANIFESTS["settings/ConfigMap/sluice-dask"]["data"]):
        found = dask.config.collect_env(values)
        assert dask.config.get("distributed.comm.require-encryption", config=found) is True
        assert dask.config.get("distributed.comm.tls.ca-file", config=found) and "ca-file" in known
        for role in ("scheduler", "worker", "client"):
            pair = dask.config.get(f"distributed.comm.tls.{role}", config=found)
            assert pair.keys() == {"cert", "key"} <= known[role].keys()
    for name in ("scheduler", "worker", "serve"):
        assert COMPOSE["services"][name]["environment"].items() >= COMPOSE["x-dask"].items(), name


def test_dasks_own_pages_stay_on_loopback() -> None:
    """Also with --no-dashboard a scheduler answers anybody, in the clear, on port 8787."""
    calls = [COMPOSE["services"][name]["entrypoint"] for name in ("scheduler", "worker")]
    calls += [_pods()[f"dask/{role}"]["containers"][0]["args"] for role in ("scheduler", "worker")]
    for call in calls:
        assert call[call.index("--dashboard-address") + 1] == "127.0.0.1:0"


def test_no_secret_stands_in_a_file() -> None:
    for where, name, value in _environments():
        if SECRET_NAME.search(name):
            given = re.search(r"\$\{\w+:\?[^}]+\}", value) or value.startswith(("/run/secrets/", "/etc/dask-tls/"))
            assert given, f"{where}: {name} is a secret; take it from the environment or a file"
    assert not [name for name, document in MANIFESTS.items() if document["kind"] == "Secret"]


def test_compose_refuses_to_start_without_its_secrets_and_says_what_to_do(tmp_path: Path) -> None:
    text = (INFRA / "compose.yaml").read_text("utf-8")
    required = dict(re.findall(r"\$\{(\w+):\?([^}]+)\}", text))
    made = _secrets(tmp_path / "secrets")
    assert required.keys() - made.keys() == {"POOL"}
    assert all("run infra/make_secrets.sh" in required[name] for name in made)


def test_every_image_is_pinned_to_a_version() -> None:
    images = [service["image"] for service in COMPOSE["services"].values()]
    images += [container["image"] for pod in _pods().values() for container in pod["containers"]]
    dockerfile = (INFRA / "Dockerfile").read_text("utf-8")
    stages = set(re.findall(r"^FROM \S+ AS (\w+)", dockerfile, re.M))
    images += [name for name in re.findall(r"^FROM (\S+)", dockerfile, re.M) if name not in stages]
    assert len(images) > 10
    assert not [image for image in images if not PINNED.fullmatch(image)]
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert {image.partition(":")[2] for image in images if image.startswith("sluice:")} == {version}


@pytest.mark.parametrize("name", _pods())
def test_a_pod_has_no_privileges_and_cannot_write_its_root(name: str) -> None:
    pod = _pods()[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"].keys() == {"requests", "limits"}
        assert {"cpu", "memory"} <= container["resources"]["limits"].keys()


def test_containers_of_the_image_cannot_write_their_root_under_compose() -> None:
    ours = {name: one for name, one in COMPOSE["services"].items() if one["image"].startswith("sluice:")}
    assert len(ours) > 4
    for name, service in ours.items():
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_traffic_is_refused_unless_a_policy_names_it() -> None:
    policies = [document["spec"] for document in CORE.values() if document["kind"] == "NetworkPolicy"]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in policies
    open_to_all = [one for one in policies for rule in one.get("ingress", []) if not rule.get("from")]
    assert not open_to_all


def test_the_image_runs_as_a_user_from_locked_versions() -> None:
    text = (INFRA / "Dockerfile").read_text("utf-8")
    user = re.findall(r"^USER (\d+):(\d+)", text, re.M)[-1]
    assert "0" not in user
    assert _pods()["dask/worker"]["securityContext"]["runAsUser"] == int(user[0])
    installs = [line for line in text.splitlines() if line.strip().startswith(("pip install", "RUN pip install"))]
    assert installs and all("-c constraints.txt" in line or "--no-deps" in line for line in installs)
    assert "-march=native" not in text and "ANNOY_COMPILER_ARGS=" in text
    assert not re.search(r"https?://", text)


def test_the_image_asks_for_extras_that_there_are() -> None:
    """pip only warns of an extra that a package has not, and leaves its dependencies out."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    asked = re.findall(r'"\.\[(\w+)\]"', (INFRA / "Dockerfile").read_text("utf-8"))
    assert asked and set(asked) <= set(project["optional-dependencies"])


def test_neither_the_builder_nor_git_gets_the_secrets() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in ignored and "infra/secrets" in ignored[ignored.index("!infra") :]
    assert "infra/secrets/" in (REPOSITORY / ".gitignore").read_text("utf-8").splitlines()


def test_the_files_call_sluice_as_it_is() -> None:
    """Every command and option that the files name is one that `sluice` has."""
    import typer

    from flows.cli import app

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    calls = [list(map(str, service["command"])) for service in COMPOSE["services"].values() if "command" in service]
    calls += [list(container["args"]) for pod in _pods().values() for container in pod["containers"]]
    ours = [call for call in calls if call and call[0] in ("serve", "dashboard")]
    assert len(ours) == 4
    for name, *rest in ours:
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= options, name


@pytest.mark.parametrize("name", ["compose.prefect.yaml", "kubernetes/deployments.yaml", "prefect.yaml"])
def test_what_is_scheduled_can_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.serving.deployments import read_deployments

    monkeypatch.chdir(tmp_path)
    (tmp_path / "pool").mkdir()
    text = (INFRA / name).read_text("utf-8").replace("pool: /pool", "pool: pool")  # which is a mount elsewhere
    (tmp_path / "prefect.yaml").write_text(text, "utf-8")
    assert {"curate", "audit", "search"} <= {one.name for one in read_deployments(tmp_path / "prefect.yaml")}


@pytest.mark.parametrize("name", ["compose.prefect.yaml", "kubernetes/deployments.yaml", "prefect.yaml"])
def test_what_is_scheduled_has_the_tag_by_which_failures_are_told(name: str) -> None:
    automations = yaml.safe_load((INFRA / "automations.yaml").read_text("utf-8"))["automations"]
    related = [one["trigger"].get("match_related", {}).get("prefect.resource.id", "") for one in automations]
    (tag,) = {one.removeprefix("prefect.tag.") for one in related if one}
    deployments = yaml.safe_load((INFRA / name).read_text("utf-8"))["deployments"]
    assert all(tag in one.get("tags", []) for one in deployments)


def test_prefects_pages_are_unpacked_where_the_image_may_write() -> None:
    """Beside its code, as is its default, they could not be: the root is read-only, and the UI would be missing."""
    text = (INFRA / "Dockerfile").read_text("utf-8")
    (folder,) = re.findall(r"PREFECT_SERVER_UI_STATIC_DIRECTORY=(\S+)", text)
    assert folder.startswith("/tmp/") and COMPOSE["services"]["prefect"]["tmpfs"] == ["/tmp"]
    environment = {**os.environ, "PREFECT_SERVER_UI_STATIC_DIRECTORY": folder}
    code = "from prefect.settings import get_current_settings as s; print(s().server.ui.static_directory)"
    assert _run(sys.executable, "-c", code, env=environment).stdout.strip() == folder


def test_what_is_scheduled_goes_to_the_scheduler_that_is_there() -> None:
    addresses = {"compose.prefect.yaml": "tls://scheduler:8786"}
    worker = CLUSTER["spec"]["worker"]["spec"]["containers"][0]
    addresses["kubernetes/deployments.yaml"] = worker["args"][0]
    for name, address in addresses.items():
        found = yaml.safe_load((INFRA / name).read_text("utf-8"))["deployments"]
        assert [one["parameters"]["dask"] for one in found if one["name"] == "curate"] == [address]
    assert (
        "scheduler" in COMPOSE["services"]
        and addresses["compose.prefect.yaml"] in COMPOSE["services"]["worker"]["entrypoint"]
    )


def _secrets(folder: Path) -> dict[str, str]:
    done = _run("sh", str(INFRA / "make_secrets.sh"), str(folder))
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in (folder / "secrets.env").read_text("utf-8").splitlines())


def test_secrets_are_made_once_and_only_their_owner_reaches_them(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    made = _secrets(folder)
    assert all(len(value) >= 20 for value in made.values()) and len(set(made.values())) == len(made)
    assert len(made["SLUICE_DASHBOARD_TOKEN"]) >= 32
    from flows.serving.listening import Listen, check

    tls = {"tls_cert": folder / "dashboard.pem", "tls_key": folder / "dashboard-key.pem"}
    check(Listen(0, "0.0.0.0", ("localhost",), **tls), made)
    assert folder.stat().st_mode & 0o077 == 0
    (identity,) = json.loads((folder / "s3.json").read_text("utf-8"))["identities"]
    assert identity["credentials"] == [{"accessKey": made["S3_ACCESS_KEY"], "secretKey": made["S3_SECRET_KEY"]}]
    again = _run("sh", str(INFRA / "make_secrets.sh"), str(folder))
    assert again.returncode == 1 and "is there already" in again.stderr


def test_secrets_need_openssl_and_say_so(tmp_path: Path) -> None:
    for name in ("sh", "dirname"):
        (tmp_path / name).symlink_to(Path("/bin") / name)
    done = _run("sh", str(INFRA / "make_secrets.sh"), str(tmp_path / "s"), env={**os.environ, "PATH": str(tmp_path)})
    assert done.returncode == 1 and "openssl was expected" in done.stderr
    assert not (tmp_path / "s").exists()


def test_both_sides_of_dask_accept_the_certificate_that_is_made_and_no_other(tmp_path: Path) -> None:
    _secrets(tmp_path / "ours")
    _secrets(tmp_path / "other")
    assert _handshake(tmp_path / "ours", tmp_path / "ours")
    assert not _handshake(tmp_path / "ours", tmp_path / "other")


def _handshake(server: Path, client: Path) -> bool:
    """Whether scheduler and worker come to trust each other, over two buffers in place of a socket."""
    from distributed.security import Security

    def context(folder: Path, role: str, listens: bool) -> ssl.SSLContext:
        files = {f"tls_{role}_cert": str(folder / "dask.pem"), f"tls_{role}_key": str(folder / "dask-key.pem")}
        security = Security(tls_ca_file=str(folder / "dask.pem"), require_encryption=True, **files)
        arguments = security.get_listen_args(role) if listens else security.get_connection_args(role)
        return arguments["ssl_context"]

    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        context(client, "worker", False).wrap_bio(down, up),
        context(server, "scheduler", True).wrap_bio(up, down, server_side=True),
    ]
    for _ in range(4):
        for end in list(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return not ends
