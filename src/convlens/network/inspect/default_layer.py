"""Finds the layer that class heatmaps look at, by running the passes."""

from typing import Any

import numpy as np

from convlens import backend
from convlens.backend.arrays import numpy_arrays
from convlens.network.inspect.observation import Observation
from convlens.network.layers import POOLING, LayerInfo
from convlens.network.passes import Hook, Passes


def find_default_layer(passes: Passes, seen: Observation, layers: list[LayerInfo]) -> str | None:
    """The last spatial tensor that every path to the output crosses, before any pooling.

    Every path crosses a tensor if the output no longer depends on the input once that tensor is a constant. Where a
    class token alone is read, the last tokens of all are passed over: the patches among them change nothing any more.

    Returns:
        the path of the layer that makes it, or None.
    """
    crossed = (
        layer.path
        for layer in reversed(_candidates(seen, layers))
        if np.prod(seen.shapes[layer.path][1:3]) > 1 and _all_cross(passes, layer.path)
    )
    last = next(crossed, None)
    if last is None or not passes.prefix(last) or _matters(passes, last):
        return last
    # where nothing at all matters, as with a head that starts as zeros, the last is as good as any
    return next((path for path in crossed if _matters(passes, path)), last)


def _candidates(seen: Observation, layers: list[LayerInfo]) -> list[LayerInfo]:
    """One layer for each spatial tensor: the layer that computes it, or what is around a layer called again."""
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


def _all_cross(passes: Passes, path: str) -> bool:
    """Whether two different images give the same output once this layer's output is a constant."""
    from keras import ops

    return _alike(*_outputs(passes, path, lambda tensor: ops.zeros_like(tensor) + 0.5, native_layout=True))


def _matters(passes: Passes, path: str) -> bool:
    """Whether the network's output changes with the patches that this layer puts out."""
    from keras import ops

    def shaken(tensor: Any) -> Any:
        noise = np.random.default_rng(0).normal(size=tuple(tensor.shape)).astype("float32")
        return tensor + ops.cast(ops.convert_to_tensor(noise), tensor.dtype)

    plain, changed = (_outputs(passes, path, hook)[0] for hook in (lambda tensor: tensor, shaken))
    return not _alike(plain, changed)


def _alike(first: np.ndarray, second: np.ndarray) -> bool:
    return bool(np.allclose(first, second, rtol=1e-5, atol=1e-6 * (1 + np.abs(first).max())))


def _outputs(passes: Passes, path: str, hook: Hook, native_layout: bool = False) -> np.ndarray:
    """What the network puts out for two different images, (2, units), while a layer is intercepted.

    Each image is passed by itself, with the same random numbers where the network draws some.
    """
    from keras import ops

    rng = np.random.default_rng(0)
    zeros = passes.input_arrays(1)
    first = [rng.random(array.shape, "float32") for array in zeros]
    second = [
        rng.random(array.shape, "float32") if number == passes.image_input else array
        for number, array in enumerate(first)
    ]

    def joined(*tensors: Any) -> Any:
        with passes.intercept({path: hook}, native_layout):
            outputs = passes.forward(tensors)
        assert outputs is not None
        flat = [ops.reshape(ops.cast(output, "float32"), (-1,)) for output in outputs]
        return ops.concatenate(flat)

    values = []
    with passes.reading():
        run = backend.current().compiled(joined, passes.variables)
        for arrays in (first, second):
            with passes.same_randomness():
                values += numpy_arrays(run(*passes.tensors(arrays)))
    return np.stack(values)
