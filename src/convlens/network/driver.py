"""What a framework has to provide for its models to be looked into."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from convlens import backend
from convlens.network.layers import InputSpec, LayerDescription

OnOutput = Callable[[str, tuple[Any, ...], Any], Any]


class Driver(ABC):
    """One model of a framework: what it says of itself, and how its layers are tapped, changed for a time and run.

    Attributes:
        framework: "keras" or "torch".
        model: the user's model, as it came.
        input_size: height and width in pixels to feed to inputs of any size; None for the image's own.
        notes: what was found out about the model that its user should know, a line each.
    """

    framework: str
    model: Any
    input_size: tuple[int, int] | None
    notes: tuple[str, ...]

    @property
    @abstractmethod
    def inputs(self) -> tuple[InputSpec, ...]:
        """The inputs, in the order in which `run` takes them."""

    @abstractmethod
    def probe_size(self) -> tuple[int, int]:
        """Height and width in pixels that stand for an image input of any size."""

    @abstractmethod
    def describe(self, path: str) -> LayerDescription:
        """What the framework says of a layer."""

    @abstractmethod
    def tap(self, paths: Iterable[str], on_output: OnOutput) -> AbstractContextManager[None]:
        """While open, calls of these layers hand over path, arguments and raw output, and what comes back is used."""

    @abstractmethod
    def run(self, inputs: Sequence[Any]) -> Any:
        """The model itself in inference mode, on inputs in its own layout, of any size."""

    @property
    @abstractmethod
    def channels_first(self) -> bool:
        """Whether the model's own layout is (batch, channels, height, width)."""

    @abstractmethod
    def computing(self, precision: str) -> AbstractContextManager[None]:
        """A context in which all is computed in "float32", or what gains by it in "bfloat16", whatever the model's."""

    @property
    @abstractmethod
    def takes_bfloat16(self) -> bool:
        """Whether all of the model is known to compute in bfloat16 where it is asked to."""

    @abstractmethod
    def can_compute_only(self, path: str) -> bool:
        """Whether some output channels of a layer can be computed without the others."""

    @abstractmethod
    def only_channels(self, path: str, channels: Any) -> AbstractContextManager[None]:
        """A context in which a layer that `can_compute_only` some puts out these channels alone, integers."""

    @abstractmethod
    def linear_head(self, path: str) -> AbstractContextManager[None]:
        """A context in which the softmax or sigmoid that a layer is, or ends in, is left out."""

    @abstractmethod
    def final_activation(self, path: str) -> str | None:
        """ "softmax" or "sigmoid" if the layer ends in one, fused or as a layer of its own, else None."""

    @abstractmethod
    def weights(self, path: str) -> dict[str, np.ndarray]:
        """The weights of a layer by the names that its framework gives them, in the framework's own layout."""

    @abstractmethod
    def inner_preprocessing(self) -> tuple[str, str] | None:
        """The range of pixels that a first layer expects, as a preprocessing's name, and that layer's path."""

    @property
    @abstractmethod
    def paths(self) -> list[str]:
        """The paths of all layers of the model, called or not."""

    @abstractmethod
    def path_of(self, layer: Any) -> str:
        """The path of a layer, or of the innermost one that it lies in; "" for the model itself."""

    @property
    @abstractmethod
    def variables(self) -> list[Any]:
        """What a compiled function reads and the user may change between two calls."""

    def prefix(self, call: str) -> int:
        """How many tokens for no place a layer puts out before those that are a grid of patches."""
        return 0

    def same_randomness(self) -> AbstractContextManager[None]:
        """A context in which the same random numbers are drawn each time, by layers that draw some in inference."""
        return backend.current().seeded()

    def reading(self) -> AbstractContextManager[None]:
        """A context for forward passes without gradients."""
        return backend.current().forward_only()

    @contextmanager
    def differentiating(self, precision: str) -> Iterator[None]:
        """A context for gradients by inputs or inner layers, computed in a precision as of `computing`."""
        with backend.current().differentiable(self.model), self.computing(precision):
            yield

    def to_last(self, tensor: Any, call: str | None = None) -> Any:
        """From the model's layout, or that of what a layer put out in this call, to channels last."""
        from keras import ops

        return ops.moveaxis(tensor, 1, -1) if self.channels_first and len(tensor.shape) > 3 else tensor

    def from_last(self, tensor: Any, call: str | None = None, raw: Any = None) -> Any:
        """The way back from `to_last`; `raw` is what the layer put out, for what is not seen channels last."""
        from keras import ops

        return ops.moveaxis(tensor, -1, 1) if self.channels_first and len(tensor.shape) > 3 else tensor

    def with_batch_axis(self, outputs: list[Any], images: int) -> list[Any]:
        """Outputs for so many images, channels last, with an axis for the batch, where one image alone has lost it."""
        return outputs
