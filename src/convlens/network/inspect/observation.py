"""What a network does in one forward pass: which layers are called, and which tensors they put out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convlens import backend
from convlens.errors import ImageError, reason
from convlens.network.inspect.layers import OTHER, POOLING, Calls, LayerInfo

if TYPE_CHECKING:
    from convlens.network.network import Network


@dataclass(frozen=True)
class Observation:
    """What one forward pass showed.

    Attributes:
        shapes: layer path -> output shape with the batch, in the order of the calls (inner layers first).
        same: layer path -> the number of the tensor it put out; equal numbers are the same tensor.
        passed: paths of layers that put out the tensor that they got.
        overwritten: paths of layers whose tensor was changed in place later on.
        outputs: one number a network output, as in `same`; None if no layer put it out.
        units: sizes of the outputs' last axes, channels last.
        sizes: how many numbers each output has for one sample.
    """

    shapes: dict[str, tuple[int, ...]]
    same: dict[str, int]
    passed: frozenset[str]
    overwritten: frozenset[str]
    outputs: tuple[int | None, ...]
    units: tuple[int, ...]
    sizes: tuple[int, ...]


class _Recorder:
    """Notes every call of a layer, and tells tensors apart while it holds them."""

    def __init__(self, network: "Network") -> None:
        self.network = network
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.same: dict[str, int] = {}
        self.passed: set[str] = set()
        self.calls = Calls()
        self.kept: list[tuple[Any, int]] = []

    def number(self, tensor: Any) -> int:
        version = _version(tensor)
        for place, (other, of) in enumerate(self.kept):
            if other is tensor and of == version:
                return place
        self.kept.append((tensor, version))
        return len(self.kept) - 1

    def on_output(self, path: str, arguments: tuple, raw: Any) -> Any:
        from keras import tree

        key = self.calls.name(path)
        parts = tree.flatten(raw)
        if parts and hasattr(parts[0], "shape"):
            known = len(self.kept)
            self.shapes[key] = tuple(self.network.to_last(parts[0], key).shape)
            self.same[key] = self.number(parts[0])
            if self.same[key] < known and any(part is parts[0] for part in tree.flatten(arguments)):
                self.passed.add(key)
        return raw

    def overwritten(self) -> frozenset[str]:
        changed = {place for place, (tensor, version) in enumerate(self.kept) if _version(tensor) != version}
        return frozenset(path for path, place in self.same.items() if place in changed)


def _version(tensor: Any) -> int:
    """PyTorch counts what is done to a tensor in place; nothing is with other frameworks."""
    return getattr(tensor, "_version", 0)


def observe(network: "Network", arrays: Sequence[np.ndarray]) -> Observation:
    """Runs the network once with every layer tapped.

    Args:
        arrays: inputs, a batch of one each.

    Raises:
        ImageError: the network does not take inputs of this size.
    """
    recorder = _Recorder(network)
    outputs: list[int | None] = []
    units: list[int] = []
    sizes: list[int] = []

    def run(*tensors: Any) -> None:
        with network.tap(network.paths, recorder.on_output):
            network.forward(tensors)
        known = len(recorder.kept)
        places = [recorder.number(raw) for raw in network.raw_outputs]
        outputs.extend(place if place < known else None for place in places)
        units.extend(network.to_last(raw).shape[-1] if len(raw.shape) else 1 for raw in network.raw_outputs)
        sizes.extend(int(np.prod(raw.shape)) for raw in network.raw_outputs)
        network.raw_outputs = []

    try:
        with network.reading():
            backend.current().trace(run, network.tensors(arrays))
    except (ValueError, TypeError, RuntimeError, ArithmeticError, AssertionError) as error:
        raise ImageError(
            f"{network.source} does not run on inputs of shape {', '.join(str(array.shape) for array in arrays)}: "
            + reason(error, 300)
        ) from error
    passed, overwritten = frozenset(recorder.passed), recorder.overwritten()
    listed_outputs = tuple(outputs), tuple(units), tuple(sizes)
    return Observation(recorder.shapes, recorder.same, passed, overwritten, *listed_outputs)


def listed(network: "Network") -> list[LayerInfo]:
    """The layers in the order in which the network computes them, none marked as the default."""
    fixed = all(None not in spec.shape for spec in network.inputs)
    layers = []
    for path, shape in network.observe().shapes.items():
        kind, role, parameters, container = network.describe(path)
        sides = shape[1:] if fixed or len(shape) != 4 else (None, None, shape[-1])
        if role == POOLING and len(shape) != 4:
            role = OTHER
        layers.append(LayerInfo(path, kind, role, (None, *sides), parameters, container))
    return layers
