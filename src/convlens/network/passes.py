"""Forward passes through a model, whatever framework it is written in: its layers' outputs are seen and changed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from convlens.errors import ModelError
from convlens.network.driver import Driver, OnOutput
from convlens.network.exclusive import exclusive
from convlens.network.layers import Calls, InputSpec, LayerDescription, StopForward, base_path, zeros_for

Hook = Callable[[Any], Any]


class Passes:
    """Runs one model through its driver. It knows nothing of what outputs mean, and keeps nothing that it saw.

    Layers are named by their paths; one that is called several times in a pass by `path`, `path:1`, `path:2`.
    """

    def __init__(self, driver: Driver, source: str) -> None:
        self._driver, self._source = driver, source
        self._passes = 0

    @property
    def driver(self) -> Driver:
        """What the framework provides."""
        return self._driver

    @property
    def source(self) -> str:
        """How the user named the model."""
        return self._source

    @property
    def framework(self) -> str:
        """ "keras" or "torch"."""
        return self._driver.framework

    @property
    def model(self) -> Any:
        """The user's model, as it came."""
        return self._driver.model

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """The inputs, in the order in which `forward` takes them."""
        return self._driver.inputs

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Height and width in pixels to feed to inputs of any size; None for the image's own."""
        return self._driver.input_size

    def probe_size(self) -> tuple[int, int]:
        """Height and width in pixels that stand for an image input of any size."""
        return self._driver.probe_size()

    @property
    def image_input(self) -> int:
        """The number of the first input that takes an image.

        Raises:
            ModelError: there is none.
        """
        for number, spec in enumerate(self.inputs):
            if spec.is_image:
                return number
        shapes = ", ".join(str(spec.shape) for spec in self.inputs)
        raise ModelError(f"{self.source} has no image input: expected (height, width, channels), found {shapes}")

    @property
    def image_shape(self) -> tuple[int | None, ...]:
        """(height, width, channels) of that input; None for sides of any size."""
        return self.inputs[self.image_input].shape

    @property
    def paths(self) -> list[str]:
        """The paths of all layers, called or not."""
        return self._driver.paths

    def describe(self, path: str) -> LayerDescription:
        """What the framework says of a layer."""
        return self._driver.describe(path)

    def weights(self, path: str) -> dict[str, np.ndarray]:
        """The weights of a layer by name, in the framework's own layout."""
        return self._driver.weights(path)

    def final_activation(self, path: str) -> str | None:
        """ "softmax" or "sigmoid" if the layer ends in one, fused or as a layer of its own, else None."""
        return self._driver.final_activation(path)

    def prefix(self, call: str) -> int:
        """How many tokens for no place a layer puts out before those that are a grid of patches."""
        return self._driver.prefix(call)

    @property
    def variables(self) -> list[Any]:
        """What a compiled function reads and the user may change between two calls."""
        return self._driver.variables

    @property
    def takes_bfloat16(self) -> bool:
        """Whether all of the model is known to compute in bfloat16 where it is asked to."""
        return self._driver.takes_bfloat16

    def input_arrays(self, batch: int, height: int | None = None, width: int | None = None) -> list[np.ndarray]:
        """Zeros for every input, float32 (batch, ...); images of any size get the size given, or the probe size."""
        return zeros_for(self.inputs, batch, self.probe_size(), height, width)

    def tensors(self, arrays: Sequence[Any]) -> list[Any]:
        """NumPy arrays as tensors of the backend."""
        from keras import ops

        return [ops.convert_to_tensor(array) for array in arrays]

    def to_last(self, tensor: Any, call: str | None = None) -> Any:
        """From the model's layout, or that of what a layer put out in this call, to channels last."""
        return self._driver.to_last(tensor, call)

    def from_last(self, tensor: Any, call: str | None = None, raw: Any = None) -> Any:
        """The way back from `to_last`; `raw` is what the layer put out, for what is not seen channels last."""
        return self._driver.from_last(tensor, call, raw)

    def raw_forward(self, inputs: Sequence[Any]) -> Any:
        """One forward pass in inference mode, from a tensor an input, channels last.

        Returns:
            the outputs in the model's own layout and structure, or None where an interception stopped it.
        """
        self._passes += 1
        try:
            return self._driver.run([self._driver.from_last(tensor) for tensor in inputs])
        except StopForward:
            return None

    def forward(self, inputs: Sequence[Any]) -> list[Any] | None:
        """The same, with a list of the outputs, channels last, or None where an interception stopped it."""
        outputs = self.raw_forward(inputs)
        if outputs is None:
            return None
        last = [self._driver.to_last(tensor) for tensor in outputs_in(outputs)]
        return self._driver.with_batch_axis(last, inputs[0].shape[0])

    def tap(self, paths: Iterable[str], on_output: OnOutput) -> AbstractContextManager[None]:
        """While open, calls of these layers hand over path, arguments and raw output, and what comes back is used."""
        return self._driver.tap(paths, on_output)

    @contextmanager
    def intercept(self, hooks: Mapping[str, Hook], native_layout: bool = False) -> Iterator[None]:
        """While open, `hooks[path]` gets a layer's output, channels last, and returns what is used instead.

        Args:
            hooks: by layer path; a path that ends in `:1` means the second call of that layer in a forward pass.
            native_layout: hand over outputs as the model has them.
        """
        from keras import tree

        calls, during = Calls(), self._passes

        def on_output(path: str, arguments: tuple[Any, ...], raw: Any) -> Any:
            nonlocal calls, during
            if during != self._passes:
                calls, during = Calls(), self._passes
            call = calls.name(path)
            if call not in hooks:
                return raw
            parts = flat(raw)
            tensor = parts[0] if native_layout else self._driver.to_last(parts[0], call)
            changed = hooks[call](tensor)
            if changed is tensor:
                return raw
            back = changed if native_layout else self._driver.from_last(changed, call, parts[0])
            return tree.pack_sequence_as(raw, [back, *parts[1:]])

        with self.tap({base_path(path, self.paths) for path in hooks}, on_output):
            yield

    def reading(self) -> AbstractContextManager[None]:
        """A context for forward passes without gradients."""
        return self._driver.reading()

    def differentiating(self, precision: str = "float32") -> AbstractContextManager[None]:
        """A context for gradients by inputs or inner layers, and for what is computed "float32" or "bfloat16"."""
        return self._driver.differentiating(precision)

    def computing(self, precision: str) -> AbstractContextManager[None]:
        """A context in which all is computed in "float32", or what gains by it in "bfloat16", whatever the model's."""
        return self._driver.computing(precision)

    def same_randomness(self) -> AbstractContextManager[None]:
        """A context in which the same random numbers are drawn each time, by layers that draw some in inference."""
        return self._driver.same_randomness()

    def linear_head(self, path: str) -> AbstractContextManager[None]:
        """A context in which the softmax or sigmoid that a layer is, or ends in, is left out."""
        return self._driver.linear_head(path)

    def only_channels(self, path: str, channels: Any) -> AbstractContextManager[None]:
        """A context in which a layer of which some channels can be computed alone puts out these, integers."""
        return self._driver.only_channels(path, channels)

    def exclusive(self) -> AbstractContextManager[None]:
        """A context that one caller at a time is in: another thread waits for it. It may be entered again from within.

        Everything that looks through the model belongs inside, a whole call in one.
        """
        return exclusive(self.model)


def flat(outputs: Any) -> list[Any]:
    """The tensors of a structure in a list."""
    from keras import tree

    return tree.flatten(outputs)


def outputs_in(structure: Any) -> list[Any]:
    """The outputs of a model in the order of their numbers; a None among them is no output."""
    return [part for part in flat(structure) if part is not None]
