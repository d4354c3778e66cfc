"""The mean response of a filter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convlens.techniques.patterns.objectives.base import ChannelObjective

if TYPE_CHECKING:
    from convlens.techniques.patterns.objectives.reading import Reading


@dataclass(frozen=True)
class Channel(ChannelObjective):
    """The mean over space of one channel of a layer: a filter, or a unit of a layer without space."""

    def values(self, reading: "Reading", arrays: Sequence[Any]) -> Any:
        from keras import ops

        means = spatial_mean(reading.layers[self.layer])
        return ops.sum(means * reading.one_hot(self.layer, arrays[0]), axis=-1)


def spatial_mean(output: Any) -> Any:
    """The mean over all but rows and channels: (rows, channels)."""
    from keras import ops

    return ops.mean(output, axis=tuple(range(1, len(output.shape) - 1))) if len(output.shape) > 2 else output
