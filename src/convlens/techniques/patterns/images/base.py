"""How an image is described by what is optimized, its latent."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np


@dataclass(frozen=True, eq=False)
class Colours:
    """How colours lie in the network's own input: x = matrix @ rgb + offset, rgb 0-255.

    Attributes:
        matrix: float32 (channels, channels).
        offset: float32 (channels,).
    """

    matrix: np.ndarray
    offset: np.ndarray

    @property
    def channels(self) -> int:
        return len(self.offset)

    @property
    def grey_level(self) -> np.ndarray:
        """The size of one grey level in each channel of the input."""
        return np.abs(self.matrix).sum(-1)

    def to_input(self, images: np.ndarray) -> np.ndarray:
        """From RGB 0-255 to the network's own units, (..., channels)."""
        return (images @ self.matrix.T + self.offset).astype("float32")

    def to_rgb(self, inputs: np.ndarray) -> np.ndarray:
        """From the network's own units to RGB 0-255, (..., channels)."""
        return ((inputs - self.offset) @ np.linalg.inv(self.matrix).T).astype("float32")


@dataclass(frozen=True, eq=False)
class Image(ABC):
    """An image of some size, and the latent that it is computed from.

    Attributes:
        sides: height and width in pixels.
        colours: of the network's input.
        starts: how many kinds of starts there are; the next is tried where one has no gradient.
        true_colours: whether its RGB is to be shown as it is, and not scaled by its own mean and deviation.
    """

    sides: tuple[int, int]
    colours: Colours
    starts: ClassVar[int] = 1
    true_colours: ClassVar[bool] = True

    @property
    @abstractmethod
    def key(self) -> tuple[Any, ...]:
        """What is compiled for it; hashable."""

    @abstractmethod
    def begin(self, generator: np.random.Generator, attempt: int) -> np.ndarray:
        """The latent of one image to start from, float32.

        Args:
            generator: of its random numbers.
            attempt: which of the `starts`, from 0.
        """

    @abstractmethod
    def inputs(self, latents: Any) -> Any:
        """Images in the network's own units, float32 (rows, height, width, channels), differentiable, of latents."""

    def step_sizes(self, step_size: float) -> np.ndarray:
        """How far one step moves a latent, as large as that or of a shape that goes with it."""
        return np.array(step_size, "float32")


def as_shown(images: np.ndarray) -> np.ndarray:
    """Images in their true colours, to bytes.

    Args:
        images: RGB 0-255, float32 (rows, height, width, channels).

    Returns:
        uint8 (rows, height, width, 3); other than 3 channels are shown as grey by the first, or by the first three.
    """
    shown = np.clip(np.rint(np.nan_to_num(images)), 0, 255).astype("uint8")
    if shown.shape[-1] in (1, 2):
        return np.repeat(shown[..., :1], 3, -1)
    return np.ascontiguousarray(shown[..., :3])
