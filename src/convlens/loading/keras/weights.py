"""The weights in a Keras file, of either layout, put into a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from convlens.errors import ModelError
from convlens.loading import sniff
from convlens.loading.hdf5.safe import damaged, open_hdf5
from convlens.loading.keras import hdf5_weights, keras3_weights
from convlens.loading.keras.context import BuildContext
from convlens.loading.keras.zip import member_of, writer_version
from convlens.loading.loaded import Filling
from convlens.loading.sniff import ModelFile


@dataclass(frozen=True)
class Weights:
    """Where weights are read from: the path or the content of an HDF5 file, its name, the Keras that wrote it."""

    source: Path | bytes
    name: str
    version: str | None = None


def weights_in(file: ModelFile) -> Weights:
    """The weights in a file, which may hold an architecture too.

    Raises:
        ModelError: it is neither.
    """
    if file.kind == sniff.KERAS_ZIP:
        content = member_of(file.path, "model.weights.h5")
        if content is None:
            raise ModelError(f"{file.path} is a damaged Keras file (no model.weights.h5); get the file again")
        return Weights(content, file.path.name, writer_version(file.path))
    if file.kind == sniff.HDF5:
        return Weights(file.path, file.path.name)
    raise ModelError(f"{file.path} ({file.kind}) holds no weights of a Keras model; expected an HDF5 or a .keras file")


def filled(model: Any, file: h5py.File, weights: Weights, context: BuildContext) -> Filling:
    """Puts the weights of an opened file into a model.

    Raises:
        ModelError: they are another network's.
    """
    if keras3_weights.is_keras3_layout(file):
        return keras3_weights.load_weights(
            model, file, weights.name, weights.version, context.listed, context.originals
        )
    return hdf5_weights.load_weights(model, file, weights.name, context.originals)


def numbers_in(file: h5py.File, name: str) -> int:
    """How many numbers all arrays of a file hold together."""
    total = [0]

    def visit(path: str, entry: Any) -> None:
        if isinstance(entry, h5py.Dataset):
            total[0] += int(np.prod(entry.shape, dtype="float64")) if entry.shape is not None else 0

    try:
        file.visititems(visit)
    except (RuntimeError, OSError, ValueError) as error:
        raise damaged(name, error) from error
    return total[0]


def classes_in(weights: Weights) -> int | None:
    """The number of classes that the last layer in a file of weights has, where that can be told."""
    with open_hdf5(weights.source, weights.name) as file:
        if keras3_weights.is_keras3_layout(file):
            return None
        stored = hdf5_weights.stored_layers(file, weights.name)
        last = stored[-1].values[-1] if stored and stored[-1].values else None
        return int(last.shape[0]) if last is not None and last.ndim == 1 else None
