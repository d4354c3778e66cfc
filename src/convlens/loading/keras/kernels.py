"""Arrays as older versions of Keras stored them -> as Keras 3 holds them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

FLIPPED = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "ConvLSTM2D")


@dataclass(frozen=True)
class Era:
    """The Keras that wrote a file.

    Attributes:
        major: its major version; 1 also for the versions before that do not say.
        theano: whether it ran on Theano, which convolves with kernels turned by 180 degrees.
    """

    major: int
    theano: bool


def converted(layer: Any, values: list[np.ndarray], era: Era) -> list[np.ndarray]:
    """A layer's arrays, in today's order and layout. Arrays of unknown shape are returned as they are."""
    kind = type(getattr(layer, "layer", layer)).__name__
    target = getattr(layer, "layer", layer)
    if era.major < 2 and kind in _KERAS1:
        values = _KERAS1[kind](target, values)
    if era.theano and kind in FLIPPED and values:
        spatial = tuple(range(values[0].ndim - 2))
        values = [np.flip(values[0], spatial), *values[1:]]
    if kind == "Conv2DTranspose" and values and era.major < 2:
        values = [np.swapaxes(values[0], 2, 3), *values[1:]]
    return values


def _convolution(layer: Any, values: list[np.ndarray]) -> list[np.ndarray]:
    """Keras 1 stored `th` kernels as (filters, channels, rows, columns); now (rows, columns, channels, filters)."""
    kernel = values[0] if values else None
    if kernel is None or kernel.ndim != len(layer.kernel_size) + 2:
        return values
    if layer.data_format == "channels_first":
        return [np.moveaxis(kernel, (0, 1), (-1, -2)), *values[1:]]
    return values


def _convolution_1d(layer: Any, values: list[np.ndarray]) -> list[np.ndarray]:
    """Keras 1 stored 1-D kernels with a second axis of 1, in the layout of either 2-D ordering."""
    kernel = values[0] if values else None
    if kernel is None or kernel.ndim != 4:
        return values
    size = layer.kernel_size[0]
    if kernel.shape[:2] != (size, 1) or kernel.shape[3] != layer.filters:
        if kernel.shape[0] != layer.filters or kernel.shape[2:] != (size, 1):
            return values
        kernel = np.transpose(kernel, (2, 3, 1, 0))
    return [kernel[:, 0], *values[1:]]


def _lstm(layer: Any, values: list[np.ndarray]) -> list[np.ndarray]:
    """Keras 1 stored a kernel, a recurrent kernel and a bias for each gate: i, c, f, o; now joined as i, f, c, o."""
    if len(values) != 12:
        return values
    return [np.concatenate([values[3 * gate + part] for gate in (0, 2, 1, 3)], axis=-1) for part in range(3)]


def _gru(layer: Any, values: list[np.ndarray]) -> list[np.ndarray]:
    if len(values) != 9:
        return values
    return [np.concatenate([values[3 * gate + part] for gate in range(3)], axis=-1) for part in range(3)]


_KERAS1: dict[str, Callable[[Any, list[np.ndarray]], list[np.ndarray]]] = {
    "Conv1D": _convolution_1d,
    "Conv2D": _convolution,
    "Conv3D": _convolution,
    "Conv2DTranspose": _convolution,
    "LSTM": _lstm,
    "GRU": _gru,
}
