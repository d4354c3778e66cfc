"""Finds the layer that class heatmaps look at, by running the network."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from convlens import backend
from convlens.backend.arrays import numpy_arrays
from convlens.network.inspect.layers import POOLING, LayerInfo

if TYPE_CHECKING:
    from convlens.network.network import Network


def find_default_layer(network: "Network", layers: list[LayerInfo]) -> str | None:
    """The last spatial tensor that every path to the output crosses, before any pooling.

    Every path crosses a tensor if the output no longer depends on the input once that tensor is a constant. Where a
    class token alone is read, the last tokens of all are passed over: the patches among them change nothing any more.

    Returns:
        the path of the layer that makes it, or None.
    """
    shapes = network.observe().shapes
    crossed = (
        layer.path
        for layer in reversed(_candidates(network, layers))
        if np.prod(shapes[layer.path][1:3]) > 1 and _all_cross(network, layer.path)
    )
    last = next(crossed, None)
    if last is None or not network.prefix(last) or _matters(network, last):
        return last
    # where nothing at all matters, as with a head that starts as zeros, the last is as good as any
    return next((path for path in crossed if _matters(network, path)), last)


def _candidates(network: "Network", layers: list[LayerInfo]) -> list[LayerInfo]:
    """One layer for each spatial tensor: the layer that computes it, or what is around a layer called again."""
    seen = network.observe()
    pooled = {seen.same[layer.path] for layer in layers if layer.role == POOLING}  # the containers around them too
    chosen: dict[int, LayerInfo] = {}
    for layer in layers:
        tensor = seen.same[layer.path]
        if len(layer.output_shape) != 4 or tensor in pooled or layer.path in seen.passed:
            continue
        known = chosen.get(tensor)
        if known is None or (layer.container and ":" in known.path):
            chosen[tensor] = layer
    # in the order in which the tensors were computed
    return [chosen[tensor] for tensor in sorted(chosen)]


def _all_cross(network: "Network", path: str) -> bool:
    """Whether two different images give the same output once this layer's output is a constant."""
    from keras import ops

    return _alike(*_outputs(network, path, lambda tensor: ops.zeros_like(tensor) + 0.5, as_it_is=True))


def _matters(network: "Network", path: str) -> bool:
    """Whether the network's output changes with the patches that this layer puts out."""
    from keras import ops

    def shaken(tensor: Any) -> Any:
        noise = np.random.default_rng(0).normal(size=tuple(tensor.shape)).astype("float32")
        return tensor + ops.cast(ops.convert_to_tensor(noise), tensor.dtype)

    still, moved = (_outputs(network, path, hook)[0] for hook in (lambda tensor: tensor, shaken))
    return not _alike(still, moved)


def _alike(first: np.ndarray, second: np.ndarray) -> bool:
    return bool(np.allclose(first, second, rtol=1e-5, atol=1e-6 * (1 + np.abs(first).max())))


def _outputs(network: "Network", path: str, hook: Callable, as_it_is: bool = False) -> np.ndarray:
    """What the network puts out for two different images, (2, units), while a layer is intercepted.

    Each image is passed by itself, with the same random numbers where the network draws some.
    """
    from keras import ops

    rng = np.random.default_rng(0)
    zeros = network.input_arrays(1)
    first = [rng.random(array.shape, "float32") for array in zeros]
    second = [
        rng.random(array.shape, "float32") if number == network.image_input else array
        for number, array in enumerate(first)
    ]

    def joined(*tensors: Any) -> Any:
        with network.intercept({path: hook}, as_it_is):
            outputs = network.forward(tensors)
        assert outputs is not None
        flat = [ops.reshape(ops.cast(output, "float32"), (-1,)) for output in outputs]
        return ops.concatenate(flat)

    found = []
    with network.reading():
        run = backend.current().compiled(joined, network.variables)
        for arrays in (first, second):
            with network.same_randomness():
                found += numpy_arrays(run(*network.tensors(arrays)))
    return np.stack(found)
