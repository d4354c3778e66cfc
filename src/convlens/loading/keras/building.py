"""An architecture as data -> a `keras.Model` of today's layers, with the weights of a file in it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras

from convlens.errors import ModelError
from convlens.loading.hdf5.safe import open_hdf5
from convlens.loading.keras.architecture import Architecture
from convlens.loading.keras.context import MAX_WEIGHTS, BuildContext
from convlens.loading.keras.graph import build_model
from convlens.loading.keras.layer_config import build_layer
from convlens.loading.keras.legacy import MODELS, bare_name
from convlens.loading.keras.trusted import custom_objects
from convlens.loading.keras.weights import Weights, filled, numbers_in
from convlens.loading.loaded import Loaded
from convlens.loading.request import Request

Built = tuple[Any, BuildContext]


def build(architecture: Architecture, request: Request, weights: int | None) -> Built:
    """The untrained model of an architecture, and what was found out on the way.

    Args:
        weights: how many numbers its weights may have, for a file that holds them.

    Raises:
        ModelError: it cannot be built.
    """
    budget = MAX_WEIGHTS if weights is None else min(MAX_WEIGHTS, 2 * weights + 10**6)
    context = BuildContext(architecture.major, custom_objects(request.custom), request.trust, budget)
    bare = bare_name(architecture.class_name)
    try:
        if bare in MODELS and architecture.class_name not in context.custom:
            model = build_model(context, bare, architecture.config)
        else:
            model = build_layer(context, architecture.class_name, architecture.config, build_model)
            if architecture.build_config and not getattr(model, "built", True):
                model.build_from_config(architecture.build_config)
    finally:
        context.release()
    if not isinstance(model, keras.Model):
        raise ModelError(f"the architecture is of a single layer ({architecture.class_name}), not of a model")
    return model, context


def with_weights(weights: Weights, construct: Callable[[int], Built], loaded: Loaded) -> Loaded:
    """A model with the weights of a file in it.

    Args:
        construct: from how many numbers the file holds, to the untrained model and its context.
        loaded: what else is known.

    Raises:
        ModelError: the file is damaged, or its weights are another network's.
    """
    with open_hdf5(weights.source, weights.name) as file:
        model, context = construct(numbers_in(file, weights.name))
        if not model.built:
            raise ModelError(
                f"the architecture of {weights.name} does not say what it takes as input; give"
                " architecture=module:function for a model that starts with keras.Input"
            )
        filling = filled(model, file, weights, context)
    return finished(replace(loaded, model=model, untrained=filling.layers), context, filling.notes)


def finished(loaded: Loaded, context: BuildContext, notes: Sequence[str] = ()) -> Loaded:
    """The same, with the notes of the context and what its layers say of its preprocessing."""
    loaded = replace(loaded, notes=(*loaded.notes, *context.notes, *notes))
    if loaded.preprocessing is not None or not loaded.model.layers:
        return loaded
    if _is_teachable_machine(loaded.model):
        return replace(loaded, preprocessing="tf", preprocessing_source="what Teachable Machine trains on")
    first = next(layer for layer in loaded.model.layers if not isinstance(layer, keras.layers.InputLayer))
    scaling = context.scalings.get(first.name)
    mode = scaling.input_range() if scaling is not None else None
    if mode is None:
        return loaded
    return replace(loaded, preprocessing=mode, preprocessing_source=f"the Lambda layer {first.name} ({scaling})")


def _is_teachable_machine(model: Any) -> bool:
    """Its exports are two Sequential models in one; the first holds a MobileNet of the name that it always has."""
    parts = model.layers
    nested = len(parts) == 2 and all(isinstance(part, keras.Sequential) for part in parts)
    return nested and any(layer.name == "model1" for layer in parts[0].layers)
