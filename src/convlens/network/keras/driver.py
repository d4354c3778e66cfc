"""Keras 3 models of every kind, on the three backends, through Keras's public names alone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import keras
import numpy as np

from convlens import backend
from convlens.backend.keras_layers import convolved, is_plain_convolution, seeds_kept
from convlens.network.driver import Driver, OnOutput
from convlens.network.keras.inputs import built_shapes, has_graph, own_specs, with_planes
from convlens.network.keras.tree import every_layer, sublayers
from convlens.network.layers import (
    CONVOLUTION,
    SIGMOID,
    SOFTMAX,
    InputSpec,
    LayerDescription,
    base_path,
    named_specs,
    role_of,
    zeros_for,
)

PROBE = 224  # pixels, for models that take any size
ELEMENTWISE = (
    "elu",
    "gelu",
    "hard_sigmoid",
    "leaky_relu",
    "linear",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "tanh",
)
ACTIVATIONS = {"softmax": SOFTMAX, "log_softmax": SOFTMAX, "sigmoid": SIGMOID}


class _Computing(keras.dtype_policies.DTypePolicy):
    """Computes in float32 or bfloat16 from variables of another precision."""

    def __init__(self, precision: str, variables: str) -> None:
        super().__init__("float32" if precision == "float32" else f"mixed_{precision}")
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


class KerasDriver(Driver):
    """A `keras.Model`: functional, Sequential, subclassed or nested.

    Args:
        source: how the user named the model.
        input_shape: the user's shapes of the inputs; the model's own by default.
        input_size: height and width in pixels to feed to inputs of any size, where the model's makers say them.

    Raises:
        ModelError: the model does not know its inputs.
    """

    framework = "keras"

    def __init__(
        self, model: Any, source: str, *, input_shape: Any = None, input_size: tuple[int, int] | None = None
    ) -> None:
        self.model, self.input_size, self.notes = model, input_size, ()
        self._by_path: dict[str, Any] = {}
        self._collect(model, "")
        self._first = any(getattr(layer, "data_format", None) == "channels_first" for layer in self._by_path.values())
        specs = named_specs(input_shape) if input_shape else own_specs(model, source, self._first)
        by_name = input_shape if input_shape or has_graph(model) else built_shapes(model)
        self._by_name = isinstance(by_name, dict)  # whether a model without a graph takes a dict
        convolves = any(self.describe(path).role == CONVOLUTION for path in self._by_path)
        self._specs, self._planes = with_planes(specs, convolves)
        if not model.built:
            self._build()

    def _build(self) -> None:
        """Runs the model once, as its weights must not be made inside a trace."""
        zeros = [keras.ops.convert_to_tensor(array) for array in zeros_for(self._specs, 1, self.probe_size())]
        with self.reading():
            self.run([self.from_last(tensor) for tensor in zeros])
        self._collect(self.model, "")

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

    def path_of(self, layer: Any) -> str:
        paths = [path for path, outer in self._by_path.items() if layer is outer or layer in every_layer(outer)]
        return max(paths, key=lambda path: path.count("/"), default="")

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

    def describe(self, path: str) -> LayerDescription:
        layer = self._by_path[base_path(path, self.paths)]
        kind, container, weights = type(layer).__name__, bool(sublayers(layer)), getattr(layer, "weights", [])
        role = role_of(kind, container, [len(weight.shape) for weight in weights])
        return LayerDescription(kind, role, layer.count_params() if weights else 0, container)

    @contextmanager
    def tap(self, paths: Iterable[str], on_output: OnOutput) -> Iterator[None]:
        with ExitStack() as stack:
            for path in paths:
                layer = self._by_path[path]
                name = "quantized_call" if getattr(layer, "quantization_mode", None) else "call"
                stack.enter_context(instance_attribute(layer, name, _tapped(path, getattr(layer, name), on_output)))
            yield

    def run(self, inputs: Sequence[Any]) -> Any:
        axis = 1 if self._first else -1
        inputs = [
            keras.ops.squeeze(tensor, axis) if number in self._planes else tensor
            for number, tensor in enumerate(inputs)
        ]
        with ExitStack() as stack:
            for layer in [self.model, *self._by_path.values()]:
                if isinstance(layer, keras.Model):
                    stack.enter_context(_any_size(layer))
            structure = getattr(self.model, "input", None) if has_graph(self.model) else None
            if structure is None:
                if self._by_name:
                    named = {spec.name: tensor for spec, tensor in zip(self._specs, inputs, strict=True)}
                    return self.model(named, training=False)
                structure = list(inputs) if len(inputs) > 1 else inputs[0]
            return self.model(keras.tree.pack_sequence_as(structure, list(inputs)), training=False)

    @contextmanager
    def same_randomness(self) -> Iterator[None]:
        with super().same_randomness(), seeds_kept(self.model):
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        with super().reading(), self._optimized():
            yield

    @contextmanager
    def computing(self, precision: str) -> Iterator[None]:
        changed = []
        try:
            for layer in every_layer(self.model):
                policy = layer.dtype_policy
                others = {"float16", "bfloat16", "float32"} - {precision}
                own = precision == "float32" or _is_keras(layer)  # the user's own layers may mix in float32
                if own and policy.compute_dtype in others and not getattr(layer, "quantization_mode", None):
                    changed.append((layer, policy))
                    layer.dtype_policy = _Computing(precision, policy.variable_dtype)
            with self._optimized():
                yield
        finally:
            for layer, policy in changed:
                layer.dtype_policy = policy

    @contextmanager
    def _optimized(self) -> Iterator[None]:
        """The backend's own ways to call some layers."""
        optimized_call = backend.current().optimized_call
        with ExitStack() as stack:
            for layer in self._by_path.values():
                if call := optimized_call(layer):
                    stack.enter_context(instance_attribute(layer, "call", call))
            yield

    @property
    def takes_bfloat16(self) -> bool:
        return all(
            (_is_keras(layer) and type(layer) is not keras.layers.Lambda) or isinstance(layer, keras.Model)
            for layer in every_layer(self.model)
        )

    def can_compute_only(self, path: str) -> bool:
        layer: Any = self._by_path.get(path)
        return (
            is_plain_convolution(layer)
            and layer.groups == 1
            and getattr(layer.activation, "__name__", "") in ELEMENTWISE
        )

    @contextmanager
    def only_channels(self, path: str, channels: Any) -> Iterator[None]:
        layer = self._by_path[path]
        with instance_attribute(layer, "call", partial(_some_channels, layer, channels)):
            yield

    def final_activation(self, path: str) -> str | None:
        layer = self._by_path.get(path)
        if type(layer).__name__ in ("Softmax", "Sigmoid", "LogSoftmax"):
            return SIGMOID if type(layer).__name__ == "Sigmoid" else SOFTMAX
        return ACTIVATIONS.get(getattr(getattr(layer, "activation", None), "__name__", ""))

    def weights(self, path: str) -> dict[str, np.ndarray]:
        weights = getattr(self._by_path[path], "weights", [])
        return {weight.name: np.asarray(keras.ops.convert_to_numpy(weight)) for weight in weights}

    def inner_preprocessing(self) -> tuple[str, str] | None:
        for path, layer in self._by_path.items():
            if isinstance(layer, keras.layers.Rescaling) and np.max(layer.scale) < 0.1:
                return "none", path
            if isinstance(layer, keras.layers.Normalization) and layer.built:
                return "none" if np.max(np.asarray(layer.mean)) > 2 else "rescale", path
        return None

    @contextmanager
    def linear_head(self, path: str) -> Iterator[None]:
        layer = self._by_path[path]
        if hasattr(layer, "activation"):
            with instance_attribute(layer, "activation", keras.activations.linear):
                yield
        else:
            with self.tap([path], lambda path, arguments, raw: arguments[0]):
                yield


def _is_keras(layer: Any) -> bool:
    """Whether Keras itself knows what the layer computes."""
    return type(layer).__module__.startswith("keras.")


def _some_channels(layer: Any, channels: Any, inputs: Any) -> Any:
    """What a `Conv2D` puts out in some of its channels."""
    if call := backend.current().optimized_call(layer, channels):
        return call(inputs)
    kernel = keras.ops.take(layer.kernel, channels, axis=-1)
    bias = keras.ops.take(layer.bias, channels, axis=0) if layer.use_bias else None
    return convolved(layer, inputs, kernel, bias)


def _tapped(path: str, call: Callable, on_output: OnOutput) -> Callable:
    def tapped(*arguments: Any, **options: Any) -> Any:
        return on_output(path, arguments, call(*arguments, **options))

    return tapped


@contextmanager
def _any_size(model: Any) -> Iterator[None]:
    """Without the check that inputs have the size the model was built for; layers that need it still say so."""
    before = set(vars(model))
    kept = model.input_spec
    if not has_graph(model):
        yield
        return
    model.input_spec = None
    try:
        yield
    finally:
        model.input_spec = kept
        for name in set(vars(model)) - before:
            del vars(model)[name]
