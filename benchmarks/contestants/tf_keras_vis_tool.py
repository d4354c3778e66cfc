"""tf-keras-vis 0.8: activation maximization without its regularizers and augmentations, and Grad-CAM."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.contest import SHOWN
from benchmarks.vgg import displayed


def prepare(task: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Patterns in batches of 16, or heatmaps of one batch."""
    return (_patterns if task["view"] == "patterns" else _heatmaps)(task)


def _patterns(task: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    import tensorflow as tf
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.utils.model_modifiers import ExtractIntermediateLayer
    from tf_keras_vis.utils.scores import CategoricalScore

    from benchmarks.vgg import keras_model

    size = task["size"]
    climb = ActivationMaximization(keras_model(), ExtractIntermediateLayer(task["layer"]), clone=False)

    def run() -> dict[str, Any]:
        made: list[np.ndarray] = []
        for at in range(0, task["filters"], 16):
            indices = list(range(at, min(at + 16, task["filters"])))
            start = np.random.default_rng(at).random((len(indices), size, size, 3)) * 20 + 128
            climbed = climb(
                CategoricalScore(indices),
                seed_input=tf.constant(start, tf.float32),
                steps=task["steps"],
                input_modifiers=None,
                regularizers=None,
            )
            made += [displayed(image) for image in np.array(climbed)]
        return {"units": task["filters"], "seen": np.stack(made[:SHOWN])}

    return run


def _heatmaps(task: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import CategoricalScore

    from benchmarks.vgg import inputs, keras_model

    explain = Gradcam(keras_model(top=True), ReplaceToLinear(), clone=False)
    images = inputs(task)

    def run() -> dict[str, Any]:
        maps = explain(CategoricalScore([386] * len(images)), images, penultimate_layer="block5_conv3")
        return {"units": len(images), "seen": np.asarray(maps)[:SHOWN]}

    return run
