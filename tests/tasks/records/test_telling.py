import json
import logging
import os
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tasks.errors import LakeError
from tasks.lake import Lake
from tasks.records import sending
from tasks.records.collector import collector
from tasks.records.lineage import events
from tasks.records.sending import identity
from tasks.records.telling import Telling
from tests.tasks.records.receiver import HANG, Receiver, no_collector, receiving
from tests.tasks.records.recorded_runs import commit, one_run, record, run_id

KEY = "hidden-key-4711"


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    with no_collector():
        yield


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return one_run(tmp_path)


class Run:
    """A run that tells of itself, and what it was told in return."""

    def __init__(self, lake: Lake, url: str, number: int = 1) -> None:
        os.environ |= {"OPENLINEAGE_URL": url, "OPENLINEAGE_API_KEY": KEY}
        self.said: list[str] = []
        self.telling = Telling(lake, run_id(number), collector(), self.said.append)

    def close(self) -> None:
        self.telling.close()
        sender = self.telling.sender
        assert sender is not None
        sender._thread.join(10)  # so that no test leaves one behind


def known(found: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [identity(json.dumps(event).encode()) for event in found]


def wait_for(receiver: Receiver, count: int) -> None:
    until = time.monotonic() + 10
    while len(receiver.taken) < count and time.monotonic() < until:
        time.sleep(0.01)
    assert len(receiver.taken) == count


def test_events_go_out_as_the_run_goes_on_and_its_end_with_its_end(lake: Lake) -> None:
    with receiving() as receiver:
        run = Run(lake, receiver.url, 2)
        record(lake, 2, "running", ended_at=None)
        run.telling.tell()
        wait_for(receiver, 7)
        assert [(event["job"]["name"], event["eventType"]) for event in receiver.taken[6:]] == [
            ("pool.curate", "START")
        ]
        record(lake, 2, "running", ended_at=None, stage="ingest")
        run.telling.tell()
        wait_for(receiver, 8)
        made = commit(lake.version(1), "ingest", 2, 5, parent=None)
        record(lake, 2, versions=[made.number])
        run.close()
        assert known(receiver.taken) == known(events(lake))
        assert receiver.keys == {f"Bearer {KEY}"}
        assert run.said == []


def test_what_arrives_is_the_line_of_the_log_and_the_clients_own_tag(lake: Lake) -> None:
    with receiving() as receiver:
        Run(lake, receiver.url).close()
    for told, event in zip(events(lake), receiver.taken, strict=True):
        tags = event["run"]["facets"].pop("tags")["tags"]
        assert [tag["key"] for tag in tags] == ["openlineage_client_version"]
        assert event == told


def test_nothing_is_sent_twice_and_a_run_with_nothing_new_sends_its_own_events_only(lake: Lake) -> None:
    with receiving() as receiver:
        Run(lake, receiver.url).close()
        assert receiver.asked == 6
        Run(lake, receiver.url).close()
        assert receiver.asked == 6
        record(lake, 2, "nothing new")
        Run(lake, receiver.url, 2).close()
        assert receiver.asked == 8


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (500, "it answered 500"),
        (401, "it answered 401; see OPENLINEAGE_API_KEY"),
        (404, "it answered 404"),
        (302, "it redirects elsewhere"),
    ],
)
def test_a_collector_that_refuses_is_told_of_once_and_the_next_run_sends_all(
    lake: Lake, answer: int, told: str
) -> None:
    with receiving(201, 201, answer) as receiver:
        run = Run(lake, receiver.url)
        for _ in range(3):
            run.telling.tell()
        run.close()
        assert len(run.said) == 1
        assert told in run.said[0] and receiver.url in run.said[0] and "the next one" in run.said[0]
        assert len(receiver.taken) == 2
        receiver.answers = [201]
        Run(lake, receiver.url).close()
        assert known(receiver.taken) == known(events(lake))


def test_a_collector_that_never_answers_delays_a_run_by_seconds_only(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending.Sender.close, "__defaults__", (0.3,))
    with receiving(HANG) as receiver:
        run = Run(lake, receiver.url)
        began = time.monotonic()
        run.telling.tell()
        run.telling.close()
        assert time.monotonic() - began < 2
        assert run.said == [run.said[0]] and "not all within 0.3 s" in run.said[0]
        receiver.over.set()
    with receiving() as receiver:
        Run(lake, receiver.url).close()
        assert known(receiver.taken) == known(events(lake))


def test_a_collector_that_does_not_answer_in_time_is_given_up_by_the_clients_own_timeout(
    lake: Lake, tmp_path: Path
) -> None:
    with receiving(HANG) as receiver:
        run = Run(lake, receiver.url)
        assert run.telling.sender is not None
        run.telling.sender.client.transport.timeout = 0.1
        run.close()
        assert "it did not answer in time" in run.said[0]
        receiver.over.set()


def test_a_collector_that_is_not_there_fails_no_run(lake: Lake) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        run = Run(lake, f"http://127.0.0.1:{free.getsockname()[1]}")
        run.telling.tell()
        run.close()
    assert len(run.said) == 1 and "it cannot be reached" in run.said[0]
    with receiving() as receiver:
        Run(lake, receiver.url).close()
        assert known(receiver.taken) == known(events(lake))


def test_a_certificate_that_is_not_accepted_is_said_to_be(lake: Lake, tmp_path: Path) -> None:
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with receiving(tls=tls) as receiver:
        run = Run(lake, receiver.url)
        run.close()
        assert len(run.said) == 1 and "its certificate was not accepted" in run.said[0]
        authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
        os.environ["REQUESTS_CA_BUNDLE"] = str(tmp_path / "authority.pem")
        Run(lake, receiver.url).close()
        assert known(receiver.taken) == known(events(lake))


def test_an_event_that_the_collector_refuses_as_it_is_does_not_hold_the_others_up(lake: Lake) -> None:
    with receiving(201, 422, 201) as receiver:
        run = Run(lake, receiver.url)
        run.close()
        assert len(receiver.taken) == 5
        assert run.said == [f"Lineage: {receiver.url} refused 1 event as malformed."]


def test_a_log_that_cannot_be_written_leaves_no_sender_behind(lake: Lake) -> None:
    with receiving() as receiver:
        run = Run(lake, receiver.url)
        (lake.home / "runs" / "broken.json").write_text("{", "utf-8")
        with pytest.raises(LakeError, match="damaged"):
            run.telling.close()
        sender = run.telling.sender
        assert sender is not None and not sender._thread.is_alive()


def test_what_was_taken_is_found_again_in_a_log_that_was_made_again(lake: Lake) -> None:
    with receiving(201, 201, 201, 500) as receiver:
        Run(lake, receiver.url).close()
        log = lake.home / "events" / "openlineage.ndjson"
        log.write_text(" " + log.read_text("utf-8").replace("\n", " \n"), "utf-8")  # other bytes, the same events
        (lake.home / "events" / "told.json").unlink()
        receiver.answers = [201]
        Run(lake, receiver.url).close()
        assert known(receiver.taken) == known(events(lake))


def test_another_collector_is_told_everything(lake: Lake) -> None:
    with receiving() as one, receiving() as other:
        Run(lake, one.url).close()
        Run(lake, other.url).close()
        assert known(other.taken) == known(one.taken) == known(events(lake))


@pytest.mark.parametrize("text", ["", "[]", '{"collector": 3}', '{"collector": "http://x", "place": "y"}'])
def test_a_damaged_memory_of_what_was_sent_means_that_all_is_sent_again(lake: Lake, text: str) -> None:
    with receiving() as receiver:
        Run(lake, receiver.url).close()
        (lake.home / "events" / "sent.json").write_text(text, "utf-8")
        Run(lake, receiver.url).close()
        assert receiver.asked == 12


def test_the_key_is_in_no_log_and_in_no_file(
    lake: Lake, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    os.environ["OPENLINEAGE_CLIENT_LOGGING"] = "DEBUG"
    caplog.set_level(logging.DEBUG)
    with receiving(201, 500) as receiver:
        run = Run(lake, receiver.url.replace("://", f"://ann:{KEY}@"))
        run.close()
    out = capfd.readouterr()
    files = b"".join(path.read_bytes() for path in lake.home.rglob("*") if path.is_file())
    assert run.said and caplog.records
    assert KEY not in f"{out.out}{out.err}{run.said}{caplog.text}"
    assert KEY.encode() not in files
