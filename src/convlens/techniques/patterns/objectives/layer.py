"""All that a layer responds to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convlens.techniques.patterns.objectives.base import LayerObjective

if TYPE_CHECKING:
    from convlens.techniques.patterns.objectives.reading import Reading


@dataclass(frozen=True)
class Layer(LayerObjective):
    """The mean of the squares of a layer's output: deep dream (Mordvintsev et al. 2015)."""

    def arrays(self) -> tuple[np.ndarray, ...]:
        return ()

    def values(self, reading: "Reading", arrays: Sequence[Any]) -> Any:
        from keras import ops

        output = reading.layers[self.layer]
        return ops.mean(ops.square(output), axis=tuple(range(1, len(output.shape))))
