"""What came of an ascent, in numbers and in a word: whether an image is what its filter looks for."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from convlens.results.patterns import (
    CONSTANT,
    FELL,
    HARDLY_ROSE,
    MOSTLY_START,
    NON_FINITE,
    OK,
    UNREACHED,
    ZERO_GRADIENT,
)
from convlens.techniques.patterns.ascent import Optimized
from convlens.techniques.patterns.images.base import Colours

# At 40 steps, in deep layers, images with a pattern of their own keep up to 0.48 of their start, and those that show
# the blocks of a coarse start 0.73 and more
HALF = 0.5
CLEAR = 1e-3  # of the activation: a rise that is no rounding; float32 is good for 1e-4 after a deep network
FLAT = 1e-6  # grey levels: less contrast than can be shown


@dataclass
class Outcomes:
    """Of some filters, filled batch by batch.

    Attributes:
        images: RGB 0-255, float32 (filters, height, width, channels).
        start, end: the filters' values before the first step and after the last, in float32.
        of_start: see `share_of_start`.
        zero_gradient: no gradient where the last start was.
    """

    images: np.ndarray
    start: np.ndarray = field(init=False)
    end: np.ndarray = field(init=False)
    of_start: np.ndarray = field(init=False)
    zero_gradient: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.images)
        self.start, self.end, self.of_start = (np.zeros(count, "float32") for _ in range(3))
        self.zero_gradient = np.zeros(count, bool)

    def put(
        self, rows: list[int], part: Optimized, colours: Colours, measure: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        """Takes over the first of a batch.

        Args:
            rows: of these outcomes.
            colours: of the network's input.
            measure: gives the values of the batch's objectives on images in the network's own units.
        """
        kept = slice(len(rows))
        self.images[rows], self.zero_gradient[rows] = colours.to_rgb(part.images[kept]), part.zero_gradient[kept]
        self.start[rows], self.end[rows] = measure(part.starts)[kept], measure(part.images)[kept]
        self.of_start[rows] = share_of_start(colours.to_rgb(part.starts[kept]), self.images[rows])

    @property
    def finite(self) -> np.ndarray:
        shown = np.isfinite(_contrast(self.images))
        return shown & np.isfinite(self.images).all(axis=(1, 2, 3)) & np.isfinite(self.start) & np.isfinite(self.end)

    @property
    def lost(self) -> np.ndarray:
        """Where nothing is left of the activation."""
        return (self.end == 0) & (self.start >= 0)

    @property
    def status(self) -> tuple[str, ...]:
        """A word a filter, a key of STATUS: the first that is so."""
        with np.errstate(invalid="ignore"):  # of values that are not finite, which is said first
            rise = self.end - self.start
        size = np.maximum(np.abs(self.start), np.abs(self.end))
        words = [
            (~self.finite, NON_FINITE),
            (self.zero_gradient & (self.start > 0), ZERO_GRADIENT),
            (self.zero_gradient | (self.lost & (self.start == 0)), UNREACHED),
            (rise < -CLEAR * size, FELL),
            (rise <= CLEAR * size, HARDLY_ROSE),
            (self.of_start > HALF, MOSTLY_START),
            (_contrast(self.images) <= FLAT, CONSTANT),
        ]
        return tuple(np.select([which for which, _ in words], [word for _, word in words], OK).tolist())


def _contrast(images: np.ndarray) -> np.ndarray:
    """The deviation within each image, as far as float32 can tell."""
    with np.errstate(over="ignore", invalid="ignore"):
        return images.std((1, 2, 3))


def share_of_start(starts: np.ndarray, images: np.ndarray) -> np.ndarray:
    """The squared correlation of each image with the one it started from: the share of what its picture shows, the
    differences from its mean, that was there at the start; 0 where either is the same everywhere or not finite.

    Args:
        starts, images: (filters, height, width, channels).

    Returns:
        float32 (filters,), 0-1.
    """
    found = np.zeros(len(images), "float32")
    for row, pair in enumerate(zip(starts, images, strict=True)):
        before, after = (image.astype("float64").ravel() for image in pair)
        if np.isfinite(before).all() and np.isfinite(after).all():
            before, after = before - before.mean(), after - after.mean()
            scale = (before @ before) * (after @ after)
            found[row] = (before @ after) ** 2 / scale if scale > 0 else 0
    return found
