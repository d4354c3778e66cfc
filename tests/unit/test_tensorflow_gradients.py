"""The faster gradients on TensorFlow against those that TensorFlow itself computes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from convlens.backend import keras_ready

if keras_ready().backend.backend() != "tensorflow":
    pytest.skip("of TensorFlow alone", allow_module_level=True)

import tensorflow as tf

from convlens.backend.tensorflow_gradients import gradients


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).standard_normal(shape).astype("float32")


def both(fn: Callable, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, set[str]]:
    """The gradient as convlens computes it, TensorFlow's own, and the operations of the former's graph."""
    image = tf.constant(x)
    run = tf.function(lambda value: gradients(lambda inner: (fn(inner)[None], ()))(value)[2][0])
    with tf.GradientTape() as tape:
        tape.watch(image)
        score = fn(image)
    own: Any = tape.gradient(score, image)
    names = {op.name.split("/")[-1].split("_")[0] for op in run.get_concrete_function(image).graph.get_operations()}
    return run(image).numpy(), own.numpy(), names


@pytest.mark.parametrize(
    ("shape", "kernel", "in_blocks"),
    [
        ((2, 8, 6, 3), (3, 5), True),
        ((2, 8, 8, 1), (1, 1), True),
        ((1, 10, 12, 4), (7, 3), True),
        ((2, 7, 8, 3), (3, 3), False),  # an odd side
        ((2, 8, 8, 8), (3, 3), False),  # many channels
        ((2, 8, 8, 3), (2, 2), False),  # an even kernel
    ],
)
def test_the_gradient_by_few_channels(shape: tuple[int, ...], kernel: tuple[int, int], in_blocks: bool) -> None:
    weights = noise(*kernel, shape[-1], 5)
    found, own, names = both(lambda x: tf.reduce_sum(tf.sin(tf.nn.conv2d(x, weights, 1, "SAME"))), noise(*shape))
    assert ("DepthToSpace" in names) is in_blocks
    assert np.abs(own).max() > 0.5
    np.testing.assert_allclose(found, own, atol=1e-5)


@pytest.mark.parametrize("options", [{"strides": 2}, {"padding": "VALID"}])
def test_other_convolutions_have_their_own_gradient(options: dict[str, Any]) -> None:
    given = {"strides": 1, "padding": "SAME", **options}
    found, own, names = both(
        lambda x: tf.reduce_sum(tf.sin(tf.nn.conv2d(x, noise(3, 3, 3, 4), **given))), noise(2, 8, 8, 3)
    )
    assert "DepthToSpace" not in names
    np.testing.assert_allclose(found, own, atol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        ((3, 3), {"padding": "SAME", "dilations": 2}),
        ((3, 2), {"padding": "SAME", "dilations": (1, 3)}),  # an even side: padded more behind
        ((2, 3), {"padding": "VALID", "dilations": (3, 2)}),
    ],
)
def test_the_gradient_by_the_input_of_a_dilated_convolution(kernel: tuple[int, int], options: dict[str, Any]) -> None:
    """TensorFlow has none without oneDNN; the convolution's own matrix gives it: A'cos(Ax) for sum(sin(Ax))."""
    weights, shape = noise(*kernel, 2, 3), (8, 7, 2)

    def convolved(x: Any) -> Any:
        return tf.nn.conv2d(x, weights, strides=1, **options)

    unit = np.eye(np.prod(shape), dtype="float32").reshape(-1, *shape)
    matrix = convolved(unit).numpy().reshape(len(unit), -1).astype("float64")
    x = noise(2, *shape)
    expected = (np.cos(x.reshape(2, -1) @ matrix) @ matrix.T).reshape(x.shape)
    run = tf.function(
        lambda value: gradients(lambda inner: (tf.reduce_sum(tf.sin(convolved(inner)))[None], ()))(value)[2][0]
    )
    np.testing.assert_allclose(run(tf.constant(x)).numpy(), expected, atol=1e-4)


def test_a_kernel_that_depends_on_the_image_has_its_gradient_too() -> None:
    def fn(x: Any) -> Any:
        kernel = noise(3, 3, 3, 4) * tf.reduce_mean(tf.square(x))
        return tf.reduce_sum(tf.sin(tf.nn.conv2d(x, kernel, 1, "SAME")))

    found, own, _ = both(fn, noise(2, 8, 8, 3))
    np.testing.assert_allclose(found, own, atol=1e-4)


POOL = {"ksize": 2, "strides": 2, "padding": "VALID"}
OVERLAPPING = {"ksize": 3, "strides": 2, "padding": "SAME"}


@pytest.mark.parametrize("pool", [POOL, OVERLAPPING])
def test_a_relu_that_is_pooled_alone_is_masked_once(pool: dict[str, Any]) -> None:
    image = noise(2, 8, 8, 3) - 0.8  # many windows have nothing above 0
    found, own, names = both(lambda x: tf.reduce_sum(tf.sin(tf.nn.max_pool2d(tf.nn.relu(x), **pool))), image)
    assert "MaxPoolGrad" in names
    assert 0 < np.count_nonzero(own) < own.size / 4
    np.testing.assert_allclose(found, own, atol=1e-6)


@pytest.mark.parametrize("other", [tf.reduce_sum, lambda relu: tf.reduce_sum(tf.nn.max_pool2d(relu, **OVERLAPPING))])
def test_a_relu_with_other_readers_keeps_its_mask(other: Callable) -> None:
    def fn(x: Any) -> Any:
        relu = tf.nn.relu(x)
        return tf.reduce_sum(tf.sin(tf.nn.max_pool2d(relu, **POOL))) + other(relu)

    found, own, _ = both(fn, noise(2, 8, 8, 3) - 0.8)
    np.testing.assert_allclose(found, own, atol=1e-6)


def test_pooling_of_what_is_not_a_relu_lets_negative_values_through() -> None:
    found, own, _ = both(lambda x: tf.reduce_sum(tf.sin(tf.nn.max_pool2d(x, **POOL))), noise(2, 8, 8, 3) - 3)
    assert np.count_nonzero(own) == own.size / 4
    np.testing.assert_allclose(found, own, atol=1e-6)
