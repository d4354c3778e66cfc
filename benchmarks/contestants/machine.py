"""The machine's limit: the largest matrix products that a framework makes."""

from collections.abc import Callable
from typing import Any

SIDE = 4096


def prepare(task: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Square products of float32 or bfloat16 matrices, in units of 1e9 operations."""
    product = _torch(task["precision"]) if task["framework"] == "torch" else _tensorflow(task["precision"])

    def run() -> dict[str, Any]:
        product()
        return {"units": 2 * SIDE**3 / 1e9}

    return run


def _torch(precision: str) -> Callable[[], Any]:
    import torch

    a = torch.randn(SIDE, SIDE).to(getattr(torch, precision))

    def product() -> Any:
        with torch.inference_mode():
            return a @ a

    return product


def _tensorflow(precision: str) -> Callable[[], Any]:
    import tensorflow as tf

    a = tf.cast(tf.random.normal((SIDE, SIDE)), precision)
    multiply = tf.function(lambda x: tf.matmul(x, x))
    return lambda: multiply(a)[0, 0].numpy()
