"""Inputs that are tried on a network to see how an output is made, and runs with them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from convlens import backend
from convlens.backend.arrays import numpy_arrays
from convlens.network.inspect.observation import Observation
from convlens.network.passes import Hook, Passes

CANDIDATES = 6  # layers from the end that are compared with the output
SCALES = 0.01 * 1.35 ** np.arange(48)


def probes(passes: Passes) -> list[np.ndarray]:
    """Inputs of several scales and both signs, smooth and rough: 8 samples, float32."""
    rng = np.random.default_rng(0)
    arrays = []
    for empty in passes.input_arrays(8):
        rough = rng.normal(size=empty.shape)
        smooth = rng.random((8, *(min(side, 4) for side in empty.shape[1:])))
        for axis, side in enumerate(empty.shape[1:], 1):
            smooth = np.take(smooth, np.arange(side) * smooth.shape[axis] // side, axis)
        scales = np.array([1, 255, 2, 255, 1, 1000, -1000, 30]).reshape(-1, *(1,) * (empty.ndim - 1))
        offsets = np.array([0, 0, -0.5, -0.5, 0, 0, 0, -0.5]).reshape(scales.shape)
        coarse = np.isin(np.arange(8), (0, 1, 2, 3, 7)).reshape(scales.shape)
        arrays.append((np.where(coarse, smooth + offsets, rough) * scales).astype("float32"))
    return arrays


def probe(
    passes: Passes, arrays: Sequence[np.ndarray], output: int, paths: Sequence[str], inject: Any = None
) -> list[np.ndarray]:
    """The output, and what layers put out, float32; `inject` is what the first of them is made to put out."""
    from keras import ops

    def run(*tensors: Any) -> list[Any]:
        kept: dict[str, Any] = {}

        def keep(path: str) -> Hook:
            def hook(tensor: Any) -> Any:
                kept[path] = ops.cast(ops.copy(tensor), "float32")
                return tensor if inject is None else ops.cast(ops.reshape(tensors[-1], tensor.shape), tensor.dtype)

            return hook

        inputs = tensors if inject is None else tensors[:-1]
        with passes.intercept({path: keep(path) for path in paths}):
            outputs = passes.forward(inputs)
        assert outputs is not None
        return [ops.cast(outputs[output], "float32"), *(kept[path] for path in paths)]

    with passes.reading(), passes.computing("float32"):
        compiled = backend.current().compiled(run, passes.variables)
        tensors = passes.tensors([*arrays, inject] if inject is not None else arrays)
        with np.errstate(all="ignore"):
            return numpy_arrays(*compiled(*tensors))


def sweeps(passes: Passes) -> Iterator[list[np.ndarray]]:
    """The same inputs at growing scales, of one sign and then of the other."""
    rng = np.random.default_rng(2)
    directions = [rng.normal(size=array.shape) for array in passes.input_arrays(1)]
    for sign in (1, -1):
        yield [(sign * SCALES.reshape(-1, *(1,) * (way.ndim - 1)) * way).astype("float32") for way in directions]


def candidates(seen: Observation, output: int) -> list[str]:
    """The last layers that put out as many numbers as the network, from the end."""
    size = seen.sizes[output]
    return [path for path, shape in reversed(seen.shapes.items()) if np.prod(shape) == size][:CANDIDATES]
