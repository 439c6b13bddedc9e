import threading
import time
from pathlib import Path

import pytest

from tasks.errors import LakeError, LakeHeld
from tasks.lock import hold
from tasks.storing import lease, objects
from tasks.storing.addresses import located

RUN = {"run": "first", "pid": "1", "host": "one", "since": "now"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RENEWED": 0.1, "EXPIRED": 1.0, "LOOKS": 0.05}.items():
        monkeypatch.setattr(lease, name, value)


def test_one_holds_a_pool_and_others_are_told_who(address: str) -> None:
    home = located(address) / "pool"
    with hold(home, "first") as dead:
        assert dead is None
        with pytest.raises(LakeHeld, match=r"s3://.*/pool is held by run first \(process"), hold(home, "second"):
            pass
    with hold(home, "third") as dead:
        assert dead is None
    assert objects.find(home / lease.FOLDER) == {}


def test_a_lease_that_nobody_renews_is_taken_over_and_its_run_named(address: str) -> None:
    home = located(address) / "pool"
    objects.create(home / lease.FOLDER / "000007.json", b'{"run": "killed", "since": "2999-01-01T00:00:00+00:00"}')
    began = time.monotonic()
    with hold(home, "next") as dead:
        assert dead == "killed"
        assert list(objects.find(home / lease.FOLDER)) == ["000008.json"]
    assert time.monotonic() - began >= lease.EXPIRED


def test_a_holder_that_was_taken_for_dead_may_commit_no_more(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home = located(address) / "pool"
    with lease.leased(home, RUN):
        lease.check(home)
        objects.create(home / lease.FOLDER / "000002.json", b'{"run": "second"}')
        with pytest.raises(LakeError, match="was taken over by another run"):
            lease.check(home)
        time.sleep(0.5)
        objects.remove(home / lease.FOLDER / "000002.json")  # the other has ended; this one has still lost it
        with pytest.raises(LakeError, match="run the same command again"):
            lease.check(home)


def test_of_those_who_find_a_dead_lease_one_takes_it(address: str) -> None:
    home = located(address) / "pool"
    objects.create(home / lease.FOLDER / "000001.json", b'{"run": "killed"}')
    held, refused = [], []

    def take(run: str) -> None:
        try:
            with lease.leased(home, {**RUN, "run": run}):
                held.append(run)
                time.sleep(2)
        except LakeHeld:
            refused.append(run)

    threads = [threading.Thread(target=take, args=(f"{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), len(refused)) == (1, 3)


def test_a_clock_that_is_set_changes_nothing(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home = located(address) / "pool"
    with hold(home, "first"):
        monkeypatch.setattr(time, "time", lambda: 4e9)
        with pytest.raises(LakeHeld, match="held by run first"), hold(home, "second"):
            pass


def test_a_store_without_conditional_writes_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unconditional(path: Path, data: bytes) -> bool:
        objects.write(path, data)
        return True

    monkeypatch.setattr(objects, "create", unconditional)
    with (
        pytest.raises(LakeError, match="overwrites an object although it is asked not to"),
        hold(located(address), "r"),
    ):
        pass
    assert objects.find(located(address)) == {}
