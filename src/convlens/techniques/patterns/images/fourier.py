"""An image whose spectrum is optimized, with colours that do not depend on one another."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from convlens.techniques.patterns.images.base import Image

# columns: how the colours of photos vary together, strongest first: a root of the covariance of their RGB logits,
# by the length of its longest column; of 2,000 photos of cats and dogs, by tools/photo_statistics.py
PHOTO_COLOURS = ((0.575, 0.174, 0.037), (0.578, -0.022, -0.093), (0.578, -0.151, 0.056))
STARTS = (0.01, 0.1, 1.0)  # deviation of the latent's noise


@dataclass(frozen=True, eq=False)
class Fourier(Image):
    """RGB = 255 * sigmoid(colours @ irfft2(latent / max(f, 1/side)) * side / 4), f in cycles per pixel.

    The latent holds the real and imaginary parts of the spectrum, float32 (2, channels, height, width // 2 + 1),
    scaled so that a step moves each frequency as photos have it: as 1/f. Olah et al. 2017, "Feature visualization",
    Mordvintsev et al. 2018, "Differentiable image parameterizations" (both at distill.pub). Networks of other than
    three channels get each channel by itself.
    """

    starts: ClassVar[int] = len(STARTS)

    @property
    def key(self) -> tuple[Any, ...]:
        colours = self.colours.matrix.tobytes(), self.colours.offset.tobytes()
        return ("fourier", self.sides, *colours)

    def begin(self, generator: np.random.Generator, attempt: int) -> np.ndarray:
        height, width = self.sides
        noise = generator.standard_normal((2, self.colours.channels, height, width // 2 + 1), dtype="float32")
        return noise * np.float32(STARTS[attempt])

    def inputs(self, latents: Any) -> Any:
        from keras import ops

        (height, width), channels = self.sides, self.colours.channels
        spectrum: Any = latents * ops.convert_to_tensor(self._scale())
        real, imaginary = (ops.transpose(spectrum[:, part], (0, 1, 3, 2)) for part in (0, 1))
        # the inverse transform along the height: the conjugate of that of the conjugate
        turned: Any = ops.fft((real, -imaginary))
        real, imaginary = (ops.transpose(part / height, (0, 1, 3, 2)) for part in (turned[0], -turned[1]))
        plain = ops.reshape(ops.irfft((real, imaginary), width), (-1, channels, height * width))
        rgb: Any = ops.sigmoid(ops.matmul(ops.convert_to_tensor(self._colours()), plain))
        matrix, offset = (part.astype("float32") for part in (255 * self.colours.matrix, self.colours.offset[:, None]))
        scaled: Any = ops.matmul(ops.convert_to_tensor(matrix), rgb)
        inputs = scaled + ops.convert_to_tensor(offset)
        return ops.transpose(ops.reshape(inputs, (-1, channels, height, width)), (0, 2, 3, 1))

    def _scale(self) -> np.ndarray:
        """What the latent's frequencies are multiplied by, float32 (height, width // 2 + 1)."""
        height, width = self.sides
        frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
        return (np.sqrt(height * width) / 4 / np.maximum(frequencies, 1 / max(height, width))).astype("float32")

    def _colours(self) -> np.ndarray:
        count = self.colours.channels
        return np.array(PHOTO_COLOURS, "float32") if count == 3 else np.eye(count, dtype="float32")
