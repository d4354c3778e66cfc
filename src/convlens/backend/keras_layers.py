"""Keras's layers: convolutions, for those who compute them in another way, and the state of random ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras


def is_plain_convolution(layer: Any) -> bool:
    """Whether this is Keras's own `Conv2D` and its kernel is what is multiplied: neither quantized nor with LoRA."""
    return (
        type(layer) is keras.layers.Conv2D
        and getattr(layer, "quantization_mode", None) is None
        and not getattr(layer, "lora_enabled", False)
    )


def convolved(layer: Any, inputs: Any, kernel: Any, bias: Any) -> Any:
    """What a `Conv2D` puts out with another kernel, and another bias if it has one."""
    options = {name: getattr(layer, name) for name in ("strides", "padding", "data_format", "dilation_rate")}
    outputs: Any = keras.ops.conv(inputs, kernel, **options)
    if bias is not None:
        outputs += bias if layer.data_format == "channels_last" else keras.ops.reshape(bias, (1, -1, 1, 1))
    return layer.activation(outputs)


@contextmanager
def seeds_kept(model: Any) -> Iterator[None]:
    """A context after which the model's layers go on to draw random numbers as if nothing had been."""
    seeds = [(state, state.numpy().copy()) for state in model.variables if state.name == "seed_generator_state"]
    try:
        yield
    finally:
        for state, value in seeds:
            state.assign(value)
