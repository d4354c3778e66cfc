"""How much goes through a network at once."""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

import numpy as np

from convlens import backend
from convlens.network.base import Network

BUDGET = 512 * 2**20  # bytes of activations held at the same time
LARGEST = 32
Part = TypeVar("Part")
Found = TypeVar("Found")


def image_bytes(network: Network, arrays: Sequence[np.ndarray] | None = None, until: str | None = None) -> int:
    """Bytes of float32 that one image's layer outputs take, up to a layer."""
    total = 0
    for path, shape in network.observe(arrays).shapes.items():
        total += 4 * int(np.prod(shape[1:]))
        if path == until:
            break
    return max(total, 1)


def images_at_once(network: Network, arrays: Sequence[np.ndarray]) -> int:
    """A batch size whose layer outputs fit the memory budget."""
    return min(max(BUDGET // image_bytes(network, arrays), 1), LARGEST)


def chunks(total: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover `total`."""
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


def side_by_side(
    work: Callable[[Part, Callable[[], None]], Found], parts: Sequence[Part]
) -> Generator[Found, None, None]:
    """`work(part, check)` for each part, in their order, as many at the same time as the backend gains by.

    To be closed after use. `check` raises once nobody waits for the rest: after an interruption, or a part's error.
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
            yield from pool.map(lambda part: work(part, check), parts)
        finally:
            abandoned.set()
            pool.shutdown(cancel_futures=True)
