"""The inputs and layers of a network in words of no framework, and how the user names layers."""

import fnmatch
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convlens.errors import LayerError, ModelError

CHANNELS = (1, 3, 4)  # of images
POOLING, CONVOLUTION, OTHER = "pooling", "convolution", "other"  # roles of layers
SOFTMAX, SIGMOID = "softmax", "sigmoid"  # what a head may end in


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

    def __str__(self) -> str:
        return f"{self.name} ({' x '.join('any' if side is None else str(side) for side in self.shape) or 'a number'})"


def zeros_for(
    specs: Sequence[InputSpec],
    batch: int,
    any_size: tuple[int, int],
    height: int | None = None,
    width: int | None = None,
) -> list[np.ndarray]:
    """Zeros for every input, float32 (batch, ...), channels last.

    Args:
        any_size: height and width in pixels of image inputs of any size.
        height, width: in pixels, of all image inputs, whatever their own.
    """
    arrays = []
    for spec in specs:
        shape = list(spec.shape)
        if spec.is_image:
            shape = [height or shape[0] or any_size[0], width or shape[1] or any_size[1], shape[2] or 3]
        arrays.append(np.zeros([batch, *(side or 1 for side in shape)], "float32"))
    return arrays


def given_specs(shape: Any) -> tuple[InputSpec, ...]:
    """Inputs from the user's shape (height, width, channels), or from a list of them.

    Raises:
        ModelError: a shape is none, or has its channels first.
    """
    shapes = shape if isinstance(shape, list | tuple) and shape and isinstance(shape[0], list | tuple) else [shape]
    for sides in shapes:
        whole = isinstance(sides, list | tuple) and all(
            side is None or (isinstance(side, int | np.integer) and side > 0) for side in sides
        )
        if not whole or not sides:
            raise ModelError(f"input_shape {sides!r}: expected (height, width, channels), None for sides of any size")
        if len(sides) == 3 and sides[0] in CHANNELS and sides[1] == sides[2] and sides[2] not in CHANNELS:
            raise ModelError(
                f"input_shape {tuple(sides)} has its channels first; give (height, width, channels):"
                f" {(sides[1], sides[2], sides[0])}"
            )
    return tuple(InputSpec(f"input_{number}", tuple(sides)) for number, sides in enumerate(shapes))


def named_specs(shape: Any, names: Sequence[str] = ()) -> tuple[InputSpec, ...]:
    """Inputs from the user's shapes as `given_specs` takes them, or from a dict of them by name.

    Args:
        names: of several inputs that came without.
    """
    if isinstance(shape, dict):
        names, shape = list(shape), list(shape.values())
    specs = given_specs(shape)
    if len(specs) > len(names) or len(specs) == 1 != len(names):
        return specs
    return tuple(InputSpec(name, spec.shape) for name, spec in zip(names, specs, strict=False))


@dataclass(frozen=True)
class LayerDescription:
    """What a framework says of a layer without running it.

    Attributes:
        kind: the class of the layer.
        role: "convolution", "pooling" or "other".
        parameters: number of weights in it.
        container: whether other layers lie inside it.
    """

    kind: str
    role: str
    parameters: int
    container: bool


def role_of(kind: str, container: bool, ranks: Iterable[int]) -> str:
    """The role of a layer: a container has none of its own.

    Args:
        ranks: how many axes each of its weights has.
    """
    if container:
        return OTHER
    if "pool" in kind.lower():
        return POOLING
    return CONVOLUTION if 4 in ranks else OTHER


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


class Calls:
    """Counts the calls of each layer in a forward pass: the second one of `relu` is `relu:1`."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def name(self, path: str) -> str:
        """Of the next call of this layer."""
        number = self._counts[path]
        self._counts[path] += 1
        return f"{path}:{number}" if number else path


def base_path(path: str, known: Sequence[str]) -> str:
    """The path of a layer without the number of its call."""
    return path if path in known else path.rpartition(":")[0]


def find_layer(layers: Sequence[LayerInfo], name: str, source: str) -> LayerInfo:
    """The layer of this path, or of this name where it is unique.

    Raises:
        LayerError: unknown (the near names are listed) or ambiguous.
    """
    known = {layer.path: layer for layer in layers}
    if name in known:
        return known[name]
    ends = [path for path in known if path.endswith((f"/{name}", f".{name}"))]
    if len(ends) == 1:
        return known[ends[0]]
    if ends:
        raise LayerError(f"layer {name!r} is ambiguous: {', '.join(ends[:6])}; give the whole path")
    raise LayerError.unknown(f"no layer {name!r} in {source}", name, known)


def select_layers(layers: Sequence[LayerInfo], names: str | Iterable[str] | None, source: str) -> list[LayerInfo]:
    """Layers by name or glob, in the order of computing; every spatial convolution and pooling by default.

    Raises:
        LayerError: a name is unknown, a glob matches nothing, or the network has no such layers.
    """
    if names is None:
        chosen = [layer for layer in layers if layer.role in (CONVOLUTION, POOLING) and layer.is_spatial]
        if not chosen:
            raise LayerError(f"{source} has no convolution or pooling layers; name the layers to look at")
        return chosen
    wanted: set[str] = set()
    for name in [names] if isinstance(names, str) else names:
        if any(sign in name for sign in "*?["):
            matched = {layer.path for layer in layers if fnmatch.fnmatchcase(layer.path, name)}
            if not matched:
                raise LayerError.unknown(f"no layer matches {name!r}", name, [layer.path for layer in layers])
            wanted |= matched
        else:
            wanted.add(find_layer(layers, name, source).path)
    return [layer for layer in layers if layer.path in wanted]
