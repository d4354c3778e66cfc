"""What is climbed: a layer and a direction in its channels."""

from collections.abc import Callable
from typing import Any

from convlens.network.base import Network
from convlens.techniques.activations import recorded


def objective(network: Network, layer: str) -> Callable:
    """A function (images, directions, *others) -> ((sum of values,), values) for the output of a layer.

    A value is the mean over space of the output along a direction (batch, channels); for one filter, one-hot.
    `others` are the network's further inputs, which stay as they are.
    """
    from keras import ops

    record = recorded(network, [network.layer(layer)])
    place = network.image_input

    def values(images: Any, directions: Any, *others: Any) -> tuple[Any, Any]:
        (output,) = record(*others[:place], images, *others[place:])
        along = ops.mean(output, axis=tuple(range(1, len(output.shape) - 1))) if len(output.shape) > 2 else output
        each = ops.sum(along * directions, axis=-1)
        return ops.reshape(ops.sum(each), (1,)), each

    return values
