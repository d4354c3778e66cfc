"""Networks by name: keras.applications, torchvision and timm, each with its own preprocessing and class names."""

import importlib
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from types import ModuleType
from typing import Any

from convlens.backend import keras_ready
from convlens.data.labels import usual_names
from convlens.errors import ModelError, reason
from convlens.loading.loaded import Loaded
from convlens.loading.objects import timm_description
from convlens.loading.request import UNTRAINED
from convlens.loading.transforms import categories, named, scaling


def named_network(source: str, untrained: bool) -> Loaded:
    """A network of a library, with its pretrained weights or with random ones, which a note says.

    Args:
        source: "keras:NAME", "torchvision:NAME" or "timm:NAME".

    Raises:
        ModelError: the library is absent, has no such network, or its weights cannot be downloaded.
        BackendError: Keras already runs on another backend than the network needs.
    """
    loaded = (keras_zoo if source.startswith("keras:") else torch_zoo)(source, untrained)
    return replace(loaded, notes=(*loaded.notes, UNTRAINED)) if untrained else loaded


def keras_zoo(source: str, untrained: bool, classes: int | None = None) -> Loaded:
    """A network of keras.applications.

    Args:
        source: "keras:NAME"; upper and lower case are the same.
        untrained: with random weights, instead of those trained on ImageNet.
        classes: how many classes an untrained network has; 1000 where it is not said.

    Raises:
        ModelError: no such network, or its weights cannot be downloaded.
    """
    keras_ready()
    module, build = _application(source.partition(":")[2])
    name = module.__name__.rsplit(".", 1)[-1]
    try:
        with redirect_stdout(sys.stderr):  # Keras announces its downloads on stdout, which is kept for results
            options = ({"weights": None} | ({"classes": classes} if classes else {})) if untrained else {}
            model = build(**options)
    except Exception as error:
        raise _undownloaded(source, error) from error
    mode = named(module.preprocess_input)
    names = usual_names(model.output_shape[-1])
    return Loaded(
        model,
        "keras",
        source,
        preprocessing=mode,
        preprocessing_source=f"keras.applications.{name}",
        labels=names,
        labels_source="ImageNet's 1000 classes" if names else None,
    )


def _application(name: str) -> tuple[ModuleType, Callable]:
    """The submodule of keras.applications that has the network of this name, and the function that builds it."""
    import keras

    networks: dict[str, tuple[ModuleType, Callable]] = {}
    for module in vars(keras.applications).values():
        if isinstance(module, ModuleType) and hasattr(module, "preprocess_input"):
            for key, value in vars(module).items():
                if callable(value) and key[0].isupper():
                    networks.setdefault(key, (module, value))
    by_lower = {key.lower(): key for key in networks}
    if name.lower() not in by_lower:
        raise ModelError.unknown(f"keras.applications has no network {name!r}", name, networks)
    return networks[by_lower[name.lower()]]


def _undownloaded(source: str, error: Exception) -> ModelError:
    return ModelError(
        f"the pretrained weights of {source} cannot be had ({reason(error)}); give weights=FILE for a downloaded file,"
        " or weights=random for an untrained network"
    )


def torch_zoo(source: str, untrained: bool, classes: int | None = None) -> Loaded:
    """A network of torchvision or timm.

    Args:
        source: "torchvision:NAME" or "timm:NAME".
        untrained: with random weights, instead of the pretrained ones.
        classes: how many classes an untrained network has; those of the pretrained one where it is not said.

    Raises:
        ModelError: the library is absent, has no such network, or its weights cannot be downloaded.
        BackendError: Keras already runs on another backend than torch.
    """
    keras_ready("torch")
    library, _, name = source.partition(":")
    try:
        module = importlib.import_module(library if library == "timm" else "torchvision.models")
    except ImportError as error:
        raise ModelError(
            f"{source} needs {library}, which cannot be imported ({error}): pip install {library}"
        ) from error
    loader = _timm if library == "timm" else _torchvision
    return loader(module, source, name, untrained, {"num_classes": classes} if classes else {})


def _torchvision(models: Any, source: str, name: str, untrained: bool, options: dict[str, int]) -> Loaded:
    if name not in models.list_models():
        raise ModelError.unknown(f"torchvision has no network {name!r}", name, models.list_models())
    chosen = models.get_model_weights(name).DEFAULT
    try:
        model = models.get_model(name, weights=None if untrained else chosen, **options)
    except (OSError, RuntimeError) as error:
        raise _undownloaded(source, error) from error
    said = scaling(chosen.transforms())
    where = f"torchvision's {type(chosen).__name__}.{chosen.name}"
    names = categories(chosen)
    return Loaded(
        model.eval(),
        "torch",
        source,
        preprocessing=said and said.preprocessing,
        preprocessing_source=where,
        labels=names,
        labels_source=where,
        input_size=said and said.size,
    )


def _timm(timm: Any, source: str, name: str, untrained: bool, options: dict[str, int]) -> Loaded:
    if not timm.is_model(name.split(".", 1)[0]):
        raise ModelError.unknown(f"timm has no network {name!r}", name, timm.list_models())
    try:
        model = timm.create_model(name, pretrained=not untrained, **options)
    except (OSError, RuntimeError) as error:
        raise _undownloaded(source, error) from error
    return Loaded(model.eval(), "torch", source, **timm_description(model, f"timm's configuration of {name}"))
