"""Small networks whose range of pixels is known: how each is built. `tools/train_ranges.py` trains them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Small:
    """One small network.

    Attributes:
        mode: the preprocessing it was trained with, by name.
        channels, classes: of its input and output; two classes may share one unit.
        norm: batch normalization between each convolution and its activation.
        filters: of the convolutions, one entry each.
        kernel, padding, pool: of the convolutions ("same" or "valid"), and "max", "average" or "none" (strides).
        activation: by Keras's name.
        head: "flatten", "mean" (over positions), or the number of units of a dense layer between flatten and output.
        output: "softmax", "sigmoid" (one unit, two classes) or "independent" (a sigmoid a class).
        side: height and width in pixels.
        start: whose first weights: "keras" (Glorot, no bias) or "torch" (PyTorch's own).
        optimizer, rate, epochs, augment, task, seed: of the training.
    """

    mode: str
    channels: int = 3
    classes: int = 2
    norm: bool = False
    filters: tuple[int, ...] = (16, 16, 24)
    kernel: int = 3
    padding: str = "same"
    pool: str = "max"
    activation: str = "relu"
    head: str = "flatten"
    output: str = "softmax"
    side: int = 32
    start: str = "keras"
    optimizer: str = "adam"
    rate: float = 1e-3
    epochs: int = 9
    augment: bool = False
    task: str = "kinds"
    seed: int = 0

    @property
    def units(self) -> int:
        return 1 if self.output == "sigmoid" else self.classes


def read(path: Path) -> tuple[Small, Any]:
    """A network as `tools/train_ranges.py` wrote it: its description, and the network in Keras."""
    with np.load(path) as file:
        described = json.loads(str(file["small"]))
        weights = [file[name].astype("float32") for name in sorted(file.files) if name.startswith("w")]
    small = Small(**{**described, "filters": tuple(described["filters"])})
    return small, built(small, weights)


def built(small: Small, weights: "list[np.ndarray] | None" = None) -> Any:
    """The network in Keras, with these weights in the order of its layers."""
    import keras

    layers = keras.layers
    parts: list[Any] = [keras.Input((small.side, small.side, small.channels))]
    strides = 2 if small.pool == "none" else 1
    for filters in small.filters:
        if not small.norm:
            parts.append(layers.Conv2D(filters, small.kernel, strides, small.padding, activation=small.activation))
        else:
            parts.append(layers.Conv2D(filters, small.kernel, strides, small.padding, use_bias=False))
            parts += [layers.BatchNormalization(epsilon=1e-3), layers.Activation(small.activation)]
        if small.pool != "none":
            parts.append(layers.MaxPooling2D(2) if small.pool == "max" else layers.AveragePooling2D(2))
    parts.append(layers.GlobalAveragePooling2D() if small.head == "mean" else layers.Flatten())
    if small.head.isdigit():
        parts.append(layers.Dense(int(small.head), activation=small.activation))
    parts.append(layers.Dense(small.units, activation="softmax" if small.output == "softmax" else "sigmoid"))
    model = keras.Sequential(parts)
    if weights is not None:
        model.set_weights(weights)
    return model
