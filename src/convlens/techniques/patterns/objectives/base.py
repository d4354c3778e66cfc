"""What is measured of an image, as a value that can be added, subtracted and weighted."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from convlens.errors import FilterError, OptionError

if TYPE_CHECKING:
    from convlens.network.network import Network
    from convlens.techniques.patterns.objectives.reading import Reading

Shapes = Mapping[str, tuple[int, ...]]
Found = TypeVar("Found", bound="LayerObjective")


class Objective(ABC):
    """What is measured of one image. Values of one `key` share a compiled function and differ in their `arrays`.

    `a + 2 * b` measures that: sums and differences of objectives and numbers, products and quotients with numbers.
    """

    __array_ufunc__ = None  # so that NumPy's numbers leave their arithmetic to it

    @property
    @abstractmethod
    def key(self) -> tuple[Any, ...]:
        """What is compiled for it: hashable, and the same for all filters of a layer."""

    @abstractmethod
    def arrays(self) -> tuple[np.ndarray, ...]:
        """What tells it from others of its key; they are stacked, so their shapes are the same for the same key."""

    @abstractmethod
    def values(self, reading: "Reading", arrays: Sequence[Any]) -> Any:
        """What is measured, float32 (rows,), differentiable.

        Args:
            reading: what the network makes of the images, one a row.
            arrays: what `arrays()` gives, a row each: tensors (rows, ...).
        """

    @abstractmethod
    def located(self, network: "Network") -> "Objective":
        """The same with the full paths of its layers, checked as far as it can be before images have a size.

        Raises:
            LayerError, FilterError, OptionError: the network has nothing of the kind.
        """

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers whose outputs it reads."""
        return ()

    @property
    def outputs(self) -> tuple[int, ...]:
        """The network's outputs whose logits it reads, by number."""
        return ()

    @property
    def place(self) -> str:
        """What of the network it reads, in words."""
        layers = [f"layer {path}" for path in self.layers]
        return " with ".join([*layers, *(f"output {number}" for number in self.outputs)])

    def check(self, shapes: Shapes) -> None:
        """Whether the layers' outputs are as large as it needs them; shapes are (1, height, width, channels) by path.

        Raises:
            OptionError: they are not.
        """
        return None

    def only_channels(self, arrays: Sequence[Any]) -> Any | None:
        """Where it reads one channel of one layer alone: that channel's number in each row, int32 (rows,)."""
        return None

    def __add__(self, other: Any) -> "Objective":
        return _sum(self, other, 1.0)

    def __radd__(self, other: Any) -> "Objective":
        return _sum(self, other, 1.0)

    def __sub__(self, other: Any) -> "Objective":
        return _sum(self, other, -1.0)

    def __rsub__(self, other: Any) -> "Objective":
        return _sum(-self, other, 1.0)

    def __mul__(self, factor: Any) -> "Objective":
        return _as_combination(self).scaled(float(factor)) if isinstance(factor, Real) else NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> "Objective":
        return _as_combination(self).scaled(1 / float(divisor)) if isinstance(divisor, Real) else NotImplemented

    def __neg__(self) -> "Objective":
        return -1.0 * self


@dataclass(frozen=True)
class Combination(Objective):
    """A constant plus objectives, each with a weight. Weights are arrays: another one is no other compilation."""

    terms: tuple[tuple[float, Objective], ...]
    constant: float = 0.0

    def __post_init__(self) -> None:
        numbers = [weight for weight, _ in self.terms] + [self.constant]
        if not np.isfinite(numbers).all():
            raise OptionError(f"weights {numbers} of an objective: expected finite numbers")

    @property
    def key(self) -> tuple[Any, ...]:
        return ("combination", *(objective.key for _, objective in self.terms))

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(layer for _, objective in self.terms for layer in objective.layers))

    @property
    def outputs(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(output for _, objective in self.terms for output in objective.outputs))

    def scaled(self, factor: float) -> "Combination":
        terms = tuple((factor * weight, objective) for weight, objective in self.terms)
        return Combination(terms, factor * self.constant)

    def arrays(self) -> tuple[np.ndarray, ...]:
        weights = np.array([self.constant, *(weight for weight, _ in self.terms)], "float32")
        return (weights, *(array for _, objective in self.terms for array in objective.arrays()))

    def values(self, reading: "Reading", arrays: Sequence[Any]) -> Any:
        weights, rest = arrays[0], list(arrays[1:])
        total = weights[:, 0]
        for number, (_, objective) in enumerate(self.terms, 1):
            count = len(objective.arrays())
            total = total + weights[:, number] * objective.values(reading, rest[:count])
            rest = rest[count:]
        return total

    def located(self, network: "Network") -> "Combination":
        return replace(self, terms=tuple((weight, objective.located(network)) for weight, objective in self.terms))

    def check(self, shapes: Shapes) -> None:
        for _, objective in self.terms:
            objective.check(shapes)

    def only_channels(self, arrays: Sequence[Any]) -> Any | None:
        return self.terms[0][1].only_channels(arrays[1:]) if len(self.terms) == 1 else None


def _as_combination(objective: Objective) -> Combination:
    return objective if isinstance(objective, Combination) else Combination(((1.0, objective),))


def _sum(first: Objective, second: Any, sign: float) -> Any:
    left = _as_combination(first)
    if isinstance(second, Real):
        return replace(left, constant=left.constant + sign * float(second))
    if not isinstance(second, Objective):
        return NotImplemented
    right = _as_combination(second).scaled(sign)
    return Combination(left.terms + right.terms, left.constant + right.constant)


@dataclass(frozen=True)
class LayerObjective(Objective):
    """What is measured of one layer's output.

    Attributes:
        layer: its path or unique name.
    """

    layer: str

    @property
    def key(self) -> tuple[Any, ...]:
        return type(self).__name__, self.layer

    @property
    def layers(self) -> tuple[str, ...]:
        return (self.layer,)

    def located(self: Found, network: "Network") -> Found:
        found = network.layer(self.layer)
        network.untrained.check(network, [found.path])
        self.check_channels(int(found.output_shape[-1] or 0))
        return replace(self, layer=found.path)

    def check_channels(self, count: int) -> None:
        """Whether a layer of so many channels has what is measured.

        Raises:
            FilterError: it has not.
        """


@dataclass(frozen=True)
class ChannelObjective(LayerObjective):
    """What is measured of one channel of a layer.

    Attributes:
        index: the channel, from 0.
    """

    index: int

    def arrays(self) -> tuple[np.ndarray, ...]:
        return (np.array(self.index, "int32"),)

    def only_channels(self, arrays: Sequence[Any]) -> Any | None:
        return arrays[0]

    def check_channels(self, count: int) -> None:
        if not 0 <= self.index < count:
            raise FilterError(f"filter {self.index} is out of range: {has_filters(self.layer, count)}")


def has_filters(layer: str, count: int) -> str:
    """How many filters a layer has and which, for messages."""
    return f"layer {layer} has {count} filters, 0 to {count - 1}" if count else f"layer {layer} has no filters"
