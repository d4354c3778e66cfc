"""What JAX does its own way."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import keras

from convlens.backend.jax_relus import with_relus
from convlens.backend.shapes import by_shape


def gradients(fn: Callable, relu: str | None = None) -> Callable:
    if relu:
        fn = with_relus(fn, relu)

    def with_gradients(x, *arguments):
        scores, pull, rest = jax.vjp(lambda value: fn(value, *arguments), x, has_aux=True)
        rows = jax.numpy.eye(len(scores), dtype=scores.dtype)
        return scores, rest, jax.numpy.stack([pull(row)[0] for row in rows])

    return with_gradients


def compiled(fn: Callable, variables: Sequence[Any] = ()) -> Callable:
    # handed over as arguments: weights that are constants of the trace make compiling slow and stale
    def build(arguments):
        def pure(values, *arguments):
            with keras.StatelessScope(zip(variables, values, strict=True)):
                return fn(*arguments)

        def values():
            return [variable.value for variable in variables]

        run = jax.jit(pure).lower(values(), *arguments).compile()
        return lambda *arguments: run(values(), *arguments)

    return by_shape(build)


def trace(fn: Callable, tensors: Sequence[Any]) -> None:
    def pure(*values):
        with keras.StatelessScope():
            fn(*values)

    jax.eval_shape(pure, *tensors)  # without computing: every first operation would be compiled on its own


@contextmanager
def forward_only() -> Iterator[None]:
    yield


@contextmanager
def differentiable(model: Any) -> Iterator[None]:
    yield


def optimized_call(layer: Any, channels: Any = None) -> Callable | None:
    return None  # compiling takes care of it


@contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    yield  # what Keras draws here comes from seeds that are variables of the model


def gains_by_bfloat16() -> bool:
    return jax.default_backend() != "cpu"  # XLA's convolutions are slower in it on CPUs


def calls_at_once() -> int:
    return 2 if jax.default_backend() == "cpu" else 1  # many of XLA's operations keep one processor busy


def versions() -> dict[str, str]:
    return {"jax": jax.__version__}


def device() -> str:
    return jax.devices()[0].platform.upper()
