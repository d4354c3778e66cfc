"""What objectives read of a network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reading:
    """What a network makes of a batch of images, one a row.

    Attributes:
        layers: by path, float32 (rows, height, width, channels), or (rows, ..., features) where it is not spatial.
        logits: by the number of the output, float32 (rows, classes).
        only_channels: whether layers have just the channels that the objectives ask for, one a row.
    """

    layers: Mapping[str, Any]
    logits: Mapping[int, Any]
    only_channels: bool = False

    def one_hot(self, layer: str, channels: Any) -> Any:
        """Ones where a row's channel is, else zeros: float32 (rows, channels of `layers[layer]`).

        Args:
            channels: int32 (rows,).
        """
        from keras import ops

        if self.only_channels:
            return ops.eye(channels.shape[0])
        return ops.one_hot(channels, self.layers[layer].shape[-1], dtype="float32")
