"""The loop of the book chapter that convlens grew from, on TensorFlow: one filter at a time, run eagerly."""

from collections.abc import Callable
from typing import Any

import numpy as np


def prepare(task: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Filter patterns; the task says layer, size, steps, and how many filters (few: cost is linear here)."""
    import keras
    import tensorflow as tf

    from benchmarks.vgg import displayed, keras_model

    model = keras_model()
    features = keras.Model(model.inputs, model.get_layer(task["layer"]).output)
    size, steps = task["size"], task["steps"]

    def pattern(index: int) -> np.ndarray:
        start = np.random.default_rng(index).random((1, size, size, 3)) * 20 + 128.0
        image = tf.convert_to_tensor(start.astype("float32"))
        for _ in range(steps):
            with tf.GradientTape() as tape:
                tape.watch(image)
                loss = tf.reduce_mean(features(image)[:, :, :, index])
            grads = tape.gradient(loss, image)
            image += grads / (tf.sqrt(tf.reduce_mean(tf.square(grads))) + 1e-5)
        return displayed(image[0].numpy())

    def run() -> dict[str, Any]:
        made = [pattern(index) for index in range(task["filters"])]
        return {"units": task["filters"], "seen": np.stack(made)}

    return run
