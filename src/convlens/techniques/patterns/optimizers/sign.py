"""Steps of the same size in each number of a latent."""

from collections.abc import Sequence
from typing import Any

from convlens.techniques.patterns.optimizers.base import Optimizer


class Sign(Optimizer):
    """x + size * sign(g)."""

    def step(self, latents: Any, gradients: Any, sizes: Any, state: Sequence[Any]) -> tuple[Any, list[Any]]:
        from keras import ops

        return latents + sizes * ops.sign(gradients), []
