"""Moved, turned and resized views: affine maps, put together and applied by one gather of four neighbours."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convlens.errors import OptionError
from convlens.techniques.patterns.transforms.base import Transform


class Motion(ABC):
    """A distribution of affine maps of the plane."""

    @abstractmethod
    def draw(self, generator: np.random.Generator) -> np.ndarray:
        """From where in the image a view has what it has at (row, column, 1), pixels from the middle: (3, 3)."""


@dataclass(frozen=True)
class Jitter(Motion):
    """Moved by up to so many pixels each way, uniformly."""

    pixels: float

    def draw(self, generator: np.random.Generator) -> np.ndarray:
        matrix = np.eye(3)
        matrix[:2, 2] = generator.uniform(-self.pixels, self.pixels, 2)
        return matrix


@dataclass(frozen=True)
class Scale(Motion):
    """Magnified by a factor between two, uniformly."""

    least: float
    most: float

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.most:
            raise OptionError(f"scale {self.least} to {self.most}: expected factors above 0, the smaller first")

    def draw(self, generator: np.random.Generator) -> np.ndarray:
        factor = 1 / generator.uniform(self.least, self.most)
        return np.diag([factor, factor, 1.0])


@dataclass(frozen=True)
class Rotate(Motion):
    """Turned by up to so many degrees either way, uniformly."""

    degrees: float

    def draw(self, generator: np.random.Generator) -> np.ndarray:
        angle = np.radians(generator.uniform(-self.degrees, self.degrees))
        cos, sin = np.cos(angle), np.sin(angle)
        return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


@dataclass(frozen=True)
class Warp(Transform):
    """The image seen through motions, one after the other; bilinear, and mirrored about its outermost pixels.

    Attributes:
        motions: the last one is the nearest to the image.
        pad: pixels that the view has more on each side than the image.
    """

    motions: tuple[Motion, ...]
    pad: int = 0

    @property
    def key(self) -> tuple[Any, ...]:
        return "warp", self.pad  # the motions are numbers that it gets

    def draw(self, generator: np.random.Generator, sides: tuple[int, int]) -> tuple[np.ndarray, ...]:
        matrix = np.eye(3)
        for motion in self.motions:
            matrix = motion.draw(generator) @ matrix
        return ((matrix - np.eye(3))[:2].astype("float32"),)

    def view(self, images: Any, parameters: Sequence[Any]) -> Any:
        return warped(images, parameters[0], self.pad)


NONE: tuple[Transform, ...] = ()


def warped(images: Any, displacement: Any, pad: int = 0) -> Any:
    """Views of images, bilinear, and mirrored about the outermost pixels.

    Args:
        images: float32 (rows, height, width, channels).
        displacement: float32 (rows, 2, 3): by it, multiplied with a place (row, column, 1) of the view in pixels from
            the middle, that place in the image differs. As a difference, it is exact also far from the middle.
        pad: pixels that a view has more on each side.

    Returns:
        (rows, height + 2 pad, width + 2 pad, channels).
    """
    from keras import ops

    count, height, width, channels = images.shape
    for axis in (1, 2):
        if images.shape[axis] == 1:  # has no neighbour to be mixed with but itself
            images = ops.repeat(images, 2, axis=axis)
    (row, y), (column, x) = _neighbours(displacement, (height, width), pad)
    # each place's four neighbours side by side, so that one gather fetches them
    parts = [images[:, :-1, :-1], images[:, :-1, 1:], images[:, 1:, :-1], images[:, 1:, 1:]]
    fours: Any = ops.concatenate(parts, axis=-1)
    rows, columns = fours.shape[1:3]
    own: Any = ops.expand_dims(ops.arange(count, dtype="int32"), 1) * (rows * columns)
    found = ops.take(ops.reshape(fours, (-1, 4 * channels)), ops.cast(row * columns + column, "int32") + own, axis=0)
    weights: Any = ops.stack([(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x], axis=-1)
    mixed = ops.sum(ops.reshape(found, (*weights.shape, channels)) * ops.expand_dims(weights, -1), axis=2)
    return ops.reshape(mixed, (count, height + 2 * pad, width + 2 * pad, channels))


def _neighbours(displacement: Any, sides: tuple[int, int], pad: int) -> Iterator[tuple[Any, Any]]:
    """For rows, then columns: the lower of the two of an image that each place of a view lies between, and how far from
    it, 0 to 1; float32 (rows, places), of which the first are whole numbers."""
    from keras import ops

    places = np.meshgrid(*(np.arange(-pad, side + pad) for side in sides), indexing="ij")
    down, right = (
        ops.convert_to_tensor((at.reshape(1, -1) - (side - 1) / 2).astype("float32"))
        for at, side in zip(places, sides, strict=True)
    )
    for axis, (at, side) in enumerate(zip(places, sides, strict=True)):
        by, last = displacement[:, axis], max(side - 1, 1)
        moved: Any = by[:, 0:1] * down + by[:, 1:2] * right + by[:, 2:3]
        whole: Any = ops.floor(moved)
        before: Any = whole + ops.convert_to_tensor(at.reshape(1, -1).astype("float32"))
        # mirrored, the image comes again after twice its length: first forwards, then backwards
        times: Any = ops.floor((before + 0.5) / (2 * last))
        along = before - 2 * last * times
        forwards, fraction = along < last, moved - whole
        yield (
            ops.where(forwards, along, 2 * last - 1 - along),
            ops.where(forwards, fraction, 1 - fraction),
        )
