"""Keras's layers on TensorFlow, computed in another way.

In bfloat16 a convolution casts its kernel once, not at every call. Layers with the channels first are computed with
the channels last: without oneDNN (on ARM, and on x86 without AVX-512 by default) TensorFlow has no other kernels for
processors, and Keras's addition on TensorFlow takes the bias for one along the width where the output is as wide as
the layer has filters.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import tensorflow as tf

from convlens.backend.keras_layers import convolved, is_plain_convolution

LAST_ONLY = ("Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "DepthwiseConv1D",
             "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D", "MaxPooling1D", "MaxPooling2D", "MaxPooling3D",
             "AveragePooling1D", "AveragePooling2D", "AveragePooling3D")  # fmt: skip
_kernels: WeakKeyDictionary[Any, tf.Variable] = WeakKeyDictionary()  # by layer, bfloat16


def optimized_call(layer: Any, channels: Any = None) -> Callable | None:
    """What may stand for `layer.call` for a while, during which weights must not change; None where nothing may.

    Args:
        channels: the only output channels that are wanted, an integer tensor.
    """
    if getattr(layer, "data_format", None) == "channels_first":
        return _channels_last_call(layer, channels)
    if not is_plain_convolution(layer) or layer.compute_dtype != "bfloat16":
        return None
    if channels is None:
        if "call" in vars(layer):  # it stands for the layer's own already
            return None
        _keep(layer)
    elif layer not in _kernels:
        return None
    return _bfloat16_call(layer, channels)


def _bfloat16_call(layer: Any, channels: Any) -> Callable:
    """A convolution with the kernel that was kept."""
    own = layer.call

    def call(inputs: Any) -> Any:
        if inputs.dtype != tf.bfloat16:  # in between, something may be computed in float32
            return own(inputs)
        kernel: Any = tf.convert_to_tensor(_kernels[layer])
        bias: Any = tf.cast(layer.bias, inputs.dtype) if layer.use_bias else None
        if channels is not None:
            kernel = tf.gather(kernel, channels, axis=-1)
            bias = None if bias is None else tf.gather(bias, channels)
        return convolved(layer, inputs, kernel, bias)

    return call


def _keep(layer: Any) -> None:
    """Copies the kernel as it is now; what is compiled reads the same variable."""
    kernel = tf.cast(tf.convert_to_tensor(layer.kernel), tf.bfloat16)
    if layer in _kernels:
        _kernels[layer].assign(kernel)
    else:
        _kernels[layer] = tf.Variable(kernel, trainable=False)


def is_computed_channels_last(kind: str, data_format: Any) -> bool:
    """Whether layers of this class and data format are among those that TensorFlow computes channels last alone."""
    return kind in LAST_ONLY and data_format == "channels_first"


def channels_last(layer: Any, call: Callable, inputs: Any) -> Any:
    """What `call` makes of inputs with the channels first, while the layer works with the channels last."""
    with _as_channels_last(layer):
        outputs = call(tf.transpose(inputs, [0, *range(2, len(inputs.shape)), 1]))
    rank = len(outputs.shape)
    return tf.transpose(outputs, [0, rank - 1, *range(1, rank - 1)])


@contextmanager
def _as_channels_last(layer: Any) -> Iterator[None]:
    own = vars(layer)  # past Keras's bookkeeping: only for this call
    before, own["data_format"] = own["data_format"], "channels_last"
    try:
        yield
    finally:
        own["data_format"] = before


def _channels_last_call(layer: Any, channels: Any) -> Callable | None:
    kind = type(layer)
    if not is_computed_channels_last(kind.__name__, layer.data_format) or not kind.__module__.startswith("keras."):
        return None
    if channels is None:
        own = layer.call
        return None if "call" in vars(layer) else lambda inputs: channels_last(layer, own, inputs)

    def some_channels(inputs: Any) -> Any:
        kernel = tf.gather(tf.convert_to_tensor(layer.kernel), channels, axis=-1)
        bias = tf.gather(tf.convert_to_tensor(layer.bias), channels) if layer.use_bias else None
        return convolved(layer, inputs, tf.cast(kernel, inputs.dtype), bias)

    return lambda inputs: channels_last(layer, some_channels, inputs)
