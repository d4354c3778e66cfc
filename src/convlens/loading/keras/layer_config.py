"""A layer's configuration -> a Keras layer. Nothing in a configuration names code: classes come from keras.layers
and from what the user gave, activations from keras.activations."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import keras

from convlens.errors import ModelError, near, reason
from convlens.loading.bytecode.affine import NotAffine
from convlens.loading.bytecode.instructions import disassembly
from convlens.loading.bytecode.lambdas import code_bytes, read_affine
from convlens.loading.keras.channels_first import repaired
from convlens.loading.keras.context import BuildContext
from convlens.loading.keras.legacy import MODELS, SILENT, bare_name, modern
from convlens.loading.keras.trusted import run_lambda
from convlens.network.keras.tree import every_layer

# layers of Keras that run code or read files named in their configuration
REFUSED = ("TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "FeatureSpace", "TextVectorization",
           "StringLookup", "IntegerLookup")  # fmt: skip
MAX_NUMBER = 10**7  # no sensible size of anything in an image network is above
FREE_NUMBERS = ("seed", "shared_object_id")


def hard_sigmoid(x: Any) -> Any:
    """The hard sigmoid of Keras 1 and 2; Keras 3 gives the name to another line (x / 6 + 0.5)."""
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


def build_layer(context: BuildContext, class_name: str, config: dict[str, Any], build_model: Callable) -> Any:
    """The layer of this configuration.

    Args:
        build_model: (context, class name, configuration) -> model, for layers that are models.

    Raises:
        ModelError: an unknown class or activation, arguments that do not fit, or code that would have to run.
    """
    if not isinstance(class_name, str) or not isinstance(config, dict):
        raise ModelError(f"damaged architecture: a layer is a class and a configuration, got {str(config)[:60]!r}")
    bare = bare_name(class_name)
    name = keras_name(context, config.get("name"))
    if class_name in context.custom or bare in context.custom:
        return _custom(context, context.custom.get(class_name, context.custom.get(bare)), config)
    if bare in MODELS:
        return build_model(context, bare, config)
    if bare == "Lambda":
        return _lambda(context, name, config)
    today, arguments = modern(class_name, config)
    kind = _layer_class(bare, today, config.get("name"))
    if kind is None:  # augmentation, which does nothing outside of training
        return keras.layers.Activation("linear", name=name)
    arguments = {key: _value(context, value, key, build_model) for key, value in arguments.items() if key != "name"}
    layer = _construct(context, kind, name, arguments)
    _guard(context, layer)
    return layer


def keras_name(context: BuildContext, name: Any) -> str | None:
    """A layer's name as Keras 3 takes it; the one in the file is kept for finding its weights."""
    if not isinstance(name, str) or not name:
        return None
    safe = name.replace("/", "_")
    if safe != name:
        context.originals[safe] = name
    return safe


def _layer_class(bare: str, today: str, name: Any) -> Any:
    if bare in REFUSED:
        raise ModelError(
            f"layer {name} is a {bare}, which runs or reads what lies outside of the file; convlens does not load it"
        )
    kind = getattr(keras.layers, today, None)
    if isinstance(kind, type) and issubclass(kind, keras.Layer):
        return kind
    if bare.startswith("Random"):
        return None
    known = [key for key, value in vars(keras.layers).items() if isinstance(value, type)]
    raise ModelError(
        f"layer {name} is of the class {bare!r}, which is not Keras's; give custom=MODULE:{bare} ({near(bare, known)})",
        received=bare,
        available=known,
    )


@cache
def _parameters(kind: type) -> frozenset[str]:
    """The names of all arguments that a layer class takes, its base classes' included."""
    names: set[str] = set()
    for base in kind.__mro__:
        if "__init__" in vars(base):
            signature = inspect.signature(vars(base)["__init__"])
            names |= {key for key, value in signature.parameters.items() if value.kind is not value.VAR_KEYWORD}
            if all(value.kind is not value.VAR_KEYWORD for value in signature.parameters.values()):
                break
    return frozenset(names - {"self", "args"})


def _construct(context: BuildContext, kind: Any, name: str | None, arguments: dict[str, Any]) -> Any:
    known = _parameters(kind)
    for key in [key for key in arguments if key not in known]:
        value = arguments.pop(key)
        if key not in SILENT and value not in (None, False, [], {}, 1):
            context.notes.append(f"layer {name}: {kind.__name__} no longer takes {key}={value!r}; it was left out")
    if "name" in known and name:
        arguments["name"] = name
    try:
        return repaired(kind, arguments)(**arguments)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(
            f"layer {name} ({kind.__name__}) cannot be built from its configuration: {reason(error)}"
        ) from error


def _guard(context: BuildContext, layer: Any) -> None:
    """Counts the weights before they are allocated: a few bytes in a file can ask for any number of them."""
    for part in every_layer(layer):
        original = part.add_weight

        def add_weight(shape: Any = None, *rest: Any, _add: Callable = original, **options: Any) -> Any:
            count = 1
            for side in shape if isinstance(shape, list | tuple) else [shape or 1]:
                count *= int(side)
            context.weights -= count
            if context.weights < 0:
                raise ModelError(
                    f"layer {layer.name} wants {count:,} numbers in one weight, more than the file has;"
                    " its architecture is damaged, or the weights are another network's"
                )
            return _add(shape, *rest, **options)

        vars(part)["add_weight"] = add_weight
        context.guarded.append(part)


def _value(context: BuildContext, value: Any, key: str, build_model: Callable) -> Any:
    """One argument: numbers and words as they are, serialized objects as what they describe."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int) and abs(value) > MAX_NUMBER and key not in FREE_NUMBERS:
        raise ModelError(f"damaged architecture: {key}={value} is no sensible size")
    if key in ("activation", "recurrent_activation"):
        return activation(context, value, build_model)
    if isinstance(value, list | tuple):
        return type(value)(_value(context, part, key, build_model) for part in value)
    if not isinstance(value, dict):
        return value
    if "class_name" not in value:
        if value.get("type") == "ndarray":
            return value.get("value")
        return {name: _value(context, part, key, build_model) for name, part in value.items()}
    return _object(context, value, key, build_model)


def _object(context: BuildContext, value: dict[str, Any], key: str, build_model: Callable) -> Any:
    class_name, config = value["class_name"], value.get("config")
    if class_name in ("__tuple__", "TensorShape"):
        return tuple(value.get("items") or ())
    if class_name in ("__numpy__", "__tensor__"):
        return (config or {}).get("value")
    if class_name == "__ellipsis__":
        return Ellipsis
    if key == "dtype" or str(class_name).endswith(("Policy", "PolicyV1")):
        return dtype_policy(class_name, config)
    if class_name == "function":
        return activation(context, value, build_model)
    if class_name == "__lambda__":
        raise ModelError(f"argument {key} is a Python function in the file, which convlens does not run; use custom=")
    if not isinstance(config, dict):
        raise ModelError(f"damaged architecture: {key} is {str(value)[:80]!r}")
    return context.once(value, lambda: build_layer(context, class_name, config, build_model))


def dtype_policy(class_name: str, config: Any) -> Any:
    """The name of a dtype policy, or a quantized policy."""
    name = config.get("name") if isinstance(config, dict) else None
    if str(class_name).startswith(("Quantized", "GPTQ", "AWQ", "Int4")):
        policy = keras.dtype_policies.deserialize({"class_name": class_name, "config": config})
        if isinstance(policy, keras.DTypePolicy):
            return policy
    if not isinstance(name, str):
        raise ModelError(f"damaged architecture: dtype {class_name} {str(config)[:60]}")
    return name.removesuffix("_infer") if name != "_infer" else "float32"


def activation(context: BuildContext, value: Any, build_model: Callable) -> Any:
    """The function that a configuration names, or the layer that it describes."""
    if isinstance(value, dict):
        class_name, config = value.get("class_name"), value.get("config")
        if class_name == "function":
            value = config if isinstance(config, str) else value.get("registered_name")
        elif class_name and isinstance(config, dict):
            return build_layer(context, class_name, config, build_model)
    if value is None:
        return None
    name = bare_name(str(value)).removesuffix("_v2")
    if name in context.custom:
        return context.custom[name]
    if name == "hard_sigmoid" and context.major < 3:
        return hard_sigmoid
    try:
        return keras.activations.get({"swish": "silu"}.get(name, name))
    except ValueError as error:
        known = [key for key in vars(keras.activations) if key.islower() and not key.startswith("_")]
        raise ModelError(
            f"activation {name!r} is not Keras's; give custom=MODULE:{name} ({near(name, known)})",
            received=name,
            available=known,
        ) from error


def _custom(context: BuildContext, kind: Any, config: dict[str, Any]) -> Any:
    with keras.saving.custom_object_scope(dict(context.custom)):
        return kind.from_config(dict(config)) if hasattr(kind, "from_config") else kind(**config)


def _lambda(context: BuildContext, name: str | None, config: dict[str, Any]) -> Any:
    """A Lambda that only scales becomes a Rescaling layer; any other one runs only if the file is trusted."""
    code = _stored_code(config)
    if code is None or code.text in context.custom:
        function = _known_function(context, name, config, code.text if code else None)
        return keras.layers.Lambda(function, name=name)
    arguments, data = config.get("arguments") or {}, b""
    try:
        data = code_bytes(code.text)
        scaling = read_affine(data, code.defaults, code.closure, arguments)
    except NotAffine as error:
        if context.trust:
            return run_lambda(name, data, code.defaults, code.closure, arguments)
        raise ModelError(
            f"the Lambda layer {name} holds Python code, which convlens reads but does not run, and {error}"
            f" [{disassembly(data)}]; if you trust the file, load it with trust=True (--trust)"
        ) from error
    context.scalings[name or "lambda"] = scaling
    context.notes.append(f"the Lambda layer {name} was read as {scaling} and became a Rescaling layer")
    scale, offset = (value.tolist() if hasattr(value, "tolist") else value for value in (scaling.scale, scaling.offset))
    return keras.layers.Rescaling(scale, offset, name=name)


@dataclass(frozen=True)
class _StoredCode:
    """The code of a Lambda layer as a file has it: a text, and the values of its defaults and free variables."""

    text: str
    defaults: Any
    closure: Any


def _stored_code(config: dict[str, Any]) -> _StoredCode | None:
    """None where the layer calls a function by name."""
    function = config.get("function")
    if isinstance(function, dict):  # Keras 3
        inner = function.get("config")
        if function.get("class_name") == "__lambda__" and isinstance(inner, dict):
            return _StoredCode(str(inner.get("code")), inner.get("defaults"), inner.get("closure"))
        return None
    if isinstance(function, list | tuple) and len(function) == 3 and config.get("function_type") != "function":
        return _StoredCode(str(function[0]), function[1], function[2])
    return None


def _known_function(context: BuildContext, name: str | None, config: dict[str, Any], text: str | None) -> Any:
    function = config.get("function")
    inner = function.get("config") if isinstance(function, dict) else function
    wanted = bare_name(str(text or inner))
    if wanted in context.custom:
        return context.custom[wanted]
    raise ModelError(
        f"the Lambda layer {name} calls the function {wanted!r}, which is not in the file; give custom=MODULE:{wanted}"
    )
