"""A small network in a file, and photos to look at."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from convlens.backend import keras_ready

    keras = keras_ready()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    small = keras.Sequential(
        [
            keras.Input((24, 20, 3)),
            layers.Rescaling(1 / 255, name="rescale"),
            layers.Conv2D(5, 3, activation="relu", name="early"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Conv2D(18, 3, activation="relu", name="late"),
            layers.GlobalAveragePooling2D(name="mean"),
            layers.Dense(3, activation="softmax", name="classes"),
        ]
    )
    path = tmp_path_factory.mktemp("model") / "small.keras"
    small.save(path)
    return path


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "noise.png"
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype("uint8")
    Image.fromarray(pixels).save(path)
    return path
