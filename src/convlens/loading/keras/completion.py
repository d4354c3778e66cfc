"""A Keras file -> a model: weights or an architecture that it lacks are given by the user, or lie beside it."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from convlens.errors import ModelError, listing
from convlens.loading import sniff
from convlens.loading.keras.architecture import Architecture, has_architecture, read_architecture
from convlens.loading.keras.building import Built, build, finished, with_weights
from convlens.loading.keras.context import BuildContext
from convlens.loading.keras.weights import Weights, classes_in, weights_in
from convlens.loading.loaded import Loaded
from convlens.loading.memory import called, in_memory
from convlens.loading.request import UNTRAINED, Request
from convlens.loading.sniff import ModelFile, sniffed
from convlens.loading.source import FUNCTION, NAME, Source, find_source
from convlens.loading.zoo import keras_zoo

HDF5_ENDINGS = (".h5", ".hdf5", ".hdf", ".keras", ".weights")


def open_keras_file(file: ModelFile, request: Request) -> Loaded:
    """The model in a Keras file.

    Raises:
        ModelError: it cannot be opened.
    """
    if not has_architecture(file) and request.architecture is None:
        raise ModelError(
            f"{file.path} holds weights alone; give architecture=FILE.json, keras:NAME or module:function for the"
            " network that they are of",
            expected="an architecture",
        )
    if request.architecture is not None:
        return _into(find_source(request.architecture), weights_in(file), file.path, request)
    architecture = read_architecture(file)
    loaded = Loaded(None, "keras", str(file.path), loss=architecture.loss)
    if request.untrained:
        model, context = build(architecture, request, None)
        loaded = finished(replace(loaded, model=model), context)
        return replace(loaded, notes=(*loaded.notes, UNTRAINED))
    if request.weights_file is not None:
        return _built(architecture, weights_in(sniffed(request.weights_file)), request, loaded)
    if file.kind not in (sniff.JSON, sniff.YAML):
        return _built(architecture, weights_in(file), request, loaded)
    beside = weights_beside(file.path)
    loaded = replace(loaded, notes=(f"weights taken from {beside.path.name}, which lies beside {file.path.name}",))
    return _built(architecture, weights_in(beside), request, loaded)


def _built(architecture: Architecture, weights: Weights, request: Request, loaded: Loaded) -> Loaded:
    def construct(numbers: int) -> Built:
        return build(architecture, request, numbers)

    return with_weights(weights, construct, loaded)


def weights_beside(path: Path) -> ModelFile:
    """The file of weights that belongs to an architecture file: of the same stem, or the only one there.

    Raises:
        ModelError: there is none, or several and none of the same stem.
    """
    beside = [other for other in sorted(path.parent.iterdir()) if other != path and other.is_file()]
    weights = [file for file in map(_hdf5, beside) if file is not None]
    stem = path.name.split(".")[0]
    same = [file for file in weights if file.path.name.split(".")[0] == stem]
    like = [file for file in weights if file.path.name.startswith(stem)]
    for candidates in (same, like, weights):
        if len(candidates) == 1:
            return candidates[0]
    names = [file.path.name for file in weights]
    there = f"several lie beside it ({listing(names, 5)})" if names else "none lie beside it"
    raise ModelError(
        f"{path} is an architecture without weights, and {there}; give weights=FILE, or weights=random for an"
        " untrained network",
        expected="a file of weights",
        available=names,
    )


def _hdf5(path: Path) -> ModelFile | None:
    """An HDF5 file by its name and its content; None for anything else."""
    if path.suffix.lower() not in HDF5_ENDINGS:
        return None
    try:
        file = sniffed(path)
    except ModelError:
        return None
    return file if file.kind == sniff.HDF5 else None


def _into(architecture: Source, weights: Weights, path: Path, request: Request) -> Loaded:
    """A file of weights, put into an architecture given by a file, a name or a model."""
    if architecture.file is not None:
        return _built(read_architecture(architecture.file), weights, request, Loaded(None, "keras", str(path)))
    known = keras_architecture(architecture, weights, path)
    return with_weights(weights, lambda _: (known.model, BuildContext()), replace(known, source=str(path)))


def keras_architecture(architecture: Source, weights: Weights, path: Path) -> Loaded:
    """An untrained Keras model from keras:NAME, module:function, or a model in memory, which is left as it is.

    Raises:
        ModelError: it is of another framework, or nothing of the kind.
    """
    if architecture.kind == NAME and architecture.framework == "keras":
        return keras_zoo(architecture.value, True, classes_in(weights))
    if architecture.framework != "torch":
        by_function = architecture.kind == FUNCTION
        loaded = called(architecture.value) if by_function else in_memory(architecture.value)
        if loaded.framework == "keras":
            return loaded if by_function else replace(loaded, model=_copied(loaded.model))
    raise ModelError(f"{path} holds weights of a Keras model; the architecture is a PyTorch module")


def _copied(model: Any) -> Any:
    try:
        return keras.models.clone_model(model)
    except (ValueError, TypeError, NotImplementedError):  # a subclassed model, which Keras cannot rebuild
        return copy.deepcopy(model)
