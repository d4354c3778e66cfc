"""Keras's max pooling on TensorFlow, with the ReLU before it computed after it."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf


def quick_call(layer: Any, channels: Any = None) -> Callable | None:
    """What may stand for `layer.call` for a while, during which weights must not change; None where nothing may."""
    if type(layer) is not keras.layers.MaxPooling2D or "call" in vars(layer):
        return None
    call = layer.call

    def pooled(inputs: Any) -> Any:
        if tf.executing_eagerly() or inputs.op.type != "Relu":
            return call(inputs)
        # the highest of what is above 0 is the highest, if above 0: a quarter of the ReLU and its gradient
        return tf.nn.relu(call(inputs.op.inputs[0]))

    return pooled
