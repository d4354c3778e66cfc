"""How layers are called in a Functional architecture: references to tensors, in the formats since Keras 1."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from convlens.errors import ModelError

CONSTANT = "_CONSTANT_VALUE"  # tf.keras writes constants as outputs of a layer of this name


@dataclass(frozen=True)
class Reference:
    """One output of one call of one layer."""

    layer: str
    call: int
    tensor: int


@dataclass(frozen=True)
class Constant:
    """A number, or several, in the place of a tensor."""

    value: Any


@dataclass(frozen=True)
class Call:
    """The arguments of one call; references stand for tensors, at any depth."""

    arguments: list[Any]
    options: dict[str, Any] = field(default_factory=dict)

    def references(self) -> Iterator[Reference]:
        references: list[Reference] = []
        map_references([self.arguments, self.options], references.append, constants=False)
        return iter(references)


def map_references(tree: Any, change: Callable[[Any], Any], constants: bool = True) -> Any:
    """The same structure, with every reference (and constant) replaced by what `change` makes of it."""
    if isinstance(tree, Reference) or (isinstance(tree, Constant) and constants):
        return change(tree)
    if isinstance(tree, list):
        return [map_references(part, change, constants) for part in tree]
    if isinstance(tree, tuple):
        return tuple(map_references(part, change, constants) for part in tree)
    if isinstance(tree, dict):
        return {key: map_references(part, change, constants) for key, part in tree.items()}
    return tree


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and all(isinstance(number, int) and not isinstance(number, bool) for number in value[1:3])
    )


def _reference(value: Any) -> Reference:
    return Reference(value[0], value[1], value[2])


def reference_tree(value: Any) -> Any:
    """The inputs or outputs of a model: one reference, a list or a dict of them.

    Raises:
        ModelError: something else.
    """
    if _is_reference(value):
        return _reference(value)
    if isinstance(value, list) and value:
        return [reference_tree(part) for part in value]
    if isinstance(value, dict) and value:
        return {key: reference_tree(part) for key, part in value.items()}
    raise ModelError(f"damaged architecture: expected references to layers, got {str(value)[:60]!r}")


def calls_of(node: Any) -> Call:
    """One entry of a layer's `inbound_nodes`.

    Raises:
        ModelError: it is of no known format.
    """
    if isinstance(node, dict) and "args" in node:  # Keras 3
        arguments = _modern(node.get("args") or [])
        options = _modern(node.get("kwargs") or {})
        return Call(arguments, options)
    if isinstance(node, dict):  # tf.keras, inputs by name
        return Call([{key: _legacy(part, {}) for key, part in node.items()}])
    if _is_reference(node):  # tf.keras, one bare input
        options: dict[str, Any] = {}
        first = _legacy(node, options)
        return Call([first], _options(options))
    if isinstance(node, list) and node:
        options = {}
        inputs = [_legacy(part, options) for part in node]
        return Call([inputs[0] if len(inputs) == 1 else inputs], _options(options))
    raise ModelError(f"damaged architecture: a call {str(node)[:60]!r}")


def _legacy(part: Any, options: dict[str, Any]) -> Any:
    """One input of an older format: [layer, call, tensor, keyword arguments]."""
    if _is_reference(part):
        if len(part) == 4 and isinstance(part[3], dict):
            options.update(part[3])
        if part[0] == CONSTANT:
            return Constant(part[2])
        return _reference(part)
    if isinstance(part, list) and part and part[0] == CONSTANT:
        if len(part) == 4 and isinstance(part[3], dict):
            options.update(part[3])
        return Constant(part[2])
    if isinstance(part, list) and part:
        return [_legacy(inner, options) for inner in part]
    raise ModelError(f"damaged architecture: an input {str(part)[:60]!r}")


def _options(options: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments, in which tensors are references too."""

    def resolved(value: Any) -> Any:
        if _is_reference(value) and isinstance(value, list):
            return Constant(value[2]) if value[0] == CONSTANT else _reference(value)
        if isinstance(value, list) and value and value[0] == CONSTANT and len(value) >= 3:
            return Constant(value[2])
        if isinstance(value, list):
            return [resolved(part) for part in value]
        return value

    return {key: resolved(value) for key, value in options.items()}


def _modern(value: Any) -> Any:
    """Arguments of Keras 3: tensors are objects with their history, other objects are plain or described."""
    if isinstance(value, list):
        return [_modern(part) for part in value]
    if not isinstance(value, dict):
        return value
    kind, config = value.get("class_name"), value.get("config")
    if kind == "__keras_tensor__" and isinstance(config, dict) and _is_reference(config.get("keras_history")):
        return _reference(config["keras_history"])
    if kind in ("__tuple__",):
        return tuple(_modern(part) for part in value.get("items") or (config or {}).get("items") or ())
    if kind in ("__tensor__", "__numpy__") and isinstance(config, dict):
        return Constant(config.get("value"))
    if kind == "__ellipsis__":
        return Ellipsis
    if kind == "__slice__" and isinstance(config, dict):
        return slice(*(_modern(config.get(edge)) for edge in ("start", "stop", "step")))
    if kind is not None and config is not None:
        raise ModelError(f"damaged architecture: an argument of the kind {kind}")
    return {key: _modern(part) for key, part in value.items()}
