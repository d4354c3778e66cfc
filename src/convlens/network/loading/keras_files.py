"""Keras files of every age -> a `keras.Model`."""

from pathlib import Path

from convlens.backend import keras_ready
from convlens.network.loading.loaded import Loaded


def load_keras(path: Path) -> Loaded:
    keras = keras_ready()
    model = keras.saving.load_model(path, compile=False)
    return Loaded(model, "keras", str(path))
