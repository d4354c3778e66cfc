"""Keras's convolutions and max pooling on PyTorch, without the copies that Keras makes at every call.

Keras copies inputs from channels last to channels first and back, and transposes and casts the kernel each time.
PyTorch takes channels last as it is, when it is told by the strides.
"""

from collections.abc import Callable
from typing import Any

import keras
import torch
from torch.nn import functional

from convlens.backend.keras_layers import is_plain_convolution


def optimized_call(layer: Any, channels: Any = None) -> Callable | None:
    """What may stand for `layer.call` for a while, during which weights must not change; None where nothing may.

    Args:
        channels: the only output channels that are wanted, an integer tensor.
    """
    if getattr(layer, "data_format", None) != "channels_last" or ("call" in vars(layer) and channels is None):
        return None
    if type(layer) is keras.layers.MaxPooling2D and layer.padding == "valid":
        return _pooling(layer)
    if not is_plain_convolution(layer):
        return None
    simple = layer.padding == "valid" or (
        layer.padding == "same" and set(layer.strides) == {1} and all(side % 2 for side in layer.kernel_size)
    )
    return _convolution(layer, channels) if simple else None


def _pooling(layer: Any) -> Callable:
    def call(inputs: Any) -> Any:
        pooled = functional.max_pool2d(inputs.permute(0, 3, 1, 2), layer.pool_size, layer.strides)
        return pooled.permute(0, 2, 3, 1)

    return call


def _convolution(layer: Any, channels: Any) -> Callable:
    kept: dict[Any, tuple[Any, Any]] = {}  # by precision, which may change from call to call
    sides = [rate * (side - 1) // 2 for side, rate in zip(layer.kernel_size, layer.dilation_rate, strict=True)]
    padding = sides if layer.padding == "same" else 0

    def call(inputs: Any) -> Any:
        if inputs.dtype not in kept:
            kernel: Any = keras.ops.convert_to_tensor(layer.kernel)
            bias: Any = None
            kernel = kernel if channels is None else kernel[..., channels]
            if layer.use_bias:
                bias = keras.ops.convert_to_tensor(layer.bias)
                bias = (bias if channels is None else bias[channels]).detach().to(inputs.dtype)
            kernel = kernel.detach().to(inputs.dtype).permute(3, 2, 0, 1)
            kept[inputs.dtype] = kernel.contiguous(memory_format=torch.channels_last), bias
        image, (kernel, bias) = inputs.permute(0, 3, 1, 2), kept[inputs.dtype]
        outputs = functional.conv2d(image, kernel, bias, layer.strides, padding, layer.dilation_rate, layer.groups)
        return layer.activation(outputs.permute(0, 2, 3, 1))

    return call
