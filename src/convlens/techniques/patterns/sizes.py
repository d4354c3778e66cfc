"""The size at which patterns are made."""

from weakref import WeakKeyDictionary

import numpy as np

from convlens import backend
from convlens.errors import ConvlensError, OptionError, reason
from convlens.network.network import Network
from convlens.techniques.patterns.objectives.base import Objective, Shapes
from convlens.techniques.patterns.objectives.measure import Measure, stacked

LARGER = (80, 96, 112, 128, 150, 160, 192, 224, 227, 256, 299, 320, 384, 448, 512)

Sides = tuple[int, int]
# what an objective reads of images of a size, or why it cannot be computed on them: each is tried once
_tried: WeakKeyDictionary[Network, dict[tuple[object, Sides], Shapes | str]] = WeakKeyDictionary()


def pattern_sides(
    network: Network, objective: Objective, size: int | tuple[int, int] | None, usual: int
) -> tuple[Sides, tuple[str, ...]]:
    """Height and width of the patterns of objectives of one key, and a note where they are not the usual ones.

    Args:
        size: a side, or (height, width), in pixels. By default the usual one where the objective can be computed on it,
            else the network's own size, and of a network without one the smallest larger size that goes.
        usual: side in pixels.

    Raises:
        OptionError: the size is none, or the objective cannot be computed on it, or on any that was tried.
    """
    if size is not None:
        sides = _asked(size)
        if problem := _problem(network, objective, sides):
            raise OptionError(f"{_cannot(objective, sides)}; {_hint(network, sides)} ({problem})")
        return sides, ()
    first = usual, usual
    problem = _problem(network, objective, first)
    if problem is None:
        return first, ()
    own = _own(network)
    larger = [_known(network, side) for side in LARGER if side > usual]
    for sides in dict.fromkeys([own] if own else larger):
        if _problem(network, objective, sides) is None:
            what = "the network's own size" if own else "the smallest usual size that goes"
            return sides, (f"{_cannot(objective, first)} ({problem}); {_shape(sides)}, {what}, is taken",)
    tried = f"its own {_shape(own)}" if own else f"any usual size up to {LARGER[-1]}"
    raise OptionError(f"{_cannot(objective, first)} or {tried} pixels; give another size ({problem})")


def output_shapes(network: Network, objective: Objective, sides: Sides) -> Shapes:
    """What the layers that an objective reads put out for one image of a size that it can be computed on, by path."""
    found = _tried[network][objective.key, sides]
    assert not isinstance(found, str)
    return found


def _asked(size: int | tuple[int, int]) -> Sides:
    sides = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, int | np.integer) and side >= 1 for side in sides):
        raise OptionError(f"size {size!r}: expected pixels a side, or (height, width), at least 1")
    return int(sides[0]), int(sides[1])


def _own(network: Network) -> Sides | None:
    """The size that a network was made for, where it says one."""
    height, width = network.image_shape[:2]
    if height and width:
        return height, width
    return network.input_size


def _known(network: Network, side: int) -> Sides:
    """This side wherever the network takes any."""
    height, width = network.image_shape[:2]
    return height or side, width or side


def _problem(network: Network, objective: Objective, sides: Sides) -> str | None:
    """Why an objective cannot be computed on images of this size; None where it can."""
    known = _tried.setdefault(network, {})
    if (objective.key, sides) not in known:
        known[objective.key, sides] = _try(network, objective, sides)
    found = known[objective.key, sides]
    return found if isinstance(found, str) else None


def _try(network: Network, objective: Objective, sides: Sides) -> Shapes | str:
    """What one forward pass with one image gives."""
    shapes: dict[str, tuple[int, ...]] = {}
    measure = Measure(network, objective)
    place, given = network.image_input, stacked([objective])

    def run(images: object, *tensors: object) -> None:
        reading = measure.read(images, tensors[: len(given)], tensors[len(given) :])
        shapes.update({path: tuple(tensor.shape) for path, tensor in reading.layers.items()})

    others = network.input_arrays(1)
    image = np.zeros((1, *sides, others.pop(place).shape[3]), "float32")
    try:
        with network.reading():
            backend.current().trace(run, network.tensors([image, *given, *others]))
    except ConvlensError:
        raise
    except Exception as error:  # of any framework, or of the user's own layers
        return reason(error)
    for shape in shapes.values():
        if shape[0] != 1:  # a reshape to (-1, features) does that
            return f"one image comes out as {shape[0]}"
        if not all(shape):
            return "nothing is left of images so small"
    return shapes


def _cannot(objective: Objective, sides: Sides) -> str:
    return f"{objective.place} cannot be computed on images of {_shape(sides)} pixels"


def _hint(network: Network, sides: Sides) -> str:
    own = _own(network)
    return f"its own size is {_shape(own)}" if own and own != sides else "try a larger one"


def _shape(sides: Sides) -> str:
    return f"{sides[0]}x{sides[1]}"
