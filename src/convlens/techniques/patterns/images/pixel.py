"""An image whose pixels are optimized, in the network's own units."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from convlens.techniques.patterns.images.base import Image

# the noise of a start: pixels a side of its grain, darkest grey level, contrast in grey levels. The first is the
# book's, fine noise on grey. A filter that it does not reach may see more in coarser noise of more contrast, which has
# the low frequencies of photos
STARTS = ((1, 128.0, 20.0), (4, 96.0, 64.0), (4, 0.0, 255.0), (16, 0.0, 255.0))


@dataclass(frozen=True, eq=False)
class Pixel(Image):
    """The latent is the network's input itself, and a step is in grey levels."""

    starts: ClassVar[int] = len(STARTS)
    true_colours: ClassVar[bool] = False

    @property
    def key(self) -> tuple[Any, ...]:
        return ("pixel",)

    def begin(self, generator: np.random.Generator, attempt: int) -> np.ndarray:
        return self.colours.to_input(start_image(generator, self.sides, self.colours.channels, attempt))

    def inputs(self, latents: Any) -> Any:
        return latents

    def step_sizes(self, step_size: float) -> np.ndarray:
        # as large as an image: TensorFlow is slow at repeating a few values over the last axis
        return np.broadcast_to(self.colours.grey_level * step_size, (*self.sides, self.colours.channels)).astype(
            "float32"
        )


def start_image(generator: np.random.Generator, sides: tuple[int, int], channels: int, attempt: int = 0) -> np.ndarray:
    """A start of the ascent, RGB 0-255, float32 (*sides, channels).

    Args:
        attempt: the place in STARTS.
    """
    grain, darkest, contrast = STARTS[attempt]
    cells = [-(-side // grain) for side in sides]
    noise = generator.random((*cells, channels)).repeat(grain, 0).repeat(grain, 1)[: sides[0], : sides[1]]
    return (noise * contrast + darkest).astype("float32")
