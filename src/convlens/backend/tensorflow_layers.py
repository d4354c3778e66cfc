"""Keras's convolutions on TensorFlow in bfloat16, without casting the kernel at every call."""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import tensorflow as tf

from convlens.backend.keras_layers import convolved, is_plain_convolution

_kernels: WeakKeyDictionary[Any, tf.Variable] = WeakKeyDictionary()  # by layer, bfloat16


def quick_call(layer: Any, channels: Any = None) -> Callable | None:
    """What may stand for `layer.call` for a while, during which weights must not change; None where nothing may.

    Args:
        channels: the only output channels that are wanted, an integer tensor.
    """
    if not is_plain_convolution(layer) or layer.compute_dtype != "bfloat16" or layer.data_format != "channels_last":
        return None
    if layer not in _kernels if channels is not None else "call" in vars(layer):
        return None
    own = layer.call
    if channels is None:
        _keep(layer)

    def call(inputs: Any) -> Any:
        if inputs.dtype != tf.bfloat16:  # in between, something may be computed in float32
            return own(inputs)
        kernel: Any = _kernels[layer] if channels is None else tf.gather(_kernels[layer], channels, axis=-1)
        bias: Any = tf.cast(layer.bias, inputs.dtype) if layer.use_bias else None
        if bias is not None and channels is not None:
            bias = tf.gather(bias, channels)
        return convolved(layer, inputs, tf.convert_to_tensor(kernel), bias)

    return call


def _keep(layer: Any) -> None:
    """Copies the kernel as it is now; what is compiled reads the same variable."""
    kernel = tf.cast(tf.convert_to_tensor(layer.kernel), tf.bfloat16)
    if layer in _kernels:
        _kernels[layer].assign(kernel)
    else:
        _kernels[layer] = tf.Variable(kernel, trainable=False)
