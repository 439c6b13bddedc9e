import re
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from tasks.errors import LakeError
from tasks.files import TEMPORARY
from tasks.lock import hold, now

HOLDER = """
import sys, time
from pathlib import Path
from tasks.lock import hold
with hold(Path(sys.argv[1]), "run-1"):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(home: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, home], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    return process


def test_a_second_run_is_told_who_holds_the_lake_and_how_long(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        with pytest.raises(LakeError) as problem, hold(tmp_path, "run-2"):
            pass
        process.kill()
    told = re.search(r"held by run run-1 \(process (\d+) on .+, since (\S+)\)", str(problem.value))
    assert told is not None and int(told[1]) == process.pid
    assert datetime.fromisoformat(told[2]) <= datetime.fromisoformat(now())


def test_the_one_that_was_refused_leaves_the_holder_s_name(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        for _ in range(2):
            with pytest.raises(LakeError, match="run-1"), hold(tmp_path, "run-2"):
                pass
        process.kill()


def test_a_killed_holder_is_noticed_and_swept_after(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
    half = tmp_path / "columns" / f"{TEMPORARY}half"
    half.parent.mkdir()
    half.write_text("half")
    with hold(tmp_path, "run-2") as dead:
        assert dead == "run-1"
        assert not half.exists()
    with hold(tmp_path, "run-3") as dead:
        assert dead is None


def test_a_run_that_ended_or_failed_leaves_no_dead_holder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="failed"), hold(tmp_path, "run-1"):
        raise ValueError("failed")
    with hold(tmp_path, "run-2") as dead:
        assert dead is None


@pytest.mark.parametrize("content", ["{", "[]", "null", '{"run": "run-0", "pid": 1}', "\0" * 100])
def test_whatever_a_lock_file_holds_it_does_not_block(tmp_path: Path, content: str) -> None:
    (tmp_path / "lock").write_text(content)
    with hold(tmp_path, "run-1") as dead:
        assert dead == ("run-0" if "run-0" in content else None)


def test_the_lock_makes_the_folder_that_it_locks(tmp_path: Path) -> None:
    with hold(tmp_path / "lake" / "pool", "run-1") as dead:
        assert dead is None
