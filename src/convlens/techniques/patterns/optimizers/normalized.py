"""Steps of the same length, whatever the gradient's: the book's."""

from collections.abc import Sequence
from typing import Any, ClassVar

from convlens.techniques.patterns.optimizers.base import Optimizer

EPSILON = 1e-5


class Normalized(Optimizer):
    """x + size * g / (rms(g) + 1e-5): the gradient by its root mean square within a latent."""

    zero_gradient: ClassVar[float] = 1e-4 * EPSILON  # smaller ones move an image by less than 1e-4 grey levels a step

    def step(self, latents: Any, gradients: Any, sizes: Any, state: Sequence[Any]) -> tuple[Any, list[Any]]:
        from keras import ops

        within = tuple(range(1, len(gradients.shape)))
        rms = ops.sqrt(ops.mean(ops.square(gradients), axis=within, keepdims=True)) + EPSILON
        return latents + sizes * (gradients / rms), []
