"""The clock is set a year back or forward, between runs and in their midst: the lake stays whole, numbers give order.

Commands run under a clock of their own: a library that is loaded before the C library adds seconds to what programs
read, as setting a machine's clock would. What counts time without a date (the monotonic clock) goes on, as there.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.audit import earlier
from tasks.ages import made_before
from tasks.errors import LakeError
from tasks.keeping.collecting import collect, look
from tasks.keeping.retiring import Age, retirable
from tasks.lake import Lake, find_pool
from tasks.storing import objects
from tasks.storing.addresses import located
from tests.drawn_pool import draw_pool
from tests.flows.runs import FILE
from tests.flows.serving.test_schedule import SLUICE, environment
from tests.flows.test_cluster import certificates, cluster, told
from tests.flows.test_kill import check
from tests.object_store import BUCKET, serving
from tests.object_store import environment as of_store
from tests.tasks.keeping.kept_lake import add_run, files_of, left_behind, new_lake

YEAR = 365 * 86_400
CLOCK = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long *added;

__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("CLOCK_ADDED"), O_RDONLY);
    added = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = syscall(SYS_clock_gettime, clock, now);
    if (added && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *added;
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec fine;
    clock_gettime(CLOCK_REALTIME, &fine);
    now->tv_sec = fine.tv_sec;
    now->tv_usec = fine.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *to) {
    struct timespec fine;
    clock_gettime(CLOCK_REALTIME, &fine);
    if (to) *to = fine.tv_sec;
    return fine.tv_sec;
}
"""
needs_clock = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="a clock of its own needs Linux and a C compiler"
)


class Clock(NamedTuple):
    """A clock that tests set, for the processes that are started with its environment."""

    folder: Path

    def set(self, seconds: int) -> None:
        """So many seconds ahead of the machine's; less than 0: behind it."""
        with (self.folder / "added").open("r+b") as file:
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.folder / "clock.so"), "CLOCK_ADDED": str(self.folder / "added")}


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    folder = tmp_path / "clock"
    folder.mkdir()
    (folder / "added").write_bytes(bytes(8))
    (folder / "clock.c").write_text(CLOCK)
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(folder / "clock.so"), str(folder / "clock.c")]
    subprocess.run(command, check=True)
    return Clock(folder)


def stamped(*days_ago: float) -> dict[int, dict[str, Any]]:
    """Manifests 1, 2, …, stamped so many days ago."""
    present = datetime.now(UTC)
    return {
        number: {"created_at": (present - timedelta(days=days)).isoformat(timespec="seconds")}
        for number, days in enumerate(days_ago, 1)
    }


A_MONTH = timedelta(days=30)


def test_a_version_that_was_stamped_by_a_clock_set_back_is_as_young_as_what_came_before_it() -> None:
    month = datetime.now(UTC) - A_MONTH
    assert made_before(stamped(90, 60, 2, 367, 366, 1), month) == [1, 2]


def test_a_stamp_ahead_of_the_clock_hides_nothing_that_is_old() -> None:
    month = datetime.now(UTC) - A_MONTH
    assert made_before(stamped(90, -365, -364, 60, 2), month) == [1, 4]


@given(st.lists(st.integers(-400, 400), max_size=8), st.integers(1, 200))
def test_what_counts_as_old_comes_before_what_is_not_and_all_of_it_counts_while_the_clock_is_right(
    days_ago: list[int], days: int
) -> None:
    moment = datetime.now(UTC) - timedelta(days=days, hours=12)
    old = made_before(stamped(*days_ago), moment)
    young = [number for number, ago in enumerate(days_ago, 1) if 0 <= ago <= days]
    assert all(days_ago[number - 1] > days for number in old)
    assert not old or not young or max(old) < min(young)
    right = sorted((abs(ago) for ago in days_ago), reverse=True)
    assert made_before(stamped(*right), moment) == [n for n, ago in enumerate(right, 1) if ago > days]


@pytest.fixture
def odd(tmp_path: Path) -> Lake:
    """Complete versions 2, 4, …, 10: the clock was right, right, a year back, a year forward, right again."""
    lake = new_lake(tmp_path / "lake")
    for place, days in enumerate((90.0, 2.0, 367.0, -364.0, 0.5)):
        add_run(lake, ["abcde"[place]], days=days)
    return lake


def test_latest_and_the_order_of_versions_are_those_of_their_numbers(odd: Lake) -> None:
    assert odd.numbers() == list(range(1, 11))
    assert odd.version("latest").number == 10
    made = [datetime.fromisoformat(odd.manifest(number)["created_at"]) for number in odd.numbers()]
    assert made != sorted(made)


def test_the_audit_of_a_month_ago_takes_no_version_of_this_month(odd: Lake) -> None:
    (_, before), (_, month) = earlier(odd, odd.version("latest"), 30)
    assert before is not None and before.number == 8
    assert month is not None and month.number == 2


def test_collecting_by_date_gives_up_no_version_that_came_after_a_younger_one(odd: Lake) -> None:
    assert retirable(odd, Age(before=datetime.now(UTC) - A_MONTH)) == [1, 2]


@pytest.mark.parametrize("year", [-1, 1])
def test_a_collection_under_a_wrong_clock_leaves_every_version_whole(
    odd: Lake, year: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import lock
    from tasks.keeping import collecting

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + year * timedelta(seconds=YEAR)

    for module in (lock, collecting):
        monkeypatch.setattr(module, "datetime", Wrong)
    left_behind(odd)
    before = {version.number: files_of(version) for version in odd.versions()}
    seen = look(odd, Age())
    assert collect(odd, Age()) == seen
    assert bool(seen.remove) == (year > 0), "what is left behind is younger than a clock set back"
    assert {version.number: files_of(version) for version in odd.versions()} == before
    assert odd.version("latest").number == 10


class Refusal(NamedTuple):
    code: str
    what_to_do: str


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal("RequestTimeTooSkewed", "set this machine's clock"),
        Refusal("ExpiredToken", "get new temporary keys"),
    ],
)
def test_a_store_that_refuses_because_of_the_time_is_told_with_what_to_do(
    refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import ClientError

    def refuse(*arguments: object, **settings: object) -> None:
        problem = ClientError({"Error": {"Code": refusal.code, "Message": "refused"}}, "ListObjectsV2")
        raise PermissionError("refused") from problem  # as s3fs has it

    monkeypatch.setattr(objects.client(), "call_s3", refuse)
    with pytest.raises(LakeError, match=refusal.what_to_do):
        objects.entries(located("s3://lakes/team"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Three shards to come, an empty pool, its configuration."""
    draw_pool(tmp_path / "coming", 180, shard_rows=60)
    (tmp_path / "shapes").mkdir()
    shutil.copy(tmp_path / "coming" / "labels.csv", tmp_path)
    (tmp_path / "sluice.toml").write_text(FILE)
    return tmp_path


def arrive(home: Path, number: int) -> None:
    shutil.copy(home / "coming" / f"{number:05d}.tar", home / "shapes")


HOLD = """
import sys, time
from tasks.lock import hold
from tasks.storing.addresses import located
with hold(located(sys.argv[1]) / "shapes", "ahead"):
    print("held", flush=True)
    time.sleep(600)
"""
CURATE = ["curate", "shapes", "--config", "sluice.toml", "--workers", "1", "--json"]


def start(home: Path, command: Sequence[str], settings: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*SLUICE, *command],
        cwd=home,
        env=environment(home, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(home: Path, command: Sequence[str], settings: dict[str, str]) -> str:
    process = start(home, command, settings)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return out


def until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 240
    while not happened():
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.05)


def undisturbed(home: Path) -> list[str]:
    """The digests of three runs into another lake, a shard more each, by a clock that is right."""
    for shard in (home / "shapes").glob("*.tar"):
        shard.unlink()
    found = []
    for number in range(3):
        arrive(home, number)
        found.append(json.loads(run(home, [*CURATE, "--lake", "right"], {}))["digest"])
    return found


@needs_clock
@pytest.mark.slow
def test_runs_under_clocks_two_years_apart_make_what_a_right_clock_makes(home: Path, clock: Clock) -> None:
    digests = []
    for number, year in enumerate((1, -1, 0)):
        arrive(home, number)
        clock.set(year * YEAR)
        digests.append(json.loads(run(home, CURATE, clock.environment))["digest"])
        for command in (["gc", "--delete", "--now"], ["audit", "latest"], [*CURATE, "--dry-run"]):
            run(home, command, clock.environment)
        check(home / "lake", digests[-1])
    assert json.loads(run(home, CURATE, clock.environment))["status"] == "nothing new"
    versions = find_pool(home / "lake", None).versions()
    years = [datetime.fromisoformat(one.manifest["created_at"]).year for one in versions if one.manifest["complete"]]
    assert years[1] < years[2] < years[0]
    assert digests == undisturbed(home)


@needs_clock
@pytest.mark.slow
def test_a_clock_that_is_set_in_the_midst_of_a_run_changes_nothing(home: Path, clock: Clock) -> None:
    for number in range(3):
        arrive(home, number)
    process = start(home, CURATE, clock.environment)
    versions = home / "lake" / "shapes" / "versions"
    until((versions / "000001.json").exists, process)
    clock.set(-YEAR)
    assert "held by run" in refused(home, ["gc", "--delete"], clock.environment)
    until((versions / "000002.json").exists, process)
    clock.set(YEAR)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    check(home / "lake", json.loads(out)["digest"])
    assert json.loads(run(home, CURATE, {}))["status"] == "nothing new"


def refused(home: Path, command: Sequence[str], settings: dict[str, str]) -> str:
    process = start(home, command, settings)
    _, err = process.communicate(timeout=240)
    assert process.returncode != 0
    return " ".join(err.split())


@pytest.fixture
def store() -> Iterator[str]:
    with serving() as address:
        yield address


@needs_clock
@pytest.mark.slow
def test_a_lease_in_a_store_is_held_and_taken_over_whatever_the_clocks_say(
    home: Path, clock: Clock, store: str
) -> None:
    """The holder's clock is a year ahead, then right; that of who comes is a year behind. The holder dies."""
    arrive(home, 0)
    lake = f"s3://{BUCKET}/lakes/clock"
    ahead = Clock(Path(shutil.copytree(clock.folder, home / "ahead")))
    ahead.set(YEAR)
    clock.set(-YEAR)
    settings = {**ahead.environment, **of_store(store, home / "first")}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, lake], env=environment(home, **settings), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    ahead.set(0)
    come = {**clock.environment, **of_store(store, home / "second")}
    curate = [*CURATE, "--lake", lake]
    assert "is held by run ahead" in refused(home, curate, come)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = json.loads(run(home, curate, come))
    digest = json.loads(run(home, CURATE, {}))["digest"]
    assert (done["status"], done["digest"]) == ("done", digest)


@needs_clock
@pytest.mark.slow
def test_a_certificate_that_does_not_hold_yet_by_a_clock_set_back_is_told_with_the_clock(
    home: Path, clock: Clock, tmp_path: Path
) -> None:
    arrive(home, 0)
    settings = certificates(tmp_path / "tls")
    clock.set(-30 * YEAR)
    with cluster(tmp_path / "dask", [told(settings)]) as team:
        said = refused(home, [*CURATE, "--dask", team.address], {**clock.environment, **told(settings)})
    assert "certificate is not yet valid" in said and "set the clock" in said
    assert not list(home.glob("lake/*/versions/*"))
