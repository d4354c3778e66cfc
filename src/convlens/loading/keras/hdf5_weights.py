"""Weights of HDF5 files of Keras 0.3 to Keras 3, layer by layer, put into a model by hand."""

from dataclasses import dataclass
from typing import Any

import h5py
import keras
import numpy as np

from convlens.errors import ModelError
from convlens.loading.hdf5.safe import attribute, damaged, text, texts
from convlens.loading.keras.kernels import Era, converted
from convlens.loading.loaded import Filling
from convlens.network.keras.tree import every_layer

IGNORED = ("StateVar", "seed_generator", "iterations")  # states of random layers, not weights


@dataclass(frozen=True)
class Stored:
    """One layer's weights in the file: their names and their datasets, in the order of saving."""

    layer: str
    names: tuple[str, ...]
    values: tuple[h5py.Dataset, ...]


@dataclass(frozen=True)
class Match:
    """Which layer gets which weights.

    Attributes:
        pairs: a layer and what the file has for it.
        bare: the names of the layers that get none, and these layers.
        unused: the names of what no layer takes.
    """

    pairs: tuple[tuple[Any, Stored], ...]
    bare: tuple[tuple[str, Any], ...]
    unused: tuple[str, ...]


def root_of(file: h5py.File) -> Any:
    """The group that holds the layers: `model_weights` in a file of a whole model, else the file itself."""
    return file.get("model_weights", file)


def era_of(file: h5py.File, stored: list[Stored]) -> Era:
    """Which Keras wrote the weights, and under which backend."""
    root = root_of(file)
    version = attribute(root, "keras_version", "") or attribute(file, "keras_version", "")
    backend = attribute(root, "backend", "") or attribute(file, "backend", "")
    names = [name for entry in stored for name in entry.names]
    major = int(text(version)[0]) if version is not None and text(version)[:1].isdigit() else 1
    # Keras 1 did not write its backend, but TensorFlow's names of variables end in ":0" and Theano's do not.
    theano = text(backend) == "theano" if backend is not None else bool(names) and ":" not in "".join(names)
    return Era(major, theano and (backend is not None or major < 2))


def stored_layers(file: h5py.File, name: str) -> list[Stored]:
    """All layers with weights in a file of Keras, in the order of saving.

    Raises:
        ModelError: the file is damaged or holds no weights by layer.
    """
    root = root_of(file)
    order = attribute(root, "layer_names", name)
    try:
        if order is not None:
            return [entry for entry in (_stored(root, layer, name) for layer in texts(order)) if entry.values]
        if attribute(root, "nb_layers", name) is not None:
            return _oldest(root)
    except (OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise damaged(name, error) from error
    raise ModelError(f"{name} is an HDF5 file without the weights of a Keras model in it (it holds {_shown(file)})")


def _shown(file: h5py.File) -> str:
    return ", ".join(list(file)[:5]) or "nothing"


def _stored(root: Any, layer: str, name: str) -> Stored:
    group = root[layer]
    listed = texts(attribute(group, "weight_names", name))
    names = [weight for weight in listed if not any(word in weight for word in IGNORED)]
    values = [group[weight] for weight in names]
    if not all(isinstance(value, h5py.Dataset) for value in values):
        raise ModelError(f"{name} is damaged: the weights of layer {layer} are no arrays")
    return Stored(layer, tuple(names), tuple(values))


def _oldest(root: Any) -> list[Stored]:
    """Keras 0.3: groups layer_0, layer_1, ... with datasets param_0, param_1, ..."""
    stored = []
    for layer in sorted((key for key in root if key.startswith("layer_")), key=lambda key: int(key[6:])):
        group = root[layer]
        names = sorted((key for key in group if key.startswith("param_")), key=lambda key: int(key[6:]))
        if names:
            stored.append(Stored(layer, tuple(names), tuple(group[key] for key in names)))
    return stored


def load_weights(model: Any, file: h5py.File, name: str, originals: dict[str, str]) -> Filling:
    """Puts the weights of a file into a model.

    Layers are found by name; by order where the names differ and the numbers of layers agree; or by the names of
    the innermost layers. Shapes are compared before anything is read.

    Args:
        name: of the file, for messages.
        originals: a layer's name in the model -> its name in the file, where they differ.

    Raises:
        ModelError: no layer fits, a layer's weights have another shape, or layers go without while weights are left.
    """
    stored = stored_layers(file, name)
    era = era_of(file, stored)
    match = _matched(model, stored, originals)
    if not match.pairs:
        theirs = ", ".join(entry.layer for entry in stored[:4]) or "none"
        ours = ", ".join(label for label, _ in match.bare[:4]) or "none"
        raise ModelError(
            f"no layer of the architecture is in {name} (its layers: {theirs}; the architecture's: {ours});"
            " give the architecture that the weights are of"
        )
    filling = Filling(name, match.bare, match.unused)
    values = [pair for layer, entry in match.pairs for pair in _layer_values(layer, entry, era, name, originals)]
    for variable, value in values:
        variable.assign(value)
    for layer in every_layer(model):
        if isinstance(layer, keras.layers.Normalization) and layer.built:
            layer.finalize_state()
    return filling


def _matched(model: Any, stored: list[Stored], originals: dict[str, str]) -> Match:
    """Which layer gets which weights: by name, by order or by the innermost layers."""
    by_name = {entry.layer: entry for entry in stored}

    def named(layers: list[Any]) -> list[tuple[Any, Stored]]:
        looked_up = [(layer, by_name.get(originals.get(str(layer.name), str(layer.name)))) for layer in layers]
        return [(layer, entry) for layer, entry in looked_up if entry is not None]

    def fits(pairs: list[tuple[Any, Stored]]) -> bool:
        return all(_size(entry) == sum(_count(weight) for weight in layer.weights) for layer, entry in pairs)

    layers = [layer for layer in model.layers if layer.weights]
    pairs = named(layers)
    if len(layers) == len(stored) and (len(pairs) < len(layers) or not fits(pairs)):
        ordered = list(zip(layers, stored, strict=True))
        pairs = ordered if fits(ordered) else pairs
    if len(pairs) < len(layers):
        leaves = [layer for layer in leaf_layers(model) if layer.weights]
        inner = named(leaves)
        if len(inner) / max(1, len(leaves)) > len(pairs) / len(layers):
            layers, pairs = leaves, inner
    taken = {id(layer) for layer, _ in pairs}
    used = {entry.layer for _, entry in pairs}
    bare = tuple((str(layer.name), layer) for layer in layers if id(layer) not in taken)
    return Match(tuple(pairs), bare, tuple(entry.layer for entry in stored if entry.layer not in used))


def _size(entry: Stored) -> int:
    return sum(int(value.size or 0) for value in entry.values)


def _count(weight: Any) -> int:
    return int(np.prod(weight.shape))


def leaf_layers(model: Any) -> list[Any]:
    """The layers of a model, with those of the models in it in their place."""
    leaves = []
    for layer in model.layers:
        leaves += leaf_layers(layer) if isinstance(layer, keras.Model) else [layer]
    return leaves


def _layer_values(layer: Any, entry: Stored, era: Era, name: str, originals: dict[str, str]) -> list:
    """Pairs of a variable and its value."""
    if not isinstance(layer, keras.Model):
        return _leaf_values(layer, entry, era, name)
    leaves = [leaf for leaf in leaf_layers(layer) if leaf.weights]
    parts = [_part(entry, originals.get(str(leaf.name), str(leaf.name))) for leaf in leaves]
    if all(len(part.values) == len(leaf.weights) for leaf, part in zip(leaves, parts, strict=True)):
        values = []
        for leaf, part in zip(leaves, parts, strict=True):
            values += _leaf_values(leaf, part, era, name)
        return values
    return _leaf_values(layer, entry, era, name)


def _part(entry: Stored, leaf: str) -> Stored:
    """The weights in a nested model's group that belong to one layer: `leaf/kernel:0` or `leaf_W`."""
    chosen = [
        place
        for place, weight in enumerate(entry.names)
        if f"/{leaf}/" in f"/{weight}" or weight.rsplit("_", 1)[0] == leaf
    ]
    return Stored(leaf, tuple(entry.names[i] for i in chosen), tuple(entry.values[i] for i in chosen))


def _leaf_values(layer: Any, entry: Stored, era: Era, name: str) -> list:
    variables = [*layer.trainable_weights, *layer.non_trainable_weights]  # the order in which Keras saves
    expected = sum(_count(weight) for weight in variables)
    if _size(entry) > 2 * expected + 1024:
        raise _misfit(layer, entry, variables, name)
    try:
        values = [np.asarray(value[()]) for value in entry.values]
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise damaged(name, error) from error
    values = converted(layer, values, era)
    shapes = [tuple(value.shape) for value in values]
    if shapes != [tuple(weight.shape) for weight in variables]:
        raise _misfit(layer, entry, variables, name)
    if any(value.dtype.kind not in "fiub" or value.dtype.itemsize > 8 for value in values):
        raise ModelError(f"{name} is damaged: the weights of layer {layer.name} are no numbers")
    return list(zip(variables, values, strict=True))


def _misfit(layer: Any, entry: Stored, variables: list, name: str) -> ModelError:
    wanted = ", ".join(str(tuple(weight.shape)) for weight in variables[:4])
    received = ", ".join(str(value.shape) for value in entry.values[:4])
    return ModelError(
        f"the weights do not fit: layer {layer.name} takes {wanted or 'none'}, {name} has {received or 'none'} for"
        f" {entry.layer}; give the architecture that the weights are of"
    )
