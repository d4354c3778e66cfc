"""The image that is climbed with: where it starts, and how it lies in the network's own input."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# the noise of a start: pixels a side of its grain, darkest grey level, contrast in grey levels
STARTS = ((1, 128.0, 20.0), (4, 96.0, 64.0), (4, 0.0, 255.0), (16, 0.0, 255.0))


@dataclass(frozen=True)
class Pixels:
    """How the ascent's image lies in the network's own input: x = matrix @ rgb + offset, rgb 0-255."""

    matrix: np.ndarray
    offset: np.ndarray

    @property
    def grey_level(self) -> np.ndarray:
        """The size of one grey level in each channel of the input."""
        return np.abs(self.matrix).sum(-1)

    def enter(self, images: np.ndarray) -> np.ndarray:
        return (images @ self.matrix.T + self.offset).astype("float32")

    def leave(self, inputs: np.ndarray) -> np.ndarray:
        return ((inputs - self.offset) @ np.linalg.inv(self.matrix).T).astype("float32")


def start_images(
    filters: Sequence[int], size: tuple[int, int], channels: int, seed: int, attempts: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Starts of the ascent, RGB 0-255, float32 (filters, *size, channels); each filter's own, whatever runs beside it.

    The first is the seed's, fine noise on grey. A filter that it does not reach may see more in coarser noise of
    more contrast, which has the low frequencies of photos.

    Args:
        attempts: the place in STARTS, one a filter.
    """
    starts = []
    for index, attempt in zip(filters, attempts, strict=True):
        grain, darkest, contrast = STARTS[attempt]
        cells = [-(-side // grain) for side in size]
        noise = np.random.default_rng([seed, index, int(attempt)]).random((*cells, channels))
        noise = noise.repeat(grain, 0).repeat(grain, 1)[: size[0], : size[1]]
        starts.append((noise * contrast + darkest).astype("float32"))
    return np.stack(starts)
