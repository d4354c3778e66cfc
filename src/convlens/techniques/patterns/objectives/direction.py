"""The response along a direction in a layer's channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convlens.errors import FilterError, OptionError
from convlens.techniques.patterns.objectives.base import LayerObjective
from convlens.techniques.patterns.objectives.channel import spatial_mean

if TYPE_CHECKING:
    from convlens.techniques.patterns.objectives.reading import Reading


@dataclass(frozen=True)
class Direction(LayerObjective):
    """The dot product of a vector with the mean over space of a layer's output.

    Attributes:
        vector: one number per channel of the layer.
    """

    vector: tuple[float, ...]

    def __post_init__(self) -> None:
        vector = np.asarray(self.vector, "float64")
        if vector.ndim != 1 or not np.isfinite(vector).all() or not vector.any():
            raise OptionError("direction: expected a vector of finite numbers, one per channel, not all of them 0")
        object.__setattr__(self, "vector", tuple(vector.tolist()))

    def arrays(self) -> tuple[np.ndarray, ...]:
        return (np.array(self.vector, "float32"),)

    def check_channels(self, count: int) -> None:
        if len(self.vector) != count:
            raise FilterError(f"a direction of {len(self.vector)} numbers: layer {self.layer} has {count} channels")

    def values(self, reading: "Reading", arrays: Sequence[Any]) -> Any:
        from keras import ops

        return ops.sum(spatial_mean(reading.layers[self.layer]) * arrays[0], axis=-1)
