"""The outputs of layers from one forward pass."""

from collections.abc import Callable, Sequence
from typing import Any

from convlens.network.layers import LayerInfo, StopForward
from convlens.network.network import Network


def recorded(network: Network, layers: Sequence[LayerInfo]) -> Callable:
    """A function of the network's inputs that gives the outputs of layers, float32, in one forward pass.

    The pass ends with the last of the layers.
    """
    from keras import ops

    overwritten = network.observe().overwritten

    def record(*tensors: Any) -> list[Any]:
        kept: dict[str, Any] = {}

        def keep(path: str) -> Callable:
            def hook(tensor: Any) -> Any:
                kept[path] = ops.cast(ops.copy(tensor) if path in overwritten else tensor, "float32")
                if len(kept) == len(layers):
                    raise StopForward
                return tensor

            return hook

        with network.intercept({layer.path: keep(layer.path) for layer in layers}):
            network.forward(tensors)
        return [kept[layer.path] for layer in layers]

    return record
