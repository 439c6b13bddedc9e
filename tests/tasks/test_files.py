import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks import files
from tasks.errors import LakeError
from tasks.files import (
    TEMPORARY,
    Digests,
    digests,
    read_table,
    sweep,
    write_array,
    write_aside,
    write_json,
    write_table,
)
from tasks.files import write_text as write_text_file

KILLED_WHILE_WRITING = """
import sys, time
from pathlib import Path
from tasks.files import write_aside
with write_aside(Path(sys.argv[1])) as aside:
    aside.write_text("half")
    print("written", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    "write",
    [
        lambda path, n: write_table(path, pa.table({"n": [n]})),
        lambda path, n: write_array(path, np.array([n])),
        lambda path, n: write_json(path, {"n": n}),
        lambda path, n: write_text_file(path, str(n)),
    ],
)
def test_a_file_is_written_whole_and_replaces_what_was_there(
    tmp_path: Path, write: Callable[[Path, int], None]
) -> None:
    path = tmp_path / "folder" / "file"
    write(path, 1)
    first = path.read_bytes()
    write(path, 2)
    assert path.read_bytes() != first
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    table = pa.table({"a": ["x", None], "b": [1, 2]}).replace_schema_metadata({"broken": "why"})
    write_table(tmp_path / "t.parquet", table)
    assert read_table(tmp_path / "t.parquet").equals(table)
    assert read_table(tmp_path / "t.parquet", ["b"]).column_names == ["b"]
    assert (read_table(tmp_path / "t.parquet", ["b"]).schema.metadata or {})[b"broken"] == b"why"


def test_an_exception_while_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(RuntimeError), write_aside(tmp_path / "file") as aside:
        aside.write_text("half")
        raise RuntimeError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "old")]


def test_a_kill_while_writing_leaves_the_old_file_and_what_the_next_run_sweeps(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_text_file(path, "old")
    with subprocess.Popen([sys.executable, "-c", KILLED_WHILE_WRITING, path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    assert path.read_text() == "old"
    assert [p.name.startswith(TEMPORARY) for p in path.parent.iterdir() if p != path] == [True]
    (tmp_path / f"{TEMPORARY}artifact").mkdir()
    (tmp_path / f"{TEMPORARY}artifact" / "model").write_text("half")
    assert sweep(tmp_path) == 2
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_json_keeps_text_as_it_is(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"caption": "café 🕐"})
    assert "café 🕐" in (tmp_path / "a.json").read_text("utf-8")


# --- digests


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read for a digest from now on."""
    import hashlib

    whole, read = hashlib.file_digest, []

    def watched(file, kind):  # type: ignore[no-untyped-def]
        read.append(file.name)
        return whole(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", watched)
    return read


def test_a_digest_is_remembered_across_processes_while_the_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = counted(monkeypatch)
    file = tmp_path / "shard"
    file.write_bytes(b"one")
    first = Digests(tmp_path)
    digest = first.of(file)
    first.save()
    assert Digests(tmp_path).of(file) == digest == first.of(file)
    assert len(read) == 1


@pytest.mark.parametrize("keep_time", [False, True])
def test_a_change_of_the_same_size_is_noticed_even_with_its_time_set_back(tmp_path: Path, keep_time: bool) -> None:
    file = tmp_path / "shard"
    file.write_bytes(b"one")
    known = Digests(tmp_path)
    before, stat = known.of(file), file.stat()
    time.sleep(0.02)  # file systems tell times to a few milliseconds
    file.write_bytes(b"two")
    if keep_time:
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert known.of(file) != before


@pytest.mark.parametrize("content", ["", "{", "[]", "\udcff"])
def test_a_damaged_cache_is_made_again(tmp_path: Path, content: str) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "digests.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    known = Digests(tmp_path)
    (tmp_path / "shard").write_bytes(b"")
    assert known.of(tmp_path / "shard") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    known.save()
    assert str(tmp_path / "shard") in json.loads((tmp_path / "cache" / "digests.json").read_text())


def test_a_cache_of_names_that_are_not_utf8_is_saved(tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"\xff.tar")
    file.write_bytes(b"x")
    known = Digests(tmp_path)
    known.of(file)
    known.save()
    assert str(file) in Digests(tmp_path).known


def test_a_process_has_one_cache_for_a_pool(tmp_path: Path) -> None:
    assert digests(tmp_path / "a") is digests(tmp_path / "a") is not digests(tmp_path / "b")


def test_a_new_file_never_takes_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "log" / "1.json"
    assert files.write_new(path, "first") and not files.write_new(path, "x")
    assert [path.read_text() for path in (tmp_path / "log").iterdir()] == ["first"]


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), OSError("512 requested and 8 written")])
def test_a_full_disk_is_told_with_what_to_do_and_leaves_nothing_aside(tmp_path: Path, problem: OSError) -> None:
    with (
        pytest.raises(LakeError, match="no space is left on its disk; make room there"),
        files.write_aside(tmp_path / "a"),
    ):
        raise problem
    assert not list(tmp_path.iterdir())


def test_another_problem_than_the_disk_s_is_not_taken_for_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), files.write_aside(tmp_path / "a") as aside:
        aside.write_text((tmp_path / "absent").read_text())
    with pytest.raises(PermissionError), files.write_aside(tmp_path / "a" / "b"):
        raise PermissionError(13, "Permission denied", "/elsewhere/input")
