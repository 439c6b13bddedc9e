"""A disk that fills up, a lake that may not be written: a message before or instead of work, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.errors import LakeError
from tasks.lake import find_pool
from tests.drawn_pool import draw_pool
from tests.flows.runs import curated
from tests.flows.test_kill import check


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    draw_pool(tmp_path / "shapes", 60, shard_rows=20)
    return tmp_path / "shapes"


def mount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount(folder, "size=16k")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may mount no disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_run_that_fills_the_disk_says_so_and_the_next_goes_on(pool: Path, disk: Path, tmp_path: Path) -> None:
    digest = curated(pool, tmp_path / "elsewhere")["digest"]
    outcome, full = None, 0
    for size in (16, 128, 384, 65536):
        mount(disk, f"remount,size={size}k")
        try:
            outcome = curated(pool, disk / "lake")
            break
        except LakeError as problem:
            assert "no space is left on its disk; make room there, then run the same command again" in str(problem)
            full += 1
        if list(disk.glob("lake/*/pool.json")):
            assert all(not version.missing() for version in find_pool(disk / "lake", None).versions())
    assert full >= 3 and outcome is not None and outcome["digest"] == digest
    check(disk / "lake", digest)


def test_a_lake_that_may_not_be_written_is_refused_before_any_work(pool: Path, disk: Path) -> None:
    mount(disk, "remount,ro")
    with pytest.raises(LakeError, match=r"disk may not be read and written by this user"):
        curated(pool, disk / "lake")
    mount(disk, "remount,rw,size=64m")
    curated(pool, disk / "lake")
    mount(disk, "remount,ro")
    with pytest.raises(LakeError, match=r"may not be read and written by this user"):
        curated(pool, disk / "lake")


def test_a_folder_of_somebody_else_is_refused_before_any_work(
    pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = os.mkdir

    def forbidden(path: str, *args: object, **kwargs: object) -> None:
        if str(path).startswith(str(tmp_path / "theirs")):
            raise PermissionError(13, "Permission denied", str(path))
        make(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "mkdir", forbidden)
    with pytest.raises(LakeError, match="may not be written: Permission denied; run as a user who may"):
        curated(pool, tmp_path / "theirs")
