"""From what the user has to a network: loads the model, and finds its preprocessing and class names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convlens.backend import keras_ready
from convlens.data.labels import Labels, checked, read_labels, usual_names
from convlens.data.preprocessing import Preprocessing, preprocessing
from convlens.errors import LabelsError, PreprocessingError
from convlens.loading import Loaded, find_source, open_model
from convlens.loading.transforms import Pipeline, Transforms, categories, read_transforms
from convlens.network.driver import Driver
from convlens.network.exclusive import exclusive
from convlens.network.inspect.head import SCORE
from convlens.network.inspect.head_kinds import OutputFacts
from convlens.network.inspect.observation import run_observed
from convlens.network.inspect.untrained import Untrained
from convlens.network.network import Network
from convlens.network.passes import Passes
from convlens.network.recipe import recipe

IMAGENET = "ImageNet's, as the network has 1000 classes"
STRETCHED = (
    "of the transforms given, the size and what they do to values are taken: photos are stretched to the network's"
    " size, not cropped"
)


@dataclass(frozen=True)
class LoadOptions:
    """What `convlens.load` takes beside the model, and where it is documented."""

    preprocess: Any = None
    labels: Any = None
    weights: Any = None
    architecture: Any = None
    custom: Sequence[str] = ()
    trust: bool = False
    partial: bool = False
    input_shape: Any = None
    head: Any = None


def open_network(model: Any, options: LoadOptions) -> Network:
    """See `convlens.load`."""
    source = find_source(model)
    keras_ready("torch" if source.framework == "torch" else None)
    taken = {name: getattr(options, name) for name in ("weights", "architecture", "custom", "trust")}
    loaded = open_model(source, **taken)
    transforms = read_transforms(options.preprocess) if options.preprocess is not None else None
    if transforms:
        loaded = _told(loaded, transforms)
    said = recipe(**{"model": source.value, **vars(options)})
    with exclusive(loaded.model):
        return _network(loaded, transforms, options, said)


def _network(
    loaded: Loaded, transforms: Transforms | None, options: LoadOptions, loading: Mapping[str, Any]
) -> Network:
    """The network with all that its source and its first pass tell."""
    driver = _driver(loaded, options.input_shape)
    notes = [*loaded.notes, *driver.notes]
    if loaded.untrained and options.partial:
        notes.append("what runs through untrained layers is computed with random weights, as partial=True asks")
    scaling, aside = _preprocessing(driver, loaded, transforms.preprocessing if transforms else options.preprocess)
    passes = Passes(driver, loaded.source)
    seen = run_observed(passes, passes.input_arrays(1))
    names, unfit = _labels(seen.units[0], loaded, options.labels, options.head)
    notes += [*aside, *unfit]
    if transforms and transforms.size:
        notes.append(STRETCHED)
    told = loaded.labels is not None and not loaded.labels_beside and options.labels is None
    known = names is not None and (told or names.source == IMAGENET)
    exclusive_because = f"its classes are known: {names.source}" if known and names else None
    network = Network(
        driver,
        loaded.source,
        sha256=loaded.sha256,
        preprocessing=scaling,
        labels=names,
        untrained=Untrained(map(driver.path_of, loaded.untrained), options.partial),
        outputs=OutputFacts(options.head, loaded.loss, exclusive_because),
        notes=notes,
        seen=seen,
        loading=loading,
    )
    if options.head is not None:
        _check_heads(network, options.head)
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


def _driver(loaded: Loaded, input_shape: Any) -> Driver:
    if loaded.framework == "torch":
        keras_ready("torch")
        from convlens.network.torch.driver import TorchDriver as Chosen
    else:
        from convlens.network.keras.driver import KerasDriver as Chosen
    return Chosen(loaded.model, loaded.source, input_shape=input_shape, input_size=loaded.input_size)


def _preprocessing(
    driver: Driver, loaded: Loaded, given: str | Callable | None
) -> tuple[Preprocessing | None, tuple[str, ...]]:
    """Given by the user, else the source's own, else told by the model's first layers, else unknown; and a note."""
    if given is not None:
        own = preprocessing(given, "given")
        if isinstance(given, Pipeline):
            _probe(driver, own)
        return own, ()
    aside: tuple[str, ...] = ()
    if loaded.preprocessing is not None:
        own = preprocessing(loaded.preprocessing, loaded.preprocessing_source or "found with the model")
        try:
            _probe(driver, own)
            return own, ()
        except PreprocessingError as error:  # as of a network made for other channels than its makers'
            aside = (f"preprocessing left aside: {own.source}: {error}",)
    inside = driver.inner_preprocessing()
    return (preprocessing(inside[0], f"as layer {inside[1]} of the network expects") if inside else None), aside


def _probe(driver: Driver, own: Preprocessing) -> None:
    """Tries a preprocessing on the channels of the network.

    Raises:
        PreprocessingError: it is for others.
    """
    image = next((spec for spec in driver.inputs if spec.is_image), None)
    if image is not None:
        own(np.zeros((1, 8, 8, image.shape[2] or 3), "float32"))


def _labels(
    units: int, loaded: Loaded, given: str | Path | Sequence[str] | None, head: Any
) -> tuple[Labels | None, tuple[str, ...]]:
    """Given by the user, else the source's own, else ImageNet's where there are 1000 classes; and a note.

    Args:
        units: of the first output.
    """
    if given is None and loaded.labels is None:
        names = usual_names(units)
        return (Labels(names, IMAGENET) if names else None), ()
    classes = 2 if units == 1 and head != SCORE else units  # a single unit is class 1 against class 0
    if given is not None:
        names = categories(given)
        source = f"labels file {given}" if isinstance(given, str | Path) else "the list of labels"
        if names:
            return checked(names, classes, "the weights given with labels="), ()
        return checked(read_labels(given), classes, source), ()
    try:
        return checked(loaded.labels or (), classes, loaded.labels_source or "the model's labels"), ()
    except LabelsError as error:
        return None, (f"class names left aside: {error}",)
