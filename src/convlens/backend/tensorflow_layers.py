"""Keras's convolutions on TensorFlow in bfloat16, without casting the kernel at every call."""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import keras
import tensorflow as tf

_kernels: WeakKeyDictionary[Any, tf.Variable] = WeakKeyDictionary()  # by layer, bfloat16


def quick_call(layer: Any, channels: Any = None) -> Callable | None:
    """What may stand for `layer.call` for a while, during which weights must not change; None where nothing may.

    Args:
        channels: the only output channels that are wanted, an integer tensor.
    """
    if (
        type(layer) is not keras.layers.Conv2D
        or layer.compute_dtype != "bfloat16"
        or layer.data_format != "channels_last"
        or ("call" in vars(layer) and channels is None)
        or getattr(layer, "quantization_mode", None) is not None
        or getattr(layer, "lora_enabled", False)
    ):
        return None
    own = layer.call
    if channels is None:
        _keep(layer)

    def call(inputs: Any) -> Any:
        if inputs.dtype != tf.bfloat16:  # in between, something may be computed in float32
            return own(inputs)
        kernel: Any = _kernels[layer] if channels is None else tf.gather(_kernels[layer], channels, axis=-1)
        options = {name: getattr(layer, name) for name in ("strides", "padding", "data_format", "dilation_rate")}
        outputs: Any = keras.ops.conv(inputs, tf.convert_to_tensor(kernel), **options)
        if layer.use_bias:
            bias = tf.cast(layer.bias, outputs.dtype)
            outputs += bias if channels is None else tf.gather(bias, channels)
        return layer.activation(outputs)

    return call


def _keep(layer: Any) -> None:
    """Copies the kernel as it is now; what is compiled reads the same variable."""
    kernel = tf.cast(tf.convert_to_tensor(layer.kernel), tf.bfloat16)
    if layer in _kernels:
        _kernels[layer].assign(kernel)
    else:
        _kernels[layer] = tf.Variable(kernel, trainable=False)
