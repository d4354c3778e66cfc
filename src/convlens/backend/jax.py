"""What JAX does its own way."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import keras


def gradients(fn: Callable) -> Callable:
    def with_gradients(x, *arguments):
        scores, pull, rest = jax.vjp(lambda value: fn(value, *arguments), x, has_aux=True)
        rows = jax.numpy.eye(len(scores), dtype=scores.dtype)
        return scores, rest, jax.numpy.stack([pull(row)[0] for row in rows])

    return with_gradients


def compiled(fn: Callable, variables: Sequence[Any] = ()) -> Callable:
    # handed over as arguments: weights that are constants of the trace make compiling slow and stale
    @jax.jit
    def pure(values, *arguments):
        with keras.StatelessScope(zip(variables, values, strict=True)):
            return fn(*arguments)

    return lambda *arguments: pure([variable.value for variable in variables], *arguments)


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


def versions() -> dict[str, str]:
    return {"jax": jax.__version__}


def device() -> str:
    return jax.devices()[0].platform.upper()
