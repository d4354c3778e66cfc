"""Gradients on TensorFlow, computed in a faster way than its own, or where it has none."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from convlens.backend.tensorflow_relus import check_relus, with_relus

NAMES = {"Relu": "ConvlensRelu", "MaxPool": "ConvlensMaxPool", "Conv2D": "ConvlensConv2D"}
POOLING = {"MaxPool", "MaxPoolGrad"}
FEW = 4  # channels: oneDNN computes sixteen at a time


def _attributes(op: tf.Operation, *names: str) -> dict[str, Any]:
    return {name: op.get_attr(name) for name in names}


def _pooled_alone(output: tf.Tensor) -> bool:
    """Whether this is a ReLU that feeds max pooling alone: one mask of the pooled size then does for both.

    What passes back through the pooling reaches the highest value of each window, and the ReLU lets it through where
    that value is above 0: known from the pooled output, a quarter of the size.
    """
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
    options = _attributes(op, "ksize", "strides", "padding", "explicit_paddings", "data_format")
    return tf.raw_ops.MaxPoolGrad(orig_input=image, orig_output=output, grad=gradient, **options)


@tf.RegisterGradient(NAMES["Conv2D"])
def _convolution(op: tf.Operation, gradient: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    image, kernel = op.inputs
    options = _attributes(op, "strides", "padding", "explicit_paddings", "data_format", "dilations", "use_cudnn_on_gpu")
    by_kernel = tf.raw_ops.Conv2DBackpropFilter(
        input=image, filter_sizes=tf.shape(kernel), out_backprop=gradient, **options
    )
    if _comes_in_blocks(image, kernel, options):
        return _in_blocks(gradient, kernel), by_kernel
    if _is_dilated(options):
        return _turned(gradient, kernel, options), by_kernel
    by_image = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.shape(image), filter=kernel, out_backprop=gradient, **options
    )
    return by_image, by_kernel


def _comes_in_blocks(image: tf.Tensor, kernel: tf.Tensor, options: dict[str, Any]) -> bool:
    if image.dtype != tf.float32 or options["data_format"] != b"NHWC" or options["padding"] != b"SAME":
        return False
    if set(options["strides"]) | set(options["dilations"]) != {1} or None in image.shape[1:]:
        return False
    height, width, channels = image.shape[1:]
    even, odd = height % 2 == width % 2 == 0, all(side % 2 for side in kernel.shape[:2])
    return even and odd and channels == kernel.shape[2] <= FEW


def _in_blocks(gradient: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """The gradient by an image of few channels: one convolution gives blocks of 2x2 pixels, as channels.

    Each pixel of a block sees the turned kernel at its own place in a window that is one wider.
    """
    turned = tf.transpose(tf.reverse(kernel, [0, 1]), (0, 1, 3, 2))
    blocks = tf.concat(
        [tf.pad(turned, [[y, 1 - y], [x, 1 - x], [0, 0], [0, 0]]) for y in (0, 1) for x in (0, 1)], axis=-1
    )
    rows, columns = (side // 2 for side in kernel.shape[:2])
    padding: Any = [[0, 0], [rows, rows], [columns, columns], [0, 0]]
    return tf.nn.depth_to_space(tf.nn.conv2d(gradient, blocks, strides=2, padding=padding), 2)


def _turned(gradient: tf.Tensor, kernel: tf.Tensor, options: dict[str, Any]) -> tf.Tensor:
    """The gradient by the input of a convolution without strides: one with the kernel turned around.

    For dilated kernels, of which TensorFlow has no gradient on processors without oneDNN.
    """
    padding: Any = [[0, 0]]
    for side, dilation in zip(kernel.shape[:2], options["dilations"][1:3], strict=True):
        span = (side - 1) * dilation
        before = span // 2 if options["padding"] == b"SAME" else 0
        after = span - before if options["padding"] == b"SAME" else 0
        padding.append([span - before, span - after])
    padding.append([0, 0])
    turned = tf.transpose(tf.reverse(kernel, [0, 1]), (0, 1, 3, 2))
    return tf.nn.conv2d(gradient, turned, strides=1, padding=padding, dilations=options["dilations"])


def _is_dilated(options: dict[str, Any]) -> bool:
    plain = set(options["strides"]) == {1} and options["data_format"] == b"NHWC" and options["padding"] != b"EXPLICIT"
    return plain and max(options["dilations"]) > 1


def gradients(fn: Callable, relu: str | None = None) -> Callable:
    """As the backends' own; to be called inside a function that is traced."""
    names = with_relus(NAMES, relu) if relu else NAMES

    def with_gradients(x: Any, *arguments: Any) -> tuple[Any, Any, Any]:
        graph = tf.compat.v1.get_default_graph()
        with graph.gradient_override_map(names):
            scores, rest = fn(x, *arguments)
        if relu:
            check_relus(graph)
        parts = tf.unstack(scores)
        none = tf.UnconnectedGradients.ZERO
        return scores, rest, tf.stack([tf.gradients(part, x, unconnected_gradients=none)[0] for part in parts])

    return with_gradients
