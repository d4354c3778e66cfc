"""What the techniques see of a network, whatever framework it is written in."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from convlens import backend
from convlens.data.labels import Labels
from convlens.data.preprocessing import Preprocessing
from convlens.errors import LayerError, ModelError
from convlens.network.driver import Driver
from convlens.network.inspect.layers import Calls, LayerInfo, StopForward, base_path, find_layer, select_layers
from convlens.network.inspect.observation import Observation, listed, observe
from convlens.network.inspect.outputs import Outputs, output_keys
from convlens.network.inspect.untrained import Untrained

COMPILED = 8  # compiled functions kept a network


class Network(Driver, Outputs):
    """A trained network that can be looked into. Not thread-safe: looking changes the model for the time of a call.

    Attributes:
        model: the user's model, as it came.
        source: how the user named it.
        preprocessing: from pixels 0-255 RGB to the network's input, and where that was found; None if unknown.
        labels: class names, and where they were found; None if unknown.
        input_size: height and width to feed to inputs of any size; None for the photo's own.
        untrained: the layers without weights of their own, and what depends on them.
        notes: what the user should know about how it was loaded, a line each.
        loading: what `convlens.load` was given, as JSON holds it; see `recipe`.
    """

    def __init__(
        self, model: Any, source: str, *, sha256: str | None = None, input_size: Any = None, notes: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.model = model
        self.source = source
        self.sha256 = sha256
        self.input_size: tuple[int, int] | None = input_size
        self.notes = list(notes)
        self.loading: Mapping[str, Any] = {}
        self.preprocessing: Preprocessing | None = None
        self.labels: Labels | None = None
        self.untrained = Untrained()
        self._observed: OrderedDict[Any, Observation] = OrderedDict()
        self._compiled: OrderedDict[Any, Callable] = OrderedDict()
        self._passes = 0
        self.raw_outputs: list[Any] = []
        self._layers: tuple[LayerInfo, ...] | None = None
        self._default: str | None = None

    @property
    def image_input(self) -> int:
        """The number of the first input that takes an image."""
        for number, spec in enumerate(self.inputs):
            if spec.is_image:
                return number
        shapes = ", ".join(str(spec.shape) for spec in self.inputs)
        raise ModelError(f"{self.source} has no image input: expected (height, width, channels), found {shapes}")

    @property
    def image_shape(self) -> tuple[int | None, ...]:
        return self.inputs[self.image_input].shape

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

    def to_last(self, tensor: Any, call: str | None = None) -> Any:
        """From the model's layout, or that of what a layer put out in this call, to channels last."""
        from keras import ops

        return ops.moveaxis(tensor, 1, -1) if self.channels_first and len(tensor.shape) > 3 else tensor

    def from_last(self, tensor: Any, call: str | None = None, raw: Any = None) -> Any:
        """The way back from `to_last`; `raw` is what the layer put out, for what is not seen channels last."""
        from keras import ops

        return ops.moveaxis(tensor, -1, 1) if self.channels_first and len(tensor.shape) > 3 else tensor

    def forward(self, inputs: Sequence[Any]) -> list[Any] | None:
        """One forward pass in inference mode, from a tensor an input, channels last.

        Returns:
            the outputs, channels last, or None where an interception stopped it.
        """
        from keras import tree

        self._passes += 1
        try:
            outputs = self.run([self.from_last(tensor) for tensor in inputs])
        except StopForward:
            return None
        self.raw_outputs = tree.flatten(outputs)
        self._output_keys = self._output_keys or output_keys(outputs)
        return [self.to_last(tensor) for tensor in self.raw_outputs]

    @contextmanager
    def intercept(self, hooks: Mapping[str, Callable], as_it_is: bool = False) -> Iterator[None]:
        """While open, `hooks[path]` gets a layer's output, channels last, and returns what goes on instead.

        Args:
            hooks: by layer path; a path that ends in `:1` means the second call of that layer in a forward pass.
            as_it_is: hand over outputs as the model has them.
        """
        from keras import tree

        calls, during = Calls(), self._passes

        def on_output(path: str, arguments: tuple, raw: Any) -> Any:
            nonlocal calls, during
            if during != self._passes:
                calls, during = Calls(), self._passes
            call = calls.name(path)
            if call not in hooks:
                return raw
            parts = tree.flatten(raw)
            tensor = parts[0] if as_it_is else self.to_last(parts[0], call)
            changed = hooks[call](tensor)
            if changed is tensor:
                return raw
            back = changed if as_it_is else self.from_last(changed, call, parts[0])
            return tree.pack_sequence_as(raw, [back, *parts[1:]])

        with self.tap({base_path(path, self.paths) for path in hooks}, on_output):
            yield

    def reading(self) -> AbstractContextManager[None]:
        """A context for forward passes without gradients."""
        return backend.current().forward_only()

    @contextmanager
    def differentiating(self, precision: str = "float32") -> Iterator[None]:
        """A context for gradients by inputs or inner layers, and for what is computed "float32" or "bfloat16"."""
        with backend.current().differentiable(self.model), self.computing(precision):
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
            self._observed[key] = observe(self, arrays)
            while len(self._observed) > COMPILED:
                self._observed.popitem(last=False)
        return self._observed[key]

    @property
    def layers(self) -> tuple[LayerInfo, ...]:
        """What can be looked at, in the order in which the network computes it; the default heatmap layer marked."""
        if self._layers is None:
            default = self._find_default()
            self._layers = tuple(replace(layer, default=layer.path == default) for layer in listed(self))
        return self._layers

    def layer(self, name: str) -> LayerInfo:
        """The layer of this path or unique name; see `find_layer`."""
        return find_layer(self._layers or listed(self), name, self.source)

    def select(self, names: str | Iterable[str] | None) -> list[LayerInfo]:
        """Layers by name or glob, in the order of computing; see `select_layers`."""
        return select_layers(self._layers or listed(self), names, self.source)

    @property
    def default_layer(self) -> str:
        """The layer for heatmaps: the last spatial tensor that every path to the output crosses.

        Raises:
            LayerError: there is none.
        """
        if default := self._find_default():
            return default
        raise LayerError(f"no spatial layer of {self.source} is crossed by every path to its output; name one")

    def _find_default(self) -> str | None:
        from convlens.network.inspect.default_layer import find_default_layer

        if self._default is None:
            self._default = find_default_layer(self, listed(self)) or ""
        return self._default or None

    def compiled(self, key: Any, fn: Callable) -> Callable:
        """`fn` compiled, kept under a key of its own; the oldest are dropped."""
        if key not in self._compiled:
            self._compiled[key] = backend.current().compiled(fn, self.variables)
            while len(self._compiled) > COMPILED:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(key)
        return self._compiled[key]
