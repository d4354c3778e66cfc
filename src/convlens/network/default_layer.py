"""Finds the layer that class heatmaps look at, by running the network."""

from typing import TYPE_CHECKING, Any

import numpy as np

from convlens.network.layers import POOLING, LayerInfo

if TYPE_CHECKING:
    from convlens.network.base import Network


def find_default_layer(network: "Network", layers: list[LayerInfo]) -> str | None:
    """The last spatial tensor that every path to the output crosses, before any pooling.

    Every path crosses a tensor if the output no longer depends on the input once that tensor is a constant.

    Returns:
        the path of the layer that makes it, or None.
    """
    shapes = network.observe().shapes
    for layer in reversed(_candidates(network, layers)):
        if np.prod(shapes[layer.path][1:3]) > 1 and _all_cross(network, layer.path):
            return layer.path
    return None


def _candidates(network: "Network", layers: list[LayerInfo]) -> list[LayerInfo]:
    """One layer for each spatial tensor: the layer that computes it, or what is around a layer called again."""
    seen = network.observe()
    chosen: dict[int, LayerInfo] = {}
    for layer in layers:
        tensor = seen.same[layer.path]
        if len(layer.output_shape) != 4 or layer.role == POOLING or layer.path in seen.passed:
            continue
        known = chosen.get(tensor)
        if known is None or (layer.container and ":" in known.path):
            chosen[tensor] = layer
    # in the order in which the tensors were computed
    return [chosen[tensor] for tensor in sorted(chosen)]


def _all_cross(network: "Network", path: str) -> bool:
    from keras import ops

    arrays = network.input_arrays(2)
    rng = np.random.default_rng(0)
    number = network.image_input
    arrays = [
        rng.random(array.shape, "float32") if i == number else np.repeat(rng.random(array[:1].shape, "float32"), 2, 0)
        for i, array in enumerate(arrays)
    ]

    def run(*tensors: Any) -> Any:
        with network.intercept({path: lambda tensor: ops.zeros_like(tensor) + 0.5}):
            outputs = network.forward(tensors)
        assert outputs is not None
        flat = [ops.reshape(ops.cast(output, "float32"), (2, -1)) for output in outputs]
        return ops.concatenate(flat, axis=-1)

    with network.reading():
        first, second = np.asarray(
            ops.convert_to_numpy(network.compiled(("crossing", path), run)(*network.tensors(arrays)))
        )
    return bool(np.allclose(first, second, rtol=1e-5, atol=1e-6 * (1 + np.abs(first).max())))
