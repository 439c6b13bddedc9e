from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tasks.files import write_text
from tasks.storing import copying, objects
from tasks.storing.addresses import located
from tasks.storing.sending import packed, work
from tests.object_store import on_machine


@dataclass(frozen=True)
class Job:
    given: Path
    folder: str
    out: Path


def join(job: Job, between: str) -> str:
    """Reads a column file and an artifact, and writes another file."""
    write_text(job.out, job.given.read_text() + between + (Path(job.folder) / "facts").read_text())
    return str(job.out)


def test_a_job_is_done_in_the_copy_of_another_machine(
    address: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = located(address) / "pool"
    given, folder, out = home / "columns/a-k/p.parquet", home / "artifacts/model-k", home / "columns/b-k/p.parquet"
    write_text(given, "column")
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "facts").write_text("artifact")
    copying.put_folder(tmp_path / "made", folder)
    call, (job,) = packed(partial(join, between=" and "), [Job(given, str(folder), out)])
    assert call is work and str(tmp_path).encode() not in job

    on_machine(monkeypatch, server, tmp_path / "worker")
    assert Path(work(job)).is_relative_to(tmp_path / "worker")
    assert objects.read(located(address) / "pool" / "columns/b-k/p.parquet") == b"column and artifact"


def test_what_names_no_object_is_sent_as_it_is(tmp_path: Path) -> None:
    items = [Job(tmp_path, "x", tmp_path)]
    assert packed(len, items) == (len, items)


def test_what_the_store_lost_is_stored_again_before_a_worker_asks_for_it(address: str) -> None:
    given = located(address) / "pool" / "columns/a-k/p.parquet"
    write_text(given, "column")
    objects.remove(given)
    copying.forget_listings()
    packed(len, [given])
    assert objects.read(given) == b"column"
