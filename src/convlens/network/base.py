"""What the techniques see of a network, whatever framework it is written in."""

import fnmatch
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convlens import backend
from convlens.errors import ImageError, LayerError, ModelError, near
from convlens.network.head import Head, find_head
from convlens.network.labels import Labels
from convlens.network.preprocessing import Preprocessing

COMPILED = 8  # compiled functions kept a network
POOLING, CONVOLUTION = "pooling", "convolution"


OnOutput = Callable[[str, tuple, Any], Any]


class StopForward(BaseException):
    """Raised by an interception to end the forward pass. No Exception: frameworks rewrite those on their way."""


@dataclass(frozen=True)
class InputSpec:
    """One input: its name and its shape without the batch, channels last; None where any size goes."""

    name: str
    shape: tuple[int | None, ...]

    @property
    def is_image(self) -> bool:
        return len(self.shape) == 3


@dataclass(frozen=True)
class LayerInfo:
    """One layer that can be looked at.

    Attributes:
        path: its name, with those of the models around it: `mobilenet/conv_pw_13_relu`. The second and later
            calls of a shared layer are named `path:1`, `path:2` and so on.
        kind: the class of the layer.
        role: "convolution", "pooling" or "other".
        output_shape: with None for the batch, channels last.
        parameters: number of weights in it.
        default: whether heatmaps look here by default.
    """

    path: str
    kind: str
    role: str
    output_shape: tuple[int | None, ...]
    parameters: int
    container: bool = False
    default: bool = False

    @property
    def is_spatial(self) -> bool:
        return len(self.output_shape) == 4 and int(np.prod([side or 2 for side in self.output_shape[1:3]])) > 1


@dataclass(frozen=True)
class Observation:
    """What one forward pass showed.

    Attributes:
        shapes: layer path -> output shape with the batch, in the order of the calls (inner layers first).
        same: layer path -> the number of the tensor it put out; equal numbers are the same tensor.
        passed: paths of layers that put out the tensor that they got.
        outputs: one number a network output, as in `same`; None if no layer put it out.
    """

    shapes: dict[str, tuple[int, ...]]
    same: dict[str, int]
    passed: frozenset[str]
    outputs: tuple[int | None, ...]


def base_path(path: str, known: Sequence[str]) -> str:
    """The path of a layer without the number of its call."""
    return path if path in known else path.rpartition(":")[0]


class Network(ABC):
    """A trained network that can be looked into. Not thread-safe: looking changes the model for the time of a call.

    Attributes:
        model: the user's model, as it came.
        source: how the user named it.
        preprocessing: from pixels 0-255 RGB to the network's input, and where that was found; None if unknown.
        labels: class names, and where they were found; None if unknown.
        notes: what the user should know about how it was loaded, a line each.
    """

    framework: str

    def __init__(self, model: Any, source: str, *, sha256: str | None = None, notes: Sequence[str] = ()) -> None:
        self.model = model
        self.source = source
        self.sha256 = sha256
        self.notes = list(notes)
        self.preprocessing: Preprocessing | None = None
        self.labels: Labels | None = None
        self._observed: OrderedDict[Any, Observation] = OrderedDict()
        self._compiled: OrderedDict[Any, Callable] = OrderedDict()
        self._passes = 0
        self._raw_outputs: list[Any] = []
        self._heads: dict[int, Head] = {}
        self._layers: tuple[LayerInfo, ...] | None = None
        self._default: str | None = None

    # What a framework says of its models

    @property
    @abstractmethod
    def inputs(self) -> tuple[InputSpec, ...]:
        """The inputs, in the order in which `forward` takes them."""

    @abstractmethod
    def probe_size(self) -> tuple[int, int]:
        """Height and width in pixels that stand for an image input of any size."""

    @abstractmethod
    def describe(self, path: str) -> tuple[str, str, int, bool]:
        """Kind, role, number of parameters of a layer, and whether other layers lie inside it."""

    @abstractmethod
    def tap(self, paths: Iterable[str], on_output: OnOutput) -> AbstractContextManager[None]:
        """While open, every call of these layers hands `on_output` its path, its arguments and what it put out
        as the model has it, and goes on with what that returns."""

    @abstractmethod
    def run(self, inputs: Sequence[Any]) -> Any:
        """The model itself in inference mode, on inputs in its own layout, of any size."""

    @property
    @abstractmethod
    def channels_first(self) -> bool:
        """Whether the model's own layout is (batch, channels, height, width)."""

    @abstractmethod
    def float32(self) -> AbstractContextManager[None]:
        """A context in which everything is computed in float32, whatever the model's precision."""

    @abstractmethod
    def linear_head(self, head: Head) -> AbstractContextManager[None]:
        """A context in which the softmax or sigmoid that `head` names is left out."""

    @abstractmethod
    def final_activation(self, path: str) -> str | None:
        """"softmax" or "sigmoid" if the layer ends in one, fused or as a layer of its own, else None."""

    @property
    @abstractmethod
    def paths(self) -> list[str]:
        """The paths of all layers of the model, called or not."""

    @property
    @abstractmethod
    def variables(self) -> list[Any]:
        """What a compiled function reads and the user may change between two calls."""

    # What follows for all of them

    @property
    def image_input(self) -> int:
        """The number of the first input that takes an image."""
        for number, spec in enumerate(self.inputs):
            if spec.is_image:
                return number
        shapes = ", ".join(str(spec.shape) for spec in self.inputs)
        raise ModelError(f"{self.source} has no image input: expected a shape (height, width, channels), found {shapes}")

    @property
    def image_shape(self) -> tuple[int | None, int | None, int | None]:
        height, width, channels = self.inputs[self.image_input].shape
        return height, width, channels

    def input_arrays(self, batch: int, height: int | None = None, width: int | None = None) -> list[np.ndarray]:
        """Zeros for every input; image inputs of any size get the size given, or the probe size."""
        arrays = []
        for spec in self.inputs:
            shape = list(spec.shape)
            if spec.is_image:
                tall, wide = self.probe_size() if None in shape[:2] else (0, 0)
                shape = [height or shape[0] or tall, width or shape[1] or wide, shape[2] or 3]
            arrays.append(np.zeros([batch, *(side or 1 for side in shape)], "float32"))
        return arrays

    def tensors(self, arrays: Sequence[Any]) -> list[Any]:
        """NumPy arrays as tensors of the backend."""
        from keras import ops

        return [ops.convert_to_tensor(array) for array in arrays]

    def to_last(self, tensor: Any) -> Any:
        """From the model's layout to channels last."""
        from keras import ops

        return ops.moveaxis(tensor, 1, -1) if self.channels_first and len(tensor.shape) > 3 else tensor

    def from_last(self, tensor: Any) -> Any:
        """From channels last to the model's layout."""
        from keras import ops

        return ops.moveaxis(tensor, -1, 1) if self.channels_first and len(tensor.shape) > 3 else tensor

    def forward(self, inputs: Sequence[Any]) -> list[Any] | None:
        """One forward pass in inference mode.

        Args:
            inputs: a tensor an input, channels last.

        Returns:
            the outputs, channels last, or None where an interception stopped it.
        """
        from keras import tree

        self._passes += 1
        try:
            outputs = self.run([self.from_last(tensor) for tensor in inputs])
        except StopForward:
            return None
        self._raw_outputs = tree.flatten(outputs)
        return [self.to_last(tensor) for tensor in self._raw_outputs]

    @contextmanager
    def intercept(self, hooks: Mapping[str, Callable]) -> Iterator[None]:
        """While open, `hooks[path]` gets a layer's output, channels last, and returns what goes on instead.

        Args:
            hooks: by layer path; a path that ends in `:1` means the second call of that layer in a forward pass.
        """
        from keras import tree

        counts: Counter[str] = Counter()
        during = self._passes

        def on_output(path: str, arguments: tuple, raw: Any) -> Any:
            nonlocal during
            if during != self._passes:
                counts.clear()
                during = self._passes
            hook = hooks.get(f"{path}:{counts[path]}" if counts[path] else path)
            counts[path] += 1
            if hook is None:
                return raw
            parts = tree.flatten(raw)
            tensor = self.to_last(parts[0])
            changed = hook(tensor)
            return raw if changed is tensor else tree.pack_sequence_as(raw, [self.from_last(changed), *parts[1:]])

        with self.tap({base_path(path, self.paths) for path in hooks}, on_output):
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A context for forward passes without gradients."""
        with backend.current().forward_only():
            yield

    @contextmanager
    def differentiating(self) -> Iterator[None]:
        """A context for gradients by inputs or inner layers, in float32."""
        with backend.current().differentiable(self.model), self.float32():
            yield

    def observe(self, arrays: Sequence[np.ndarray] | None = None) -> Observation:
        """Runs the network once, and says which layers were called and what they put out.

        Args:
            arrays: inputs; zeros of the network's own size by default.

        Raises:
            ImageError: the network does not take inputs of this size.
        """
        arrays = self.input_arrays(1) if arrays is None else [array[:1] for array in arrays]
        key = tuple(array.shape for array in arrays)
        if key not in self._observed:
            try:
                self._observed[key] = self._observe(arrays)
            except (ValueError, TypeError, RuntimeError, ArithmeticError) as error:
                raise ImageError(
                    f"{self.source} does not run on inputs of shape {', '.join(map(str, key))}: "
                    + (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
                ) from error
            while len(self._observed) > COMPILED:
                self._observed.popitem(last=False)
        return self._observed[key]

    def _observe(self, arrays: Sequence[np.ndarray]) -> Observation:
        from keras import tree

        shapes: dict[str, tuple[int, ...]] = {}
        same: dict[str, int] = {}
        passed: set[str] = set()
        outputs: list[int | None] = []
        counts: Counter[str] = Counter()
        kept: list[Any] = []  # holding the tensors keeps their identities apart

        def number(tensor: Any) -> int:
            place = next((place for place, other in enumerate(kept) if other is tensor), len(kept))
            kept.extend([tensor] if place == len(kept) else [])
            return place

        def on_output(path: str, arguments: tuple, raw: Any) -> Any:
            key = f"{path}:{counts[path]}" if counts[path] else path
            counts[path] += 1
            parts = tree.flatten(raw)
            if parts and hasattr(parts[0], "shape"):
                shapes[key] = tuple(self.to_last(parts[0]).shape)
                same[key] = number(parts[0])
                if any(part is parts[0] for part in tree.flatten(arguments)):
                    passed.add(key)
            return raw

        def run(*tensors: Any) -> None:
            with self.tap(self.paths, on_output):
                self.forward(tensors)
            known = len(kept)
            places = [number(raw) for raw in self._raw_outputs]
            outputs.extend(place if place < known else None for place in places)
            self._raw_outputs = []

        with self.reading():
            backend.current().trace(run, self.tensors(arrays))
        return Observation(shapes, same, frozenset(passed), tuple(outputs))

    @property
    def layers(self) -> tuple[LayerInfo, ...]:
        """What can be looked at, in the order in which the network computes it; the default heatmap layer marked."""
        if self._layers is None:
            default = self._find_default()
            self._layers = tuple(replace(layer, default=layer.path == default) for layer in self._listed())
        return self._layers

    def _listed(self) -> list[LayerInfo]:
        fixed = all(None not in spec.shape for spec in self.inputs)
        layers = []
        for path, shape in self.observe().shapes.items():
            kind, role, parameters, container = self.describe(path)
            sides = shape[1:] if fixed or len(shape) != 4 else (None, None, shape[-1])
            if role == POOLING and len(shape) != 4:
                role = "other"
            layers.append(LayerInfo(path, kind, role, (None, *sides), parameters, container))
        return layers

    def layer(self, name: str) -> LayerInfo:
        """The layer of this path, or of this name where it is unique.

        Raises:
            LayerError: unknown (the near names are listed) or ambiguous.
        """
        known = {layer.path: layer for layer in self._layers or self._listed()}
        if name in known:
            return known[name]
        ends = [path for path in known if path.endswith(f"/{name}") or path.endswith(f".{name}")]
        if len(ends) == 1:
            return known[ends[0]]
        if ends:
            raise LayerError(f"layer {name!r} is ambiguous: {', '.join(ends[:6])}; give the whole path")
        raise LayerError(f"no layer {name!r} in {self.source}: {near(name, known)}")

    def select(self, names: str | Iterable[str] | None) -> list[LayerInfo]:
        """Layers by name or glob, in the order of computing; every spatial convolution and pooling by default.

        Raises:
            LayerError: a name is unknown, a glob matches nothing, or the network has no such layers.
        """
        layers = self._layers or tuple(self._listed())
        if names is None:
            chosen = [layer for layer in layers if layer.role in (CONVOLUTION, POOLING) and layer.is_spatial]
            if not chosen:
                raise LayerError(f"{self.source} has no convolution or pooling layers; name the layers to look at")
            return chosen
        wanted: set[str] = set()
        for name in [names] if isinstance(names, str) else names:
            if any(sign in name for sign in "*?["):
                matched = {layer.path for layer in layers if fnmatch.fnmatchcase(layer.path, name)}
                if not matched:
                    raise LayerError(f"no layer matches {name!r}: {near(name, [layer.path for layer in layers])}")
                wanted |= matched
            else:
                wanted.add(self.layer(name).path)
        return [layer for layer in layers if layer.path in wanted]

    def head(self, output: int = 0) -> Head:
        """How the classes are read from an output of the network."""
        if output not in self._heads:
            self._heads[output] = find_head(self, output)
        return self._heads[output]

    @property
    def default_layer(self) -> str:
        """The layer for heatmaps: the last spatial tensor that every path to the output crosses.

        Raises:
            LayerError: there is none.
        """
        default = self._find_default()
        if default is None:
            raise LayerError(f"no spatial layer of {self.source} is crossed by every path to its output; name one")
        return default

    def _find_default(self) -> str | None:
        from convlens.network.default_layer import find_default_layer

        if self._default is None:
            self._default = find_default_layer(self, self._listed()) or ""
        return self._default or None

    def compiled(self, key: Any, fn: Callable) -> Callable:
        """`fn` compiled, kept under a key of its own; the oldest are dropped."""
        if key not in self._compiled:
            self._compiled[key] = backend.current().compiled(fn, self.variables)
            while len(self._compiled) > COMPILED:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(key)
        return self._compiled[key]
