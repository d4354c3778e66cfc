"""How a latent is moved by its gradient."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np


@dataclass(frozen=True)
class Optimizer(ABC):
    """A rule for one step upwards.

    Attributes:
        zero_gradient: below this, the largest gradient within a latent as good as does not move it.
    """

    zero_gradient: ClassVar[float] = float(np.finfo("float32").tiny)

    @property
    def key(self) -> tuple[Any, ...]:
        """What is compiled for it; hashable."""
        return type(self).__name__, self

    def state(self, latents: np.ndarray) -> list[np.ndarray]:
        """What it remembers of latents (rows, ...) before their first step: arrays (rows, ...)."""
        return []

    @abstractmethod
    def step(self, latents: Any, gradients: Any, sizes: Any, state: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The latents a step further, and what it remembers then.

        Args:
            latents, gradients: float32 (rows, ...).
            sizes: how far a step goes, (...) as a latent, or of a shape that goes with it.
            state: as `state` gives it, or the step before.
        """
