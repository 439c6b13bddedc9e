import threading
import time
from collections.abc import Iterator

import pytest

from tasks.reading import ahead
from tasks.reading.ahead import in_order


def test_results_come_in_the_items_order_whatever_finishes_first() -> None:
    def work(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item * item

    assert list(in_order(work, iter(range(50)), 4, ahead=8)) == [n * n for n in range(50)]


def test_no_more_is_begun_than_the_look_ahead_allows() -> None:
    begun: list[int] = []
    results = in_order(lambda item: begun.append(item), iter(range(100)), 2, ahead=5)
    for taken in range(20):
        next(results)
        assert len(begun) <= taken + 5


def test_no_more_bytes_wait_than_the_budget_and_one_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "AHEAD_BYTES", 10)
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            drawn.append(number)
            yield number

    results = in_order(lambda item: item, items(), 2, lambda item: 4)
    for taken in range(15):
        assert next(results) == taken
        assert len(drawn) <= taken + 3


def test_work_runs_while_its_taker_is_busy() -> None:
    """The taker waits for the third item's work before it takes the first."""
    reached = threading.Event()

    def work(item: int) -> int:
        if item == 2:
            reached.set()
        return item

    results = in_order(work, iter(range(10)), 1)
    assert next(results) == 0
    assert reached.wait(5)
    assert list(results) == list(range(1, 10))


def test_what_the_work_raises_is_raised_in_its_place() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("item 3")
        return item

    taken = []
    with pytest.raises(ValueError, match="item 3"):
        for result in in_order(work, iter(range(1000)), 2, ahead=4):
            taken.append(result)
    assert taken == [0, 1, 2]


def test_what_the_items_raise_is_raised_and_the_threads_end() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk failed")

    before = threading.active_count()
    with pytest.raises(OSError, match="the disk failed"):
        list(in_order(lambda item: item, items(), 2))
    assert threading.active_count() == before


def test_a_taker_that_stops_drops_what_was_begun() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        time.sleep(0.005)
        done.append(item)

    results = in_order(work, iter(range(1000)), 1)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(done) < 100
