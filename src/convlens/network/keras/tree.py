"""The layers of a Keras model, and those inside of layers."""

from typing import Any

import keras


def sublayers(layer: Any) -> list[Any]:
    """The layers and operations directly inside a model, or inside a layer that the user wrote."""
    if isinstance(layer, keras.Model):
        inner_layers = getattr(layer, "operations", None) or layer.layers
        return [inner for inner in inner_layers if not isinstance(inner, keras.layers.InputLayer)]
    if type(layer).__module__.startswith("keras."):
        return []  # what lies inside Keras's own layers may run in a loop of the backend, out of reach
    return attribute_layers(layer)


def attribute_layers(layer: Any) -> list[Any]:
    """The layers that are attributes of a layer, alone or in lists and dicts."""
    layers = []
    for value in vars(layer).values():
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
        layers += [part for part in parts if isinstance(part, keras.layers.Layer) and part is not layer]
    return list(dict.fromkeys(layers))


def every_layer(layer: Any) -> list[Any]:
    """A layer and all layers in it, at any depth."""
    seen, waiting = {}, [layer]
    while waiting:
        current = waiting.pop()
        if id(current) not in seen:
            seen[id(current)] = current
            waiting += attribute_layers(current) + (sublayers(current) if isinstance(current, keras.Model) else [])
    return [current for current in seen.values() if isinstance(current, keras.layers.Layer)]
