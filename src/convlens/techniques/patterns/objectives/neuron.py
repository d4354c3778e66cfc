"""The response of a filter at one position."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convlens.errors import OptionError
from convlens.techniques.patterns.objectives.base import ChannelObjective, Shapes

if TYPE_CHECKING:
    from convlens.techniques.patterns.objectives.reading import Reading


@dataclass(frozen=True)
class Neuron(ChannelObjective):
    """One channel of a spatial layer's output at one position.

    Attributes:
        position: row and column in the output, from 0; None for the middle.
    """

    position: tuple[int, int] | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        return (*super().key, self.position is None)

    def arrays(self) -> tuple[np.ndarray, ...]:
        place = () if self.position is None else (np.array(self.position, "int32"),)
        return (*super().arrays(), *place)

    def check(self, shapes: Shapes) -> None:
        shape = shapes[self.layer]
        if len(shape) != 4:
            raise OptionError(f"layer {self.layer} has output {shape}; a neuron's position needs a spatial one")
        _, height, width, _ = shape
        if self.position is not None and not (0 <= self.position[0] < height and 0 <= self.position[1] < width):
            raise OptionError(
                f"position {self.position} is out of range: layer {self.layer} puts out {height}x{width} positions"
                " for images of this size"
            )

    def values(self, reading: "Reading", arrays: Sequence[Any]) -> Any:
        from keras import ops

        output = reading.layers[self.layer]
        height, width = output.shape[1:3]
        if self.position is None:
            here = output[:, height // 2, width // 2]
        else:
            row, column = (ops.one_hot(arrays[1][:, i], size) for i, size in enumerate((height, width)))
            mask = ops.expand_dims(row, 2) * ops.expand_dims(column, 1)
            here = ops.sum(output * ops.expand_dims(mask, -1), axis=(1, 2))
        return ops.sum(here * reading.one_hot(self.layer, arrays[0]), axis=-1)
