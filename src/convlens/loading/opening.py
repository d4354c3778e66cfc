"""From what the user has to a network: loads the model, and finds its preprocessing and class names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from convlens.backend import keras_ready
from convlens.data.labels import Labels, checked, read_labels, usual_names
from convlens.data.preprocessing import Preprocessing, preprocessing
from convlens.errors import LabelsError, PreprocessingError
from convlens.loading import Loaded, find_source, open_model
from convlens.loading.transforms import Pipeline, Transforms, categories, read_transforms
from convlens.network.inspect.head import SCORE
from convlens.network.inspect.head_kinds import Evidence
from convlens.network.inspect.untrained import Untrained
from convlens.network.network import Network
from convlens.network.recipe import recipe

IMAGENET = "ImageNet's, as the network has 1000 classes"
STRETCHED = (
    "of the transforms given, the size and what they do to values are taken: photos are stretched to the network's size,"
    " not cropped"
)


def open_network(
    model: Any,
    preprocess: Any,
    labels: Any,
    input_shape: Any,
    weights: Any,
    architecture: Any,
    custom: Sequence[str],
    trust: bool,
    partial: bool,
    head: Any = None,
) -> Network:
    """See `convlens.load`."""
    loading = recipe(
        model=model, preprocess=preprocess, labels=labels, weights=weights, architecture=architecture, custom=custom,
        trust=trust, partial=partial, input_shape=input_shape, head=head,
    )  # fmt: skip
    source = find_source(model)
    keras_ready("torch" if source.framework == "torch" else None)
    loaded = open_model(source, weights=weights, architecture=architecture, custom=custom, trust=trust)
    given = read_transforms(preprocess) if preprocess is not None else None
    if given:
        loaded = _told(loaded, given)
        preprocess = given.preprocessing
    network = _wrapped(loaded, input_shape)
    network.loading = loading
    network.untrained = Untrained(map(network.path_of, loaded.untrained), partial)
    if loaded.untrained and partial:
        network.notes.append("what runs through untrained layers is computed with random weights, as partial=True asks")
    network.preprocessing = _preprocessing(network, loaded, preprocess)
    network.labels = _labels(network, loaded, labels, head)
    told = loaded.labels is not None and not loaded.labels_beside and labels is None
    known = network.labels is not None and (told or network.labels.source == IMAGENET)
    why = f"its classes are known: {network.labels.source}" if known and network.labels else None
    network.evidence = Evidence(head, loaded.loss, why)
    if head is not None:
        _check_heads(network, head)
    if given and given.size:
        network.notes.append(STRETCHED)
    return network


def _told(loaded: Loaded, given: Transforms) -> Loaded:
    """The same, with the size and the class names that the user's transforms came with."""
    changes: dict[str, Any] = {"input_size": given.size} if given.size else {}
    if given.labels:
        changes |= {"labels": given.labels, "labels_source": "the weights given with preprocess="}
    return replace(loaded, **changes)


def _check_heads(network: Network, given: Any) -> None:
    """Raises OptionError where the user's word for an output is unknown or cannot be."""
    for output in given if isinstance(given, Mapping) else [0]:
        network.head(output)


def _wrapped(loaded: Loaded, input_shape: Any) -> Network:
    options = {
        "sha256": loaded.sha256,
        "notes": loaded.notes,
        "input_size": loaded.input_size,
        "input_shape": input_shape,
    }
    if loaded.framework == "torch":
        keras_ready("torch")
        from convlens.network.torch.driver import TorchNetwork

        return TorchNetwork(loaded.model, loaded.source, **options)
    from convlens.network.keras.driver import KerasNetwork

    return KerasNetwork(loaded.model, loaded.source, **options)


def _preprocessing(network: Network, loaded: Loaded, given: str | Callable | None) -> Preprocessing | None:
    """Given by the user, else the source's own, else told by the model's first layers, else unknown."""
    if given is not None:
        found = preprocessing(given, "given")
        if isinstance(given, Pipeline):
            _probe(network, found)
        return found
    if loaded.preprocessing is not None:
        found = preprocessing(loaded.preprocessing, loaded.preprocessing_source or "found with the model")
        try:
            _probe(network, found)
            return found
        except PreprocessingError as error:  # as of a network made for other channels than its makers'
            network.notes.append(f"preprocessing left aside: {found.source}: {error}")
    inside = network.inner_preprocessing()
    return preprocessing(inside[0], f"as layer {inside[1]} of the network expects") if inside else None


def _probe(network: Network, found: Preprocessing) -> None:
    """Tries a preprocessing on the channels of the network.

    Raises:
        PreprocessingError: it is for others.
    """
    if any(spec.is_image for spec in network.inputs):
        found(np.zeros((1, 8, 8, network.image_shape[2] or 3), "float32"))


def _labels(network: Network, loaded: Loaded, given: str | Path | Sequence[str] | None, head: Any) -> Labels | None:
    """Given by the user, else the source's own, else ImageNet's where there are 1000 classes."""
    units = network.observe().units[0]
    if given is None and loaded.labels is None:
        names = usual_names(units)
        return Labels(names, IMAGENET) if names else None
    classes = 2 if units == 1 and head != SCORE else units  # a single unit is class 1 against class 0
    if given is not None:
        names = categories(given)
        named = f"labels file {given}" if isinstance(given, str | Path) else "the list of labels"
        if names:
            return checked(names, classes, "the weights given with labels=")
        return checked(read_labels(given), classes, named)
    try:
        return checked(loaded.labels or (), classes, loaded.labels_source or "the model's labels")
    except LabelsError as error:
        network.notes.append(f"class names left aside: {error}")
        return None
