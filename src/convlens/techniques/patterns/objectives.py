"""What is climbed: a layer and a direction in its channels."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from convlens.network.network import Network
from convlens.techniques.activations import recorded


def objective(network: Network, layer: str, narrow: bool = False) -> Callable:
    """A function (images, directions, *others) -> ((sum of values,), values) for the output of a layer.

    A value is the mean over space of the output along a direction (batch, channels); for one filter, one-hot.
    `others` are the network's further inputs, which stay as they are. With `narrow`, the second argument is int32
    (batch,), the filter of each image, and only those channels of the layer are computed.
    """
    from keras import ops

    record = recorded(network, [network.layer(layer)])
    place = network.image_input

    def values(images: Any, directions: Any, *others: Any) -> tuple[Any, Any]:
        few = nullcontext()
        if narrow:
            few = network.only_channels(layer, directions)
            directions = ops.eye(directions.shape[0])
        with few:
            (output,) = record(*others[:place], images, *others[place:])
        along = ops.mean(output, axis=tuple(range(1, len(output.shape) - 1))) if len(output.shape) > 2 else output
        each = ops.sum(along * directions, axis=-1)
        return ops.reshape(ops.sum(each), (1,)), each

    return values


def value(network: Network, layer: str, narrow: bool = False) -> Callable:
    """A function (images, directions, *others) -> values of the `objective`, without what gradients would need."""
    both = objective(network, layer, narrow)
    return lambda *arguments: both(*arguments)[1]
