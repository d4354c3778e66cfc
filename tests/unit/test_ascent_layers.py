"""The faster ways to call Keras's layers against Keras's own: values and gradients."""

from typing import Any

import keras
import numpy as np
import pytest

from convlens import backend

LAYERS = {
    "pool": lambda: keras.layers.MaxPooling2D(2),
    "pool 3 by 2": lambda: keras.layers.MaxPooling2D(3, 2),
    "pool same": lambda: keras.layers.MaxPooling2D(2, padding="same"),
    "conv": lambda: keras.layers.Conv2D(6, 3, activation="relu", padding="same"),
    "conv without bias": lambda: keras.layers.Conv2D(6, 3, use_bias=False),
    "conv dilated": lambda: keras.layers.Conv2D(6, 3, padding="same", dilation_rate=2),
    "conv by 2": lambda: keras.layers.Conv2D(6, 3, strides=2, padding="same"),
    "conv by 2 valid": lambda: keras.layers.Conv2D(6, (3, 2), strides=2),
    "conv even": lambda: keras.layers.Conv2D(6, 4, padding="same"),
    "conv in groups": lambda: keras.layers.Conv2D(6, 3, groups=2),
}


def values_and_gradients(call: Any, images: np.ndarray) -> list[np.ndarray]:
    def scored(x: Any) -> Any:
        outputs = call(x)
        factor = keras.ops.cast(keras.ops.arange(np.prod(outputs.shape)) % 7, outputs.dtype)
        return keras.ops.reshape(keras.ops.sum(keras.ops.reshape(outputs, (-1,)) * factor), (1,)), outputs

    _, outputs, gradients = backend.current().gradients(scored)(keras.ops.convert_to_tensor(images))
    return [keras.ops.convert_to_numpy(part) for part in (outputs, gradients)]


@pytest.mark.parametrize("sides", [(8, 12), (9, 11)])
@pytest.mark.parametrize("name", list(LAYERS))
def test_optimized_calls_are_keras_own(name: str, sides: tuple[int, int]) -> None:
    keras.utils.set_random_seed(1)
    layer = LAYERS[name]()
    # whole numbers, so that windows have ties
    images = np.random.default_rng(0).integers(-3, 4, (2, *sides, 4)).astype("float32")
    layer.build(images.shape)
    optimized = backend.current().optimized_call(layer)
    if optimized is None:
        pytest.skip("Keras's own call is used")
    expected = values_and_gradients(layer.call, images)
    found = values_and_gradients(optimized, images)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in LAYERS if "conv" in name])
def test_optimized_calls_in_bfloat16_are_keras_own(name: str) -> None:
    keras.utils.set_random_seed(1)
    with_policy = LAYERS[name]()
    with_policy.dtype_policy = keras.DTypePolicy("mixed_bfloat16")
    images = np.random.default_rng(0).standard_normal((2, 8, 12, 4)).astype("float32")
    with_policy.build(images.shape)
    optimized = backend.current().optimized_call(with_policy)
    if optimized is None:
        pytest.skip("Keras's own call is used")
    tensor = keras.ops.cast(keras.ops.convert_to_tensor(images), "bfloat16")
    expected, found = (
        keras.ops.convert_to_numpy(keras.ops.cast(call(tensor), "float32")) for call in (with_policy, optimized)
    )
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_where_there_are_optimized_calls() -> None:
    optimized = {}
    for name, make in LAYERS.items():
        layer = make()
        layer.build((2, 8, 8, 4))
        optimized[name] = backend.current().optimized_call(layer) is not None
    expected = {
        "tensorflow": set(),
        "jax": set(),
        "torch": set(LAYERS) - {"pool same", "conv by 2", "conv even"},
    }
    assert {name for name, is_optimized in optimized.items() if is_optimized} == expected[keras.backend.backend()]
