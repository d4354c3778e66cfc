"""Gradients on TensorFlow: where a ReLU feeds max pooling alone, one mask of the pooled size does for both.

What passes back through the pooling reaches the highest value of each window, and the ReLU lets it through where that
value is above 0: known from the pooled output, a quarter of the size.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

NAMES = {"Relu": "ConvlensRelu", "MaxPool": "ConvlensMaxPool"}
POOLING = {"MaxPool", "MaxPoolGrad"}


def _pooled_alone(output: tf.Tensor) -> bool:
    return output.op.type == "Relu" and {user.type for user in output.consumers()} <= POOLING


@tf.RegisterGradient(NAMES["Relu"])
def _relu(op: tf.Operation, gradient: tf.Tensor) -> tf.Tensor:
    (output,) = op.outputs
    return gradient if _pooled_alone(output) else tf.raw_ops.ReluGrad(gradients=gradient, features=output)


@tf.RegisterGradient(NAMES["MaxPool"])
def _max_pool(op: tf.Operation, gradient: tf.Tensor) -> tf.Tensor:
    (image,), (output,) = op.inputs, op.outputs
    if _pooled_alone(image):
        gradient = tf.raw_ops.ReluGrad(gradients=gradient, features=output)
    options = {name: op.get_attr(name) for name in ("ksize", "strides", "padding", "explicit_paddings", "data_format")}
    return tf.raw_ops.MaxPoolGrad(orig_input=image, orig_output=output, grad=gradient, **options)


def graph_gradients(fn: Any, x: Any, arguments: Sequence[Any]) -> tuple[Any, Any, Any]:
    with tf.compat.v1.get_default_graph().gradient_override_map(NAMES):
        scores, rest = fn(x, *arguments)
    parts = tf.unstack(scores)
    none = tf.UnconnectedGradients.ZERO
    return scores, rest, tf.stack([tf.gradients(part, x, unconnected_gradients=none)[0] for part in parts])
