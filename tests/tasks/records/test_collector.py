import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.errors import UsageError
from tasks.records.collector import collector
from tests.tasks.records.receiver import no_collector


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    with no_collector():
        yield


def named(**values: str) -> None:
    os.environ.update(values)


def test_nothing_is_sent_unless_the_environment_names_a_collector() -> None:
    assert collector() is None
    named(OPENLINEAGE_API_KEY="k", OPENLINEAGE_CLIENT_LOGGING="ERROR")
    assert collector() is None


def test_a_collector_that_is_named_can_be_switched_off() -> None:
    named(OPENLINEAGE_URL="https://lineage.example", OPENLINEAGE_DISABLED="True")
    assert collector() is None


@pytest.mark.parametrize(
    "url", ["https://lineage.example:5000", "http://127.0.0.1:5000", "http://localhost:5000", "http://[::1]:5000"]
)
def test_the_address_is_shown_without_what_is_secret(url: str) -> None:
    named(OPENLINEAGE_URL=url.replace("://", "://ann:hidden@") + "/path?key=hidden", OPENLINEAGE_API_KEY="hidden")
    found = collector()
    assert found is not None
    assert found.address == url


def test_the_clients_own_file_and_variables_name_a_collector_too(tmp_path: Path) -> None:
    path = tmp_path / "openlineage.yml"
    path.write_text("transport: {type: http, url: 'https://a.example', timeout: 2}")
    named(OPENLINEAGE_CONFIG=str(path))
    found = collector()
    assert found is not None and found.address == "https://a.example"
    del os.environ["OPENLINEAGE_CONFIG"]
    named(OPENLINEAGE__TRANSPORT='{"type": "http", "url": "https://b.example"}')
    found = collector()
    assert found is not None and found.address == "https://b.example"


def test_plain_http_beyond_this_machine_is_refused_unless_it_is_allowed() -> None:
    named(OPENLINEAGE_URL="http://ann:hidden@lineage.example:5000", OPENLINEAGE_API_KEY="hidden")
    with pytest.raises(UsageError, match=r"neither loopback nor TLS.*SLUICE_ALLOW_PLAIN_HTTP=1") as raised:
        collector()
    assert "hidden" not in str(raised.value)
    named(SLUICE_ALLOW_PLAIN_HTTP="1")
    assert collector() is not None


def test_a_secret_is_not_sent_in_the_clear_to_get_a_token_either() -> None:
    auth = '"auth": {"type": "oauth2", "clientId": "a", "clientSecret": "b", "tokenEndpoint": "http://t.example"}'
    named(OPENLINEAGE__TRANSPORT=f'{{"type": "http", "url": "https://b.example", {auth}}}')
    with pytest.raises(UsageError, match=r"http://t\.example is neither loopback nor TLS"):
        collector()


@pytest.mark.parametrize("url", ["lineage.example", "ftp://lineage.example", "https://", "http://[::1", "https://a:b"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    named(OPENLINEAGE_URL=url)
    with pytest.raises(UsageError, match="OpenLineage"):
        collector()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("transport: {type: http, auth: hidden", "set up for 'console'"),
        ("facets: {}", "set up for 'console'"),
        ("transport: {type: console}", "set up for 'console'"),
        ("transport: {type: http}", "cannot be set up .RuntimeError"),
        ("transport: {type: no.such.Transport}", "cannot be set up"),
    ],
)
def test_a_file_that_names_no_http_transport_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, problem: str
) -> None:
    path = tmp_path / "openlineage.yml"
    path.write_text(text)
    named(OPENLINEAGE_CONFIG=str(path))
    with pytest.raises(UsageError, match=problem):
        collector()
    assert text not in caplog.text


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    named(OPENLINEAGE_CONFIG=str(tmp_path / "gone.yml"))
    with pytest.raises(UsageError, match=r"there is no file .*gone\.yml"):
        collector()


def test_the_key_stays_where_it_was_given() -> None:
    named(OPENLINEAGE_URL="https://lineage.example", OPENLINEAGE_API_KEY="hidden")
    before = dict(os.environ)
    collector()
    assert dict(os.environ) == before
