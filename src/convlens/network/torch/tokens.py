"""How PyTorch layers' outputs lie in memory: channels first, channels last, or tokens that are a grid of patches."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import ceil, floor, log
from typing import Any

FIRST, LAST = "channels first", "channels last"
PREFIX = 8  # tokens before the patches, at most: class, distillation and register tokens
HALVINGS = 4  # of a grid of tokens, where networks merge patches on their way
PATCHES = 4  # that a network has at least for each token before them

Shape = tuple[int, ...]
Sides = tuple[int, int]


@dataclass(frozen=True)
class Tokens:
    """The layout (batch, prefix + height * width, channels), row after row.

    Attributes:
        prefix: how many tokens before the patches stand for no place.
        strides: pixels of the network's input a token, down and across.
    """

    prefix: int
    strides: tuple[float, float]

    def grid(self, tokens: int, sides: Sides) -> Sides | None:
        """Height and width of the grid in positions, on an input of these sides; None if the tokens are another number.

        A patch that sticks out of the image may have been left out or filled up, hence both roundings.
        """
        rows, columns = (side / stride for side, stride in zip(sides, self.strides, strict=True))
        for height in dict.fromkeys((round(rows), floor(rows), ceil(rows))):
            for width in dict.fromkeys((round(columns), floor(columns), ceil(columns))):
                if height * width > 1 and height * width == tokens - self.prefix:
                    return height, width
        return None


Layout = str | Tokens


def layout_of(
    shape: Shape, sides: Sides, grids: Iterable[Sides], hint: str | None, moved: Shape | None
) -> Layout | None:
    """The layout of a layer's output.

    Args:
        shape: of the output, for a batch of one.
        sides: of the network's input.
        grids: of spatial outputs before it, the latest first.
        hint: what the layer's class says, if anything.
        moved: the shape on a taller input, where the network takes one.

    Returns:
        None where the output has no layout to turn.
    """
    if len(shape) == 3 and shape[0] == 1 and hint != FIRST:
        return _tokens(shape, sides, grids)
    if len(shape) != 4:
        return None
    if hint is not None:
        return hint
    if moved is not None and len(moved) == 4:
        grown = [place for place in (1, 2, 3) if moved[place] != shape[place]]
        if grown in ([1], [2]):
            return LAST if grown == [1] else FIRST
    return LAST if _skew(shape[1:3], sides) < _skew(shape[2:4], sides) else FIRST


def _skew(grid: Iterable[int], sides: Sides) -> float:
    """How far the shape of a grid is from that of the input."""
    height, width = grid
    return abs(log(max(height, 1) * sides[1] / (max(width, 1) * sides[0])))


def _tokens(shape: Shape, sides: Sides, grids: Iterable[Sides]) -> Tokens | None:
    """The grid whose positions, with the fewest tokens before them, are as many as the tokens."""
    fitting: list[tuple[int, Sides]] = []  # tokens before the grid, and the grid
    for height, width in grids:
        prefix = shape[1] - height * width
        if 0 <= prefix <= min(PREFIX, height * width // PATCHES):
            fitting.append((prefix, (height, width)))
        fitting.extend((0, grid) for grid in _halved(height, width) if grid[0] * grid[1] == shape[1])
    fitting.extend((0, grid) for grid in _cut(shape, sides))
    if not fitting:
        return None
    prefix, (height, width) = min(fitting, key=lambda pair: pair[0])
    return Tokens(prefix, (sides[0] / height, sides[1] / width))


def _halved(height: int, width: int) -> Iterator[Sides]:
    for times in range(1, HALVINGS + 1):
        grid = ceil(height / 2**times), ceil(width / 2**times)
        if grid[0] * grid[1] > 1:
            yield grid


def _cut(shape: Shape, sides: Sides) -> Iterator[Sides]:
    """The grid of an image that was cut into patches without a convolution: a token has the values of one patch."""
    patches = shape[1]
    for side in range(2, min(sides) + 1):
        grid = sides[0] // side, sides[1] // side
        if grid[0] * grid[1] == patches > 1 and shape[2] in (side * side, 3 * side * side):
            yield grid


def find_layouts(
    shapes: Mapping[str, Shape], taller: Mapping[str, Shape], sides: Sides, hints: Mapping[str, str]
) -> dict[str, Layout]:
    """The layout of each call of a layer in one forward pass.

    Args:
        shapes: of the outputs for a batch of one, in the order of the calls.
        taller: the same on a taller input, empty where the network takes none.
        sides: of the network's input.
        hints: what the classes of layers say, by call.
    """
    layouts: dict[str, Layout] = {}
    grids: dict[Sides, None] = {}
    for call, shape in shapes.items():
        layout = layout_of(shape, sides, reversed(grids), hints.get(call), taller.get(call))
        if layout is None:
            continue
        layouts[call] = layout
        if not isinstance(layout, Tokens):
            grid = (shape[2], shape[3]) if layout == FIRST else (shape[1], shape[2])
        else:
            grid = layout.grid(shape[1], sides) or (1, 1)
        grids.pop(grid, None)
        grids[grid] = None
    return layouts


def spread(tensor: Any, prefix: int, grid: Sides) -> Any:
    """Tokens (batch, prefix + height * width, channels) as (batch, height, width, channels), those before left out."""
    return tensor[:, prefix:].reshape(tensor.shape[0], *grid, tensor.shape[2])
