"""Architectures as data -> Keras models: Sequential and Functional, of every age, nested to any depth.

The graph is walked here, call by call, because the formats differ in what Keras 3 reads of them: calls are
numbered from offsets, nested models put out lists of one, constants stand among the inputs.
"""

from typing import Any

import keras

from convlens.errors import ModelError, reason
from convlens.loading.keras import operations
from convlens.loading.keras.calls import Constant, Reference, calls_of, map_references, reference_tree
from convlens.loading.keras.context import BuildContext
from convlens.loading.keras.keras1 import MERGES
from convlens.loading.keras.layer_config import build_layer, dtype_policy, keras_name
from convlens.loading.keras.legacy import MODELS, bare_name, first_shape
from convlens.loading.keras.numbering import Step, numbered

MAX_PIXELS = 10**9


def build_model(context: BuildContext, class_name: str, config: Any) -> Any:
    """The `keras.Model` that a configuration describes.

    Args:
        class_name: "Sequential", "Model" or "Functional".
        config: a dict; for Sequential also the list of layers that Keras before 2.3 wrote.

    Raises:
        ModelError: it is damaged, or holds layers that cannot be built.
    """
    if class_name == "Sequential":
        return sequential(context, config)
    if isinstance(config, dict) and isinstance(config.get("layers"), list):
        return functional(context, config)
    raise ModelError(f"damaged architecture: a {class_name} without layers")


def sequential(context: BuildContext, config: Any) -> Any:
    """A Sequential model, built where its input shape is known."""
    entries, name = (config, None) if isinstance(config, list) else (config.get("layers"), config.get("name"))
    if not isinstance(entries, list) or not entries:
        raise ModelError("damaged architecture: a Sequential model without layers")
    if _class(entries[0]) == "Merge":
        return _merged(context, entries, name)
    layers = []
    shape = None if isinstance(config, list) else config.get("build_input_shape")
    if _class(entries[0]) != "InputLayer":
        shape = _shape_within(entries[0]) or shape
        if isinstance(shape, list) and all(side is None or isinstance(side, int) for side in shape):
            dtype = entries[0].get("config")
            dtype = dtype.get("dtype") if isinstance(dtype, dict) else None
            layers.append(keras.Input(batch_shape=checked_shape(shape), dtype=_input_dtype(dtype)))
    for entry in entries:
        layers.append(_input(context, entry) if _class(entry) == "InputLayer" else _layer(context, entry))
    model = keras.Sequential(layers, name=keras_name(context, name))
    context.list_layers(model, zip(map(_class, entries), layers[-len(entries) :], strict=True))
    if isinstance(config, dict) and config.get("trainable") is False:
        model.trainable = False
    return model


def _class(entry: Any) -> str:
    if not isinstance(entry, dict) or "class_name" not in entry:
        raise ModelError(f"damaged architecture: expected a layer, got {str(entry)[:60]!r}")
    return bare_name(str(entry["class_name"]))


def _layer(context: BuildContext, entry: dict[str, Any]) -> Any:
    """The layer of an entry; one that stands in several models of the file is built once."""
    return context.once(entry, lambda: _new_layer(context, entry))


def _new_layer(context: BuildContext, entry: dict[str, Any]) -> Any:
    config = entry.get("config")
    if _class(entry) in MODELS and entry["class_name"] not in context.custom:
        return build_model(context, _class(entry), config)
    if not isinstance(config, dict):
        raise ModelError(f"damaged architecture: a {_class(entry)} without configuration")
    return build_layer(context, entry["class_name"], config, build_model)


def _shape_within(entry: dict[str, Any]) -> list | None:
    """The input shape of a layer, or of the first layer of a nested model."""
    config = entry.get("config")
    for _ in range(20):
        if isinstance(config, dict) and not isinstance(config.get("layers"), list):
            return first_shape(config)
        layers = config.get("layers") if isinstance(config, dict) else config
        if not isinstance(layers, list) or not layers or not isinstance(layers[0], dict):
            return None
        config = layers[0].get("config")
    return None


def checked_shape(shape: list) -> tuple:
    """An input shape with its batch axis, of sensible size; the batch is left open.

    Raises:
        ModelError: it is damaged.
    """
    pixels = 1
    for side in shape[1:]:
        if side is not None and not (isinstance(side, int) and side > 0):
            raise ModelError(f"damaged architecture: input shape {shape}")
        pixels *= side or 1
    if pixels > MAX_PIXELS:
        raise ModelError(f"damaged architecture: input shape {shape} has {pixels:,} values an image")
    return (None, *shape[1:])


def _input(context: BuildContext, entry: dict[str, Any]) -> Any:
    config = entry.get("config") or {}
    shape = first_shape(config)
    if shape is None:
        raise ModelError(f"damaged architecture: input {config.get('name')} without a shape")
    name = keras_name(context, config.get("name") or entry.get("name"))
    return keras.Input(batch_shape=checked_shape(shape), dtype=_input_dtype(config.get("dtype")), name=name)


def _input_dtype(dtype: Any) -> Any:
    if isinstance(dtype, dict):
        dtype = dtype_policy(str(dtype.get("class_name")), dtype.get("config"))
    return dtype if isinstance(dtype, str) and "mixed" not in dtype else "float32"


def _merged(context: BuildContext, entries: list[dict], name: Any) -> Any:
    """A Sequential of Keras 1 that starts by merging the outputs of others."""
    config = entries[0].get("config") or {}
    branches = config.get("layers")
    if not isinstance(branches, list) or config.get("mode") not in MERGES:
        raise ModelError(f"damaged architecture: a Merge of {str(branches)[:40]!r} by {config.get('mode')!r}")
    inputs, outputs = [], []
    for branch in branches:
        model = _layer(context, branch)
        inputs.append(model.inputs[0])
        outputs.append(model.outputs[0])
    merge = {key: value for key, value in config.items() if key != "layers"}
    tensor = build_layer(context, "Merge", merge, build_model)(outputs)
    for entry in entries[1:]:
        tensor = _layer(context, entry)(tensor)
    return keras.Model(inputs, tensor, name=keras_name(context, name))


def functional(context: BuildContext, config: dict[str, Any]) -> Any:
    """A Functional model: its layers first, then its calls in an order in which their inputs exist."""
    waiting: list[Step] = []
    built: dict[str, Any] = {}
    tensors: dict[tuple[str, int], Any] = {}
    entries = [entry for entry in config["layers"] if _class(entry)]
    for entry in entries:
        name = _entry_name(entry)
        if _class(entry) == "InputLayer":
            tensors[name, 0] = _input(context, entry)
            continue
        reader = operations.reader(entry)
        built[name] = reader if reader is not None else _layer(context, entry)
        nodes = entry.get("inbound_nodes") or []
        waiting += [Step(name, number, calls_of(node)) for number, node in enumerate(nodes)]
    waiting, outputs = numbered(waiting, reference_tree(config.get("output_layers")))
    while waiting:
        left = [step for step in waiting if not _run(step, built, tensors)]
        if len(left) == len(waiting):
            raise ModelError(f"damaged architecture: the inputs of layer {waiting[0].layer} are never computed")
        waiting = left

    def find(reference: Reference) -> Any:
        return _tensor(tensors, reference)

    inputs = map_references(reference_tree(config.get("input_layers")), find)
    model = keras.Model(
        _single(inputs), _single(map_references(outputs, find)), name=keras_name(context, config.get("name"))
    )
    context.list_layers(model, ((_class(entry), built.get(_entry_name(entry))) for entry in entries))
    if config.get("trainable") is False:
        model.trainable = False
    return model


def _entry_name(entry: dict[str, Any]) -> str:
    config = entry.get("config")
    return str(entry.get("name") or (config.get("name") if isinstance(config, dict) else None))


def _single(structure: Any) -> Any:
    """A list of one tensor as the tensor: a nested model that puts out a list breaks the layer after it."""
    return structure[0] if isinstance(structure, list) and len(structure) == 1 else structure


def _tensor(tensors: dict[tuple[str, int], Any], reference: Reference) -> Any:
    flat = keras.tree.flatten(tensors[reference.layer, reference.call])
    if reference.tensor >= len(flat):
        raise ModelError(f"damaged architecture: layer {reference.layer} has no output {reference.tensor}")
    return flat[reference.tensor]


def _run(step: Step, built: dict, tensors: dict) -> bool:
    """Makes one call; False where an input does not exist yet."""
    name, call = step.layer, step.call
    try:
        find = lambda leaf: leaf.value if isinstance(leaf, Constant) else _tensor(tensors, leaf)  # noqa: E731
        arguments = [map_references(argument, find) for argument in call.arguments]
        options = {key: map_references(value, find) for key, value in call.options.items()}
    except KeyError:
        return False
    layer = built[name]
    if isinstance(layer, keras.Model) and arguments and isinstance(arguments[0], list) and len(arguments[0]) == 1:
        arguments[0] = arguments[0][0]
    if isinstance(layer, keras.layers.Layer):
        options = {key: value for key, value in options.items() if value is not None and key != "name"}
    try:
        tensors[name, step.number] = layer(*arguments, **options)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"layer {name} ({type(layer).__name__}) does not fit its input: {reason(error)}") from error
    return True
