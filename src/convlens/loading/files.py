"""A path -> a model: what the file is decides who reads it, and what it lacks is looked for."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from convlens.backend import keras_ready
from convlens.errors import ModelError
from convlens.loading import sniff
from convlens.loading.loaded import Loaded
from convlens.loading.metadata import sha256, with_surroundings
from convlens.loading.sniff import sniff as kind_of

RANDOM = "random"  # the value of `weights` that asks for an untrained network
UNTRAINED = "the network is untrained: weights=random"
UNREAD = {
    sniff.SAVED_MODEL: "a TensorFlow SavedModel, which is a program and no description of layers; load it with the"
    " TensorFlow that made it and save it with model.save('model.keras')",
    sniff.TFLITE: "a TensorFlow Lite model, which cannot be differentiated; give the Keras file that it was made from",
    sniff.SAVED_MODEL_PART: "one file of a TensorFlow SavedModel, which is a program and no description of layers; load"
    " the folder with the TensorFlow that made it and save it with model.save('model.keras')",
    sniff.TENSORFLOW_GRAPH: "a frozen TensorFlow graph, a program without layers; give the Keras file that it was made"
    " from",
    sniff.KERAS_PICKLE: "a pickled Keras model, which runs code to be opened; load it with the Keras that made it and"
    " save it with model.save('model.keras')",
    sniff.ONNX: "an ONNX model; give the PyTorch or Keras model that it was made from",
}
HDF5_ENDINGS = (".h5", ".hdf5", ".hdf", ".keras", ".weights")


@dataclass(frozen=True)
class Request:
    """What the user asked for, beside the source itself; see `open_model`."""

    weights: str | Path | None = None
    architecture: Any = None
    custom: Sequence[str] = ()
    trust: bool = False


def open_file(path: Path, request: Request) -> Loaded:
    """The model in a file.

    Raises:
        ModelError: it cannot be opened.
    """
    kind = kind_of(path)
    if kind in UNREAD:
        raise ModelError(f"{path} is {UNREAD[kind]}")
    if kind in sniff.TORCH_KINDS:
        from convlens.loading.checkpoints import open_torch_file

        loaded = open_torch_file(path, kind, request)
    else:
        loaded = _keras_file(path, kind, request)
    return with_surroundings(replace(loaded, sha256=sha256(path)), path)


def _keras_file(path: Path, kind: str, request: Request) -> Loaded:
    keras_ready()
    from convlens.loading import keras_files

    options = keras_files.Options(tuple(request.custom), request.trust)
    if kind == sniff.HDF5 and not keras_files.has_architecture(path):
        return _weights_only(path, request)
    if request.architecture is not None:
        return _into(request.architecture, keras_files.weights_source(path), path, request)
    if kind in (sniff.JSON, sniff.YAML):
        keras_files.read_architecture(path)  # an error in it comes before one about weights
        if str(request.weights) == RANDOM:
            loaded = keras_files.load_keras(path, None, options)
            return replace(loaded, notes=(*loaded.notes, UNTRAINED))
        chosen = Path(request.weights) if request.weights else weights_beside(path)
        loaded = keras_files.load_keras(path, chosen, options)
        note = () if request.weights else (f"weights taken from {chosen.name}, which lies beside {path.name}",)
        return replace(loaded, notes=(*note, *loaded.notes))
    return keras_files.load_keras(path, Path(request.weights) if request.weights else None, options)


def weights_beside(path: Path) -> Path:
    """The file of weights that belongs to an architecture file: of the same stem, or the only one there.

    Raises:
        ModelError: there is none, or several and none of the same stem.
    """
    found = [
        other
        for other in sorted(path.parent.iterdir())
        if other != path and other.suffix.lower() in HDF5_ENDINGS and other.is_file() and _is_hdf5(other)
    ]
    same = [other for other in found if other.name.split(".")[0] == path.name.split(".")[0]]
    like = [other for other in found if other.name.startswith(path.name.split(".")[0])]
    for chosen in (same, like, found):
        if len(chosen) == 1:
            return chosen[0]
    there = f"several lie beside it ({', '.join(other.name for other in found[:5])})" if found else "none lie beside it"
    raise ModelError(
        f"{path} is an architecture without weights, and {there}; give weights=FILE, or weights=random for an"
        " untrained network"
    )


def _is_hdf5(path: Path) -> bool:
    try:
        return kind_of(path) == sniff.HDF5
    except ModelError:
        return False


def _weights_only(path: Path, request: Request) -> Loaded:
    if request.architecture is None:
        raise ModelError(
            f"{path} holds weights alone; give architecture=FILE.json, keras:NAME or module:function for the network"
            " that they are of"
        )
    from convlens.loading import keras_files

    return _into(request.architecture, keras_files.weights_source(path), path, request)


def _into(architecture: Any, weights: Any, path: Path, request: Request) -> Loaded:
    """A file of weights, put into an architecture given by a file, a name or a model."""
    from convlens.loading import keras_files
    from convlens.loading.workshop import Workshop

    options = keras_files.Options(tuple(request.custom), request.trust)
    if isinstance(architecture, str | Path) and Path(architecture).exists():
        found = keras_files.read_architecture(Path(architecture))
        loaded = Loaded(None, "keras", str(path))
        return keras_files.with_weights(weights, lambda numbers: keras_files.build(found, options, numbers), loaded)
    known = keras_architecture(architecture, path, request)
    return keras_files.with_weights(weights, lambda _: (known.model, Workshop()), replace(known, source=str(path)))


def keras_architecture(architecture: Any, path: Path, request: Request) -> Loaded:
    """An untrained Keras model from keras:NAME, module:function, or a model in memory, which is left as it is.

    Raises:
        ModelError: it is of another framework, or nothing of the kind.
    """
    from convlens.loading import keras_files, zoo
    from convlens.loading.memory import called, in_memory

    if isinstance(architecture, str) and architecture.startswith("keras:"):
        classes = keras_files.classes_in(path)
        return zoo.keras_zoo(architecture, RANDOM, None if classes == 1000 else classes)
    loaded = called(architecture) if isinstance(architecture, str | Path) else in_memory(architecture)
    if loaded.framework != "keras":
        raise ModelError(f"{path} holds weights of a Keras model; the architecture is a PyTorch module")
    if isinstance(architecture, str | Path):
        return loaded
    import keras

    return replace(loaded, model=_copied(keras, loaded.model))


def _copied(keras: Any, model: Any) -> Any:
    try:
        return keras.models.clone_model(model)
    except (ValueError, TypeError, NotImplementedError):  # a subclassed model, which Keras cannot rebuild
        return copy.deepcopy(model)
