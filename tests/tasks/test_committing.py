import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tasks.files import TEMPORARY, write_table
from tasks.lake import Lake, open_lake
from tests.tasks.drafts import PARTS, commit, draft_of
from tests.tasks.small_version import decision_table

COMMIT_MANY = """
import sys, time
from pathlib import Path
from tests.tasks.drafts import commit, draft_of
from tasks.lake import Lake
draft = draft_of(Lake(Path(sys.argv[1]), "pool"))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(10):
    print(commit(draft).number, flush=True)
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path / "lake", "pool", "source")


def test_the_digest_covers_content_and_configuration_and_nothing_else(lake: Lake, tmp_path: Path) -> None:
    first = commit(draft_of(lake)).manifest["digest"]
    again = commit(draft_of(lake), run="run-2", created_at="later", code="x")
    elsewhere = open_lake(tmp_path / "other", "pool", "source")
    assert first == again.manifest["digest"] == commit(draft_of(elsewhere)).manifest["digest"]
    configured = commit(draft_of(lake).derive("ingest", config={"limit": 2}))
    third = open_lake(tmp_path / "third", "pool", "source")
    verdicts = commit(draft_of(third, ["kept"] * 5))
    assert len({first, configured.manifest["digest"], verdicts.manifest["digest"]}) == 3


def test_a_column_file_that_changed_changes_the_digest(lake: Lake) -> None:
    draft = draft_of(lake)
    before = commit(draft).manifest["digest"]
    time.sleep(0.02)
    write_table(draft.column_path("decision", PARTS[0]), decision_table(["kept", "kept", "quarantined"]))
    assert commit(draft).manifest["digest"] != before


def test_threads_that_commit_at_once_get_different_numbers(lake: Lake) -> None:
    draft = draft_of(lake)
    numbers: list[int | None] = []
    threads = [
        threading.Thread(target=lambda: numbers.extend(commit(draft).number for _ in range(10))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for number in numbers if number is not None) == list(range(1, 41))


def test_processes_that_commit_at_once_get_different_numbers_and_no_reader_sees_a_half(lake: Lake) -> None:
    draft_of(lake)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", COMMIT_MANY, str(lake.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        process.stdin.write(b"go\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    seen = 0
    until = time.monotonic() + 30
    while seen < 20 and time.monotonic() < until:
        found = [lake.manifest(number) for number in lake.numbers()]
        assert all(manifest["counts"]["kept"] == 4 for manifest in found)
        seen = len(found)
    told = [int(line) for process in processes for line in process.communicate()[0].split()]
    assert sorted(told) == list(range(1, 21))
    assert not [path for path in (lake.home / "versions").iterdir() if path.name.startswith(TEMPORARY)]
