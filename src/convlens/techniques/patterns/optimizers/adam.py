"""Adam (Kingma and Ba 2015, arXiv 1412.6980), upwards."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from convlens.techniques.patterns.optimizers.base import Optimizer


@dataclass(frozen=True)
class Adam(Optimizer):
    """x + size * m / (sqrt(v) + epsilon), with m and v the running means of g and g**2 without their bias to 0.

    Attributes:
        first, second: what stays of the means in a step.
        epsilon: beside the root.
    """

    first: float = 0.9
    second: float = 0.999
    epsilon: float = 1e-8
    zero_gradient: ClassVar[float] = 1e-12  # far below epsilon

    def state(self, latents: np.ndarray) -> list[np.ndarray]:
        return [np.zeros_like(latents), np.zeros_like(latents), np.zeros(len(latents), "float32")]

    def step(self, latents: Any, gradients: Any, sizes: Any, state: Sequence[Any]) -> tuple[Any, list[Any]]:
        from keras import ops

        mean, square, taken = state
        taken = taken + 1  # of each row its own: one that starts again begins at 0
        mean = self.first * mean + (1 - self.first) * gradients
        square = self.second * square + (1 - self.second) * gradients * gradients
        count: Any = ops.reshape(taken, (-1, *([1] * (len(latents.shape) - 1))))
        unbiased = mean / (1 - self.first**count)
        size = ops.sqrt(square / (1 - self.second**count)) + self.epsilon
        return latents + sizes * unbiased / size, [mean, square, taken]
