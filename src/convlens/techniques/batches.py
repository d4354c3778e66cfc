"""Work that several threads do at the same time."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextvars import copy_context
from threading import Event
from typing import TypeVar

from convlens import backend

Part = TypeVar("Part")
Found = TypeVar("Found")


def side_by_side(
    work: Callable[[Part, Callable[[], None]], Found], parts: Sequence[Part]
) -> Generator[Found, None, None]:
    """`work(part, check)` for each part, in their order, as many at the same time as the backend gains by.

    Each runs in a copy of the caller's context, so that it may use a network that the caller has for itself. To be
    closed after use. `check` raises once nobody waits for the rest: after an interruption, or a part's error.
    """
    workers = min(backend.current().calls_at_once(), len(parts))
    if workers < 2:
        yield from (work(part, lambda: None) for part in parts)
        return
    abandoned = Event()

    def check() -> None:
        if abandoned.is_set():
            raise CancelledError

    with ThreadPoolExecutor(workers) as pool:
        try:
            contexts = [copy_context() for _ in parts]
            yield from pool.map(lambda context, part: context.run(work, part, check), contexts, parts)
        finally:
            abandoned.set()
            pool.shutdown(cancel_futures=True)
