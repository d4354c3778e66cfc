"""Files as old versions of Keras wrote them, put together by hand for the tests."""

import json
from pathlib import Path

import h5py
import numpy as np


def write_hdf5(path: Path, config, layers: dict[str, dict[str, np.ndarray]], version: str | None, backend=None) -> Path:
    """A model file of Keras 1 or 2.

    Args:
        config: the architecture; None for a file of weights alone.
        layers: layer -> weight name -> array.
    """
    with h5py.File(path, "w") as file:
        root = file
        if config is not None:
            file.attrs["model_config"] = json.dumps(config).encode()
            root = file.create_group("model_weights")
        for key, value in (("keras_version", version), ("backend", backend)):
            if value is not None:
                file.attrs[key] = value.encode()
                root.attrs[key] = value.encode()
        root.attrs["layer_names"] = np.array([name.encode() for name in layers])
        for name, weights in layers.items():
            group = root.create_group(name)
            group.attrs["weight_names"] = np.array([weight.encode() for weight in weights], dtype="S")
            for weight, value in weights.items():
                group.create_dataset(weight, data=value)
    return path


def conv2d(name: str, filters: int, size: int, shape=None, **more):
    """A Conv2D of Keras 2."""
    config = {"name": name, "filters": filters, "kernel_size": [size, size], "padding": "valid", "activation": "linear"}
    if shape is not None:
        config["batch_input_shape"] = [None, *shape]
    return {"class_name": "Conv2D", "name": name, "config": config | more}
