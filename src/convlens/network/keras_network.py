"""Keras 3 models of every kind, on the three backends, through Keras's public names alone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import numpy as np

from convlens.errors import ModelError
from convlens.network.base import Network, OnOutput
from convlens.network.head import SIGMOID, SOFTMAX, Head
from convlens.network.layers import CONVOLUTION, OTHER, POOLING, InputSpec, base_path

PROBE = 224  # pixels, for models that take any size
ACTIVATIONS = {"softmax": SOFTMAX, "log_softmax": SOFTMAX, "sigmoid": SIGMOID}


def sublayers(layer: Any) -> list[Any]:
    """The layers and operations directly inside a model, or inside a layer that the user wrote."""
    if isinstance(layer, keras.Model):
        found = getattr(layer, "operations", None) or layer.layers
        return [inner for inner in found if not isinstance(inner, keras.layers.InputLayer)]
    if type(layer).__module__.startswith("keras."):
        return []  # what lies inside Keras's own layers may run in a loop of the backend, out of reach
    return attribute_layers(layer)


def attribute_layers(layer: Any) -> list[Any]:
    """The layers that are attributes of a layer, alone or in lists and dicts."""
    found = []
    for value in vars(layer).values():
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
        found += [part for part in parts if isinstance(part, keras.layers.Layer) and part is not layer]
    return list(dict.fromkeys(found))


def every_layer(layer: Any) -> list[Any]:
    """A layer and all layers in it, at any depth."""
    seen, waiting = {}, [layer]
    while waiting:
        current = waiting.pop()
        if id(current) not in seen:
            seen[id(current)] = current
            waiting += attribute_layers(current) + (sublayers(current) if isinstance(current, keras.Model) else [])
    return [current for current in seen.values() if isinstance(current, keras.layers.Layer)]


class _Upcast(keras.dtype_policies.DTypePolicy):
    """Computes in float32 from variables of another precision."""

    def __init__(self, variables: str) -> None:
        super().__init__("float32")
        self._stored = variables

    @property
    def variable_dtype(self) -> str:
        return self._stored


@contextmanager
def instance_attribute(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Sets an attribute of one object for a while, past the bookkeeping of its class."""
    own = vars(owner)
    had, before = name in own, own.get(name)
    own[name] = value
    try:
        yield
    finally:
        if had:
            own[name] = before
        else:
            own.pop(name, None)


class KerasNetwork(Network):
    """A `keras.Model`: functional, Sequential, subclassed or nested."""

    framework = "keras"

    def __init__(self, model: Any, source: str, *, input_shape: Any = None, **options: Any) -> None:
        super().__init__(model, source, **options)
        self._by_path: dict[str, Any] = {}
        self._collect(model, "")
        self._first = any(getattr(layer, "data_format", None) == "channels_first" for layer in self._by_path.values())
        self._specs = _given_specs(input_shape) if input_shape else _own_specs(model, source, self._first)
        if not model.built:  # its weights must not be made inside a trace
            with self.reading():
                self.forward(self.tensors(self.input_arrays(1)))
            self._collect(model, "")

    def _collect(self, layer: Any, prefix: str) -> None:
        for inner in sublayers(layer):
            path, number = prefix + inner.name, 2
            if any(known is inner for known in self._by_path.values()):
                continue
            while path in self._by_path:
                path, number = f"{prefix}{inner.name}~{number}", number + 1
            self._by_path[path] = inner
            self._collect(inner, path + "/")

    @property
    def paths(self) -> list[str]:
        return list(self._by_path)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return self._specs

    @property
    def channels_first(self) -> bool:
        return self._first

    @property
    def variables(self) -> list[Any]:
        return self.model.variables

    def probe_size(self) -> tuple[int, int]:
        return PROBE, PROBE

    def describe(self, path: str) -> tuple[str, str, int, bool]:
        layer = self._by_path[base_path(path, self.paths)]
        kind, inside = type(layer).__name__, bool(sublayers(layer))
        weights = getattr(layer, "weights", [])
        role = OTHER
        if not inside and "pool" in kind.lower():
            role = POOLING
        elif not inside and any(len(weight.shape) == 4 for weight in weights):
            role = CONVOLUTION
        return kind, role, layer.count_params() if weights else 0, inside

    @contextmanager
    def tap(self, paths: Iterable[str], on_output: OnOutput) -> Iterator[None]:
        with ExitStack() as stack:
            for path in paths:
                layer = self._by_path[path]
                name = "quantized_call" if getattr(layer, "quantization_mode", None) else "call"
                stack.enter_context(instance_attribute(layer, name, _tapped(path, getattr(layer, name), on_output)))
            yield

    def run(self, inputs: Sequence[Any]) -> Any:
        with ExitStack() as stack:
            for layer in [self.model, *self._by_path.values()]:
                if isinstance(layer, keras.Model):
                    stack.enter_context(_any_size(layer))
            structure = getattr(self.model, "input", None) if _has_graph(self.model) else None
            if structure is None:
                structure = list(inputs) if len(inputs) > 1 else inputs[0]
            return self.model(keras.tree.pack_sequence_as(structure, list(inputs)), training=False)

    @contextmanager
    def float32(self) -> Iterator[None]:
        changed = []
        try:
            for layer in every_layer(self.model):
                policy = layer.dtype_policy
                if policy.compute_dtype in ("float16", "bfloat16") and not getattr(layer, "quantization_mode", None):
                    changed.append((layer, policy))
                    layer.dtype_policy = _Upcast(policy.variable_dtype)
            yield
        finally:
            for layer, policy in changed:
                layer.dtype_policy = policy

    def final_activation(self, path: str) -> str | None:
        layer = self._by_path.get(path)
        if type(layer).__name__ in ("Softmax", "Sigmoid", "LogSoftmax"):
            return SIGMOID if type(layer).__name__ == "Sigmoid" else SOFTMAX
        return ACTIVATIONS.get(getattr(getattr(layer, "activation", None), "__name__", ""))

    def inner_preprocessing(self) -> tuple[str, str] | None:
        for path, layer in self._by_path.items():
            if isinstance(layer, keras.layers.Rescaling) and np.max(layer.scale) < 0.1:
                return "none", path
            if isinstance(layer, keras.layers.Normalization) and layer.built:
                return "none" if np.max(np.asarray(layer.mean)) > 2 else "rescale", path
        return None

    @contextmanager
    def linear_head(self, head: Head) -> Iterator[None]:
        if head.layer is None:
            yield
            return
        layer = self._by_path[head.layer]
        if hasattr(layer, "activation"):
            with instance_attribute(layer, "activation", keras.activations.linear):
                yield
        else:
            with self.tap([head.layer], lambda path, arguments, raw: arguments[0]):
                yield


def _tapped(path: str, call: Callable, on_output: OnOutput) -> Callable:
    def tapped(*arguments: Any, **options: Any) -> Any:
        return on_output(path, arguments, call(*arguments, **options))

    return tapped


@contextmanager
def _any_size(model: Any) -> Iterator[None]:
    """Without the check that inputs have the size the model was built for; layers that need it still say so."""
    before = set(vars(model))
    kept = model.input_spec
    if not _has_graph(model):
        yield
        return
    model.input_spec = None
    try:
        yield
    finally:
        model.input_spec = kept
        for name in set(vars(model)) - before:
            del vars(model)[name]


def _has_graph(model: Any) -> bool:
    """Whether the model knows its inputs: functional models do, and Sequential ones that were built."""
    try:
        return bool(model.inputs)
    except (AttributeError, ValueError):
        return False


def _given_specs(shape: Any) -> tuple[InputSpec, ...]:
    """Inputs from the user's shape (height, width, channels), or from a list of them."""
    shapes = shape if isinstance(shape[0], list | tuple) else [shape]
    return tuple(InputSpec(f"input_{number}", tuple(sides)) for number, sides in enumerate(shapes))


def _own_specs(model: Any, source: str, channels_first: bool) -> tuple[InputSpec, ...]:
    """Inputs as the model knows them: from its graph, or from when it was built."""
    if _has_graph(model):
        named = [(tensor.name, tuple(tensor.shape[1:])) for tensor in model.inputs]
    else:
        config = (model.get_build_config() if model.built else None) or {}
        shapes = config.get("input_shape") or config.get("shapes_dict")
        if not shapes:
            raise ModelError(
                f"{source} was never built, so its input is unknown; give input_shape=(height, width, channels)"
                " or call the model once on an image"
            )
        shapes = list(shapes.values()) if isinstance(shapes, dict) else shapes
        shapes = shapes if isinstance(shapes[0], list | tuple) else [shapes]
        named = [(f"input_{number}", tuple(sides)[1:]) for number, sides in enumerate(shapes)]
    last = [(name, (*sides[1:], sides[0]) if channels_first and len(sides) == 3 else sides) for name, sides in named]
    return tuple(InputSpec(name, sides) for name, sides in last)
