"""One forward pass of VGG16, compiled where the framework compiles, in float32: what every view needs at least."""

from collections.abc import Callable
from typing import Any

import numpy as np


def prepare(task: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """With its classifier for heatmaps, up to the last pooling for activations; on PyTorch channels last."""
    from benchmarks.vgg import inputs

    images = inputs(task)
    run = (_torch if task["framework"] == "torch" else _tensorflow)(task["view"] == "heatmaps", images)

    def timed() -> dict[str, Any]:
        run()
        return {"units": len(images)}

    return timed


def _tensorflow(top: bool, images: np.ndarray) -> Callable[[], Any]:
    import tensorflow as tf

    from benchmarks.vgg import keras_model

    model = keras_model(top)
    forward = tf.function(lambda x: model(x, training=False))
    return lambda: forward(tf.convert_to_tensor(images)).numpy()


def _torch(top: bool, images: np.ndarray) -> Callable[[], Any]:
    import torch

    from benchmarks.vgg import torch_model

    model = torch_model(top).to(memory_format=torch.channels_last)

    def forward() -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()

    return forward
