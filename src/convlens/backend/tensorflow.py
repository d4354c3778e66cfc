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
    return tf.function(fn, autograph=False)


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
