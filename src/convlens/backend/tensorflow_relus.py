"""ReLUs on TensorFlow that pass back other gradients than theirs."""

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from convlens.backend import unchanged_relus

RELUS = ("Relu", "Relu6")
RULES = {
    "guided": {"Relu": "ConvlensGuidedRelu", "Relu6": "ConvlensGuidedRelu6"},
    "deconvnet": {"Relu": "ConvlensDeconvnetRelu", "Relu6": "ConvlensDeconvnetRelu6"},
}


@tf.RegisterGradient(RULES["guided"]["Relu"])
def _guided(op: tf.Operation, gradient: tf.Tensor) -> tf.Tensor:
    return tf.raw_ops.ReluGrad(gradients=tf.nn.relu(gradient), features=op.outputs[0])


@tf.RegisterGradient(RULES["guided"]["Relu6"])
def _guided_to_six(op: tf.Operation, gradient: tf.Tensor) -> tf.Tensor:
    return tf.raw_ops.Relu6Grad(gradients=tf.nn.relu(gradient), features=op.outputs[0])


@tf.RegisterGradient(RULES["deconvnet"]["Relu"])
def _deconvnet(op: tf.Operation, gradient: tf.Tensor) -> tf.Tensor:
    return tf.nn.relu(gradient)


@tf.RegisterGradient(RULES["deconvnet"]["Relu6"])
def _deconvnet_to_six(op: tf.Operation, gradient: tf.Tensor) -> tf.Tensor:
    (output,) = op.outputs
    return tf.where(output < 6, tf.nn.relu(gradient), tf.zeros_like(gradient))


def with_relus(names: dict[str, str], rule: str) -> dict[str, str]:
    """A map of gradients by the kinds of operations, in which those of ReLUs follow a rule.

    Max pooling then has its own gradient again, as the faster one takes a part of its ReLU's over.
    """
    return {kind: name for kind, name in names.items() if kind != "MaxPool"} | RULES[rule]


def check_relus(graph: Any) -> None:
    """
    Raises:
        ModelError: a traced function has no ReLU, or one whose gradient is not changed.
    """
    operations = graph.get_operations()
    if any(kind in RELUS for inner in _inner(operations) for kind in _kinds(inner)):
        raise unchanged_relus(
            "one lies within a tf.function, a loop or a branch of the network's, where TensorFlow does not let it be"
            " changed"
        )
    if any(_is_maximum_with_zero(operation) for operation in operations):
        raise unchanged_relus("one is written as maximum(x, 0), which TensorFlow does not let be changed")
    if not any(kind in RELUS for kind in _kinds(operations)):
        raise unchanged_relus("there is none in this network")


def _kinds(operations: Any) -> set[str]:
    return {operation.type for operation in operations}


def _inner(operations: Any) -> Iterator[Any]:
    """The operations of functions that a graph calls, and of those that they call."""
    for operation in operations:
        for name in ("f", "body", "then_branch", "else_branch"):
            try:
                called = operation.get_attr(name).name
            except (ValueError, AttributeError):
                continue
            function = operation.graph._get_function(called)
            if function is not None:
                inside = function.graph.get_operations()
                yield inside
                yield from _inner(inside)


def _is_maximum_with_zero(operation: Any) -> bool:
    if operation.type != "Maximum":
        return False
    constants = [tf.get_static_value(side) for side in operation.inputs]
    return any(value is not None and not value.any() for value in constants)
