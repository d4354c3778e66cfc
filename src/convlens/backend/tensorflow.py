"""What TensorFlow does its own way."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from convlens.backend.processor import has_bfloat16
from convlens.backend.shapes import by_shape
from convlens.backend.tensorflow_gradients import gradients as gradients
from convlens.backend.tensorflow_layers import optimized_call as optimized_call


def compiled(fn: Callable, variables: Any = ()) -> Callable:
    # one trace a shape, kept by us: TensorFlow never drops one, and warns of many that belong to different layers
    def build(arguments):
        specs = [tf.TensorSpec(argument.shape, argument.dtype) for argument in arguments]
        return tf.function(fn, autograph=False).get_concrete_function(*specs)

    return by_shape(build)


def trace(fn: Callable, tensors: Sequence[Any]) -> None:
    fn(*tensors)


@contextmanager
def forward_only() -> Iterator[None]:
    yield


@contextmanager
def differentiable(model: Any) -> Iterator[None]:
    yield


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    yield  # what Keras draws here comes from seeds that are variables of the model


def gains_by_bfloat16() -> bool:
    cards = tf.config.list_physical_devices("GPU")
    if not cards:
        return has_bfloat16()
    capability = tf.config.experimental.get_device_details(cards[0]).get("compute_capability")
    return capability is not None and capability >= (8, 0)


def calls_at_once() -> int:
    return 2 if device() == "CPU" else 1  # processors wait for each other within an operation


def versions() -> dict[str, str]:
    return {"tensorflow": tf.__version__}


def device() -> str:
    return "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
