"""Keras files of every age -> a `keras.Model`: the architecture is rewritten as data, the weights follow."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from convlens.errors import ModelError
from convlens.loading import hdf5_weights, keras3_weights, sniff
from convlens.loading.graph import build_model
from convlens.loading.keras_zip import json_member, member_of, writer_version
from convlens.loading.layers import build_layer
from convlens.loading.legacy_keras import MODELS, bare_name
from convlens.loading.loaded import Loaded
from convlens.loading.safe_hdf5 import attribute, damaged, json_attribute, open_hdf5, text
from convlens.loading.trusted import custom_objects
from convlens.loading.workshop import MAX_WEIGHTS, Workshop
from convlens.loading.yaml_architecture import read_yaml


@dataclass(frozen=True)
class Architecture:
    """What a model is built from: a class, its configuration, its writer's major version of Keras, its loss."""

    class_name: str
    config: Any
    major: int
    build_config: Any = None
    loss: Any = None


@dataclass(frozen=True)
class Weights:
    """Where weights are read from: the path or the content of an HDF5 file, its name, the Keras that wrote it."""

    source: Path | bytes
    name: str
    version: str | None = None


@dataclass(frozen=True)
class Options:
    """How far the user goes along with a file."""

    custom: Sequence[str] = ()
    trust: bool = False


def architecture_of(value: Any, version: str | None, name: str) -> Architecture:
    """The architecture in a parsed JSON or YAML.

    Raises:
        ModelError: it is none.
    """
    if isinstance(value, str):  # a JSON text within a JSON text, as some wrote `json.dump(model.to_json())`
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{name} is text, but no architecture of a Keras model") from error
    if not isinstance(value, dict) or "class_name" not in value or "config" not in value:
        raise ModelError(f"{name} is no architecture of a Keras model: it has no class_name and config")
    version = str(value.get("keras_version") or version or "")
    if "module" in value and not version:
        version = "3"
    major = int(version[0]) if version[:1].isdigit() else 2
    compiled = value.get("compile_config")
    loss = compiled.get("loss") if isinstance(compiled, dict) else None
    return Architecture(str(value["class_name"]), value["config"], major, value.get("build_config"), loss)


def build(found: Architecture, options: Options, weights: int | None) -> tuple[Any, Workshop]:
    """The untrained model of an architecture.

    Args:
        weights: how many numbers its weights may have, for a file that holds them.

    Raises:
        ModelError: it cannot be built.
    """
    budget = MAX_WEIGHTS if weights is None else min(MAX_WEIGHTS, 2 * weights + 10**6)
    shop = Workshop(found.major, custom_objects(options.custom), options.trust, budget)
    bare = bare_name(found.class_name)
    try:
        if bare in MODELS and found.class_name not in shop.custom:
            model = build_model(shop, bare, found.config)
        else:
            model = build_layer(shop, found.class_name, found.config, build_model)
            if found.build_config and not getattr(model, "built", True):
                model.build_from_config(found.build_config)
    finally:
        shop.release()
    if not isinstance(model, keras.Model):
        raise ModelError(f"the architecture is of a single layer ({found.class_name}), not of a model")
    return model, shop


def read_architecture(path: Path) -> Architecture:
    """The architecture in a file: .json, .yaml, or a whole model.

    Raises:
        ModelError: the file has none.
    """
    kind = sniff.sniff(path)
    if kind == sniff.JSON:
        return architecture_of(json.loads(path.read_text(encoding="utf-8-sig")), None, str(path))
    if kind == sniff.YAML:
        return architecture_of(read_yaml(path), None, str(path))
    if kind == sniff.KERAS_ZIP:
        return _zip_architecture(path)
    if kind == sniff.HDF5:
        with open_hdf5(path, str(path)) as file:
            found = _hdf5_architecture(file, str(path))
            if found is not None:
                return found
    raise ModelError(f"{path} ({kind}) has no architecture of a Keras model in it")


def _hdf5_architecture(file: h5py.File, name: str) -> Architecture | None:
    config = json_attribute(file, "model_config", name)
    if config is None:
        return None
    version = attribute(file, "keras_version", name)
    if version is None:
        version = attribute(hdf5_weights.root_of(file), "keras_version", name)
    found = architecture_of(config, text(version) if version is not None else "1", name)
    try:
        training = json_attribute(file, "training_config", name)
    except ModelError:  # of what is not needed
        training = None
    return replace(found, loss=training.get("loss")) if isinstance(training, dict) else found


def _zip_architecture(path: Path) -> Architecture:
    config = json_member(path, "config.json")
    if config is None:
        raise ModelError(f"{path} is a damaged Keras file (no config.json); get the file again")
    return architecture_of(config, writer_version(path) or "3", str(path))


def with_weights(weights: Weights, construct: Callable[[int], tuple[Any, Workshop]], loaded: Loaded) -> Loaded:
    """A model with the weights of a file in it.

    Args:
        construct: from how many numbers the file holds, to the untrained model and its workshop.
        loaded: what else is known.

    Raises:
        ModelError: the file is damaged, or its weights are another network's.
    """
    name = weights.name
    with open_hdf5(weights.source, name) as file:
        model, shop = construct(_numbers(file, name))
        if not model.built:
            raise ModelError(
                f"the architecture of {name} does not say what it takes as input; give architecture=module:function for"
                " a model that starts with keras.Input"
            )
        if keras3_weights.is_keras3_layout(file):
            version, names = weights.version, shop.originals
            filling = keras3_weights.load_weights(model, file, name, version, shop.listed, names)
        else:
            filling = hdf5_weights.load_weights(model, file, name, shop.originals)
    return finished(replace(loaded, model=model, untrained=filling.layers), shop, filling.notes)


def _numbers(file: h5py.File, name: str) -> int:
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


def load_keras(path: Path, weights: Path | None, options: Options) -> Loaded:
    """A Keras file with its architecture in it.

    Args:
        path: a whole model (.keras, .h5), or an architecture (.json, .yaml).
        weights: a file to take the weights from; needed for an architecture, else the file's own are taken.

    Raises:
        ModelError: it cannot be loaded.
    """
    kind = sniff.sniff(path)
    found = read_architecture(path)

    def construct(numbers: int) -> tuple[Any, Workshop]:
        return build(found, options, numbers)

    loaded = Loaded(None, "keras", str(path), loss=found.loss)
    if weights is not None or kind in (sniff.KERAS_ZIP, sniff.HDF5):
        return with_weights(weights_source(weights or path), construct, loaded)
    model, shop = build(found, options, None)
    return finished(replace(loaded, model=model), shop)


def weights_source(path: Path) -> Weights:
    """The weights in a file, which may hold an architecture too.

    Raises:
        ModelError: it is neither.
    """
    kind = sniff.sniff(path)
    if kind == sniff.KERAS_ZIP:
        data = member_of(path, "model.weights.h5")
        if data is None:
            raise ModelError(f"{path} is a damaged Keras file (no model.weights.h5); get the file again")
        return Weights(data, path.name, writer_version(path))
    if kind == sniff.HDF5:
        return Weights(path, path.name)
    raise ModelError(f"{path} ({kind}) holds no weights of a Keras model; expected an HDF5 or a .keras file")


def has_architecture(path: Path) -> bool:
    """Whether a Keras file describes its network, or holds weights alone."""
    if sniff.sniff(path) != sniff.HDF5:
        return True
    with open_hdf5(path, str(path)) as file:
        return attribute(file, "model_config", str(path)) is not None


def classes_in(path: Path) -> int | None:
    """The number of classes that the last layer in a file of weights has, where that can be told."""
    weights = weights_source(path)
    with open_hdf5(weights.source, weights.name) as file:
        if keras3_weights.is_keras3_layout(file):
            return None
        stored = hdf5_weights.stored_layers(file, weights.name)
        last = stored[-1].values[-1] if stored and stored[-1].values else None
        return int(last.shape[0]) if last is not None and last.ndim == 1 else None


def finished(loaded: Loaded, shop: Workshop, notes: Sequence[str] = ()) -> Loaded:
    """The same, with the notes of the workshop and what its layers say of its preprocessing."""
    loaded = replace(loaded, notes=(*loaded.notes, *shop.notes, *notes))
    if loaded.preprocessing is not None or not loaded.model.layers:
        return loaded
    if _is_teachable_machine(loaded.model):
        return replace(loaded, preprocessing="tf", preprocessing_source="what Teachable Machine trains on")
    first = next(layer for layer in loaded.model.layers if not isinstance(layer, keras.layers.InputLayer))
    scaling = shop.scalings.get(first.name)
    mode = scaling.input_range() if scaling is not None else None
    if mode is None:
        return loaded
    return replace(loaded, preprocessing=mode, preprocessing_source=f"the Lambda layer {first.name} ({scaling})")


def _is_teachable_machine(model: Any) -> bool:
    """Its exports are two Sequential models in one; the first holds a MobileNet of the name that it always has."""
    parts = model.layers
    nested = len(parts) == 2 and all(isinstance(part, keras.Sequential) for part in parts)
    return nested and any(layer.name == "model1" for layer in parts[0].layers)
