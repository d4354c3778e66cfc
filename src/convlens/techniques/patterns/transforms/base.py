"""Views of an image, of which each step sees others: what is left is a pattern that stands being moved."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np


class Transform(ABC):
    """A distribution of views; its parameters are drawn in NumPy, one set a row and step."""

    @property
    @abstractmethod
    def key(self) -> tuple[Any, ...]:
        """What is compiled for it; hashable."""

    @abstractmethod
    def draw(self, generator: np.random.Generator, sides: tuple[int, int]) -> tuple[np.ndarray, ...]:
        """The parameters of one view of an image of these sides; always of the same shapes."""

    @abstractmethod
    def view(self, images: Any, parameters: Sequence[Any]) -> Any:
        """Views of images, (rows, height, width, channels), differentiable.

        Args:
            parameters: what `draw` gives, a row each: tensors (rows, ...).
        """
