"""What a network does in one forward pass: which layers are called, and which tensors they put out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convlens import backend
from convlens.errors import ImageError, reason
from convlens.network.inspect.outputs import output_names
from convlens.network.layers import OTHER, POOLING, Calls, LayerInfo
from convlens.network.passes import Passes, flat, outputs_in


@dataclass(frozen=True)
class Observation:
    """What one forward pass showed.

    Attributes:
        shapes: layer path -> output shape with the batch, in the order of the calls (inner layers first).
        same: layer path -> the number of the tensor it put out; equal numbers are the same tensor.
        passed: paths of layers that put out the tensor that they got.
        overwritten: paths of layers whose tensor was changed in place later on.
        outputs: one number a network output, as in `same`; None if no layer put it out.
        names: the outputs' names, None for one without.
        units: sizes of the outputs' last axes, channels last.
        sizes: how many numbers each output has for one sample.
    """

    shapes: dict[str, tuple[int, ...]]
    same: dict[str, int]
    passed: frozenset[str]
    overwritten: frozenset[str]
    outputs: tuple[int | None, ...]
    names: tuple[str | None, ...]
    units: tuple[int, ...]
    sizes: tuple[int, ...]


class _Recorder:
    """Notes every call of a layer, and tells tensors apart while it holds them."""

    def __init__(self, passes: Passes) -> None:
        self.passes = passes
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.same: dict[str, int] = {}
        self.passed: set[str] = set()
        self.calls = Calls()
        self.kept: list[tuple[Any, int]] = []

    def number(self, tensor: Any) -> int:
        version = _version(tensor)
        for place, (other, noted) in enumerate(self.kept):
            if other is tensor and noted == version:
                return place
        self.kept.append((tensor, version))
        return len(self.kept) - 1

    def on_output(self, path: str, arguments: tuple, raw: Any) -> Any:
        key = self.calls.name(path)
        parts = flat(raw)
        if parts and hasattr(parts[0], "shape"):
            known = len(self.kept)
            self.shapes[key] = tuple(self.passes.to_last(parts[0], key).shape)
            self.same[key] = self.number(parts[0])
            if self.same[key] < known and any(part is parts[0] for part in flat(arguments)):
                self.passed.add(key)
        return raw

    def overwritten(self) -> frozenset[str]:
        changed = {place for place, (tensor, version) in enumerate(self.kept) if _version(tensor) != version}
        return frozenset(path for path, place in self.same.items() if place in changed)


def _version(tensor: Any) -> int:
    """PyTorch counts what is done to a tensor in place; nothing is with other frameworks."""
    return getattr(tensor, "_version", 0)


def run_observed(passes: Passes, arrays: Sequence[np.ndarray]) -> Observation:
    """Runs the network once with every layer tapped.

    Args:
        arrays: inputs, a batch of one each.

    Raises:
        ImageError: the network does not take inputs of this size.
    """
    recorder = _Recorder(passes)
    seen: list[Observation] = []

    def run(*tensors: Any) -> None:
        with passes.tap(passes.paths, recorder.on_output):
            structure = passes.raw_forward(tensors)
        known, raw = len(recorder.kept), outputs_in(structure)
        places = [recorder.number(tensor) for tensor in raw]
        seen.append(
            Observation(
                shapes=recorder.shapes,
                same=recorder.same,
                passed=frozenset(recorder.passed),
                overwritten=recorder.overwritten(),
                outputs=tuple(place if place < known else None for place in places),
                names=output_names(structure, getattr(passes.model, "output_names", None)),
                units=tuple(passes.to_last(tensor).shape[-1] if len(tensor.shape) else 1 for tensor in raw),
                sizes=tuple(int(np.prod(tensor.shape)) for tensor in raw),
            )
        )

    try:
        with passes.reading():
            backend.current().trace(run, passes.tensors(arrays))
    except (ValueError, TypeError, RuntimeError, ArithmeticError, AssertionError) as error:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ImageError(f"{passes.source} does not run on inputs of shape {shapes}: {reason(error, 300)}") from error
    return seen[0]


def called_layers(passes: Passes, seen: Observation) -> list[LayerInfo]:
    """The layers in the order in which the network computes them, none marked as the default."""
    fixed = all(None not in spec.shape for spec in passes.inputs)
    layers = []
    for path, shape in seen.shapes.items():
        told = passes.describe(path)
        sides = shape[1:] if fixed or len(shape) != 4 else (None, None, shape[-1])
        role = OTHER if told.role == POOLING and len(shape) != 4 else told.role
        layers.append(LayerInfo(path, told.kind, role, (None, *sides), told.parameters, told.container))
    return layers
