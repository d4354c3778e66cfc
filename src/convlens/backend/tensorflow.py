"""What TensorFlow does its own way."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf


def gradients(fn: Callable) -> Callable:
    def with_gradients(x, *arguments):
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(x)
            scores, rest = fn(x, *arguments)
            parts = tf.unstack(scores)
        none = tf.UnconnectedGradients.ZERO
        return scores, rest, tf.stack([tape.gradient(part, x, unconnected_gradients=none) for part in parts])

    return with_gradients


def compiled(fn: Callable, variables: Any = ()) -> Callable:
    traced = tf.function(fn, autograph=False)
    concrete: dict[Any, Callable] = {}

    def call(*arguments):
        # one trace a shape, kept by us: TensorFlow warns of many traces that belong to different layers
        key = tuple((tuple(argument.shape), argument.dtype) for argument in arguments)
        if key not in concrete:
            specs = [tf.TensorSpec(argument.shape, argument.dtype) for argument in arguments]
            concrete[key] = traced.get_concrete_function(*specs)
        return concrete[key](*arguments)

    return call


def trace(fn: Callable, tensors: Sequence[Any]) -> None:
    fn(*tensors)


@contextmanager
def forward_only() -> Iterator[None]:
    yield


@contextmanager
def differentiable(model: Any) -> Iterator[None]:
    yield


def versions() -> dict[str, str]:
    return {"tensorflow": tf.__version__}


def device() -> str:
    return "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
