"""Batches that are computed at the same time."""

from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import closing
from threading import Barrier, Event

import pytest

from convlens import backend
from convlens.techniques.batches import side_by_side


@pytest.fixture(autouse=True)
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend.current(), "calls_at_once", lambda: 2)


def test_two_run_at_a_time_and_come_in_their_order() -> None:
    meeting = Barrier(2, timeout=20)  # broken unless two are there at once
    second = Event()

    def work(part: int, check: Callable[[], None]) -> int:
        meeting.wait()
        if part == 0:
            assert second.wait(20)  # is done later than the part after it
        if part == 1:
            second.set()
        return 10 * part

    assert list(side_by_side(work, range(4))) == [0, 10, 20, 30]


def test_an_error_of_one_stops_the_other() -> None:
    stopped = Event()

    def work(part: int, check: Callable[[], None]) -> None:
        if part == 0:
            raise ValueError("no")
        try:
            while True:
                check()
        except CancelledError:
            stopped.set()
            raise

    with pytest.raises(ValueError, match="no"):
        list(side_by_side(work, range(3)))
    assert stopped.is_set()


def test_whoever_takes_no_more_stops_the_rest() -> None:
    begun: list[int] = []

    def work(part: int, check: Callable[[], None]) -> int:
        begun.append(part)
        while part:
            check()
        return part

    with closing(side_by_side(work, range(9))) as parts:
        assert next(parts) == 0
    assert max(begun) < 3
