"""How much goes through a network at once."""

from collections.abc import Iterator, Sequence

import numpy as np

from convlens.network.inspected import Inspected

BUDGET = 512 * 2**20  # bytes of activations held at the same time
MOST_IMAGES = 32


def image_bytes(network: Inspected, arrays: Sequence[np.ndarray] | None = None, until: str | None = None) -> int:
    """Bytes of float32 that one image's layer outputs take, up to a layer."""
    total = 0
    for path, shape in network.observe(arrays).shapes.items():
        total += 4 * int(np.prod(shape[1:]))
        if path == until:
            break
    return max(total, 1)


def images_at_once(network: Inspected, arrays: Sequence[np.ndarray]) -> int:
    """A batch size whose layer outputs fit the memory budget."""
    return min(max(BUDGET // image_bytes(network, arrays), 1), MOST_IMAGES)


def chunks(total: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover `total`."""
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))
