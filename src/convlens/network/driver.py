"""What a framework has to provide for its models to be looked into."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from convlens import backend
from convlens.network.inspect.head import Head
from convlens.network.inspect.layers import InputSpec

OnOutput = Callable[[str, tuple, Any], Any]


class Driver(ABC):
    """One model of a framework: what it says of itself, and how its layers are tapped, changed for a time and run."""

    framework: str

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
        """While open, calls of these layers hand over path, arguments and raw output, and go on with what is given."""

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
    def can_narrow(self, path: str) -> bool:
        """Whether some output channels of a layer can be computed without the others."""

    @abstractmethod
    def narrowed(self, path: str, channels: Any) -> AbstractContextManager[None]:
        """A context in which a layer that `can_narrow` puts out only these channels, integers."""

    @abstractmethod
    def linear_head(self, head: Head) -> AbstractContextManager[None]:
        """A context in which the softmax or sigmoid that `head` names is left out."""

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
