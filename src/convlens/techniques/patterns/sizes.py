"""The size at which a layer's patterns are made."""

from weakref import WeakKeyDictionary

import numpy as np

from convlens import backend
from convlens.errors import ConvlensError, OptionError, reason
from convlens.network.layers import LayerInfo
from convlens.network.network import Network
from convlens.techniques.activations import recorded

USUAL = 64  # pixels a side
LARGER = (80, 96, 112, 128, 150, 160, 192, 224, 227, 256, 299, 320, 384, 448, 512)

Sides = tuple[int, int]
_tried: WeakKeyDictionary[Network, dict[tuple[str, Sides], str | None]] = WeakKeyDictionary()


def pattern_sides(
    network: Network, layer: LayerInfo, size: int | tuple[int, int] | None
) -> tuple[Sides, tuple[str, ...]]:
    """Height and width of the patterns of a layer, and a note where they are not the usual ones.

    Args:
        size: a side, or (height, width), in pixels. By default 64 where the layer can be computed on it, else the
            network's own size, and of a network without one the smallest larger size that goes.

    Raises:
        OptionError: the size is none, or the layer cannot be computed on it, or on any that was tried.
    """
    if size is not None:
        sides = _asked(size)
        if problem := _problem(network, layer, sides):
            raise OptionError(f"{_cannot(layer, sides)}; {_hint(network, layer, sides)} ({problem})")
        return sides, ()
    problem = _problem(network, layer, (USUAL, USUAL))
    if problem is None:
        return (USUAL, USUAL), ()
    own = _own(network)
    for sides in dict.fromkeys([own] if own else [_known(network, side) for side in LARGER]):
        if _problem(network, layer, sides) is None:
            what = "the network's own size" if own else "the smallest usual size that goes"
            return sides, (f"{_cannot(layer, (USUAL, USUAL))} ({problem}); {_shape(sides)}, {what}, is taken",)
    tried = f"its own {_shape(own)}" if own else f"any usual size up to {LARGER[-1]}"
    raise OptionError(f"{_cannot(layer, (USUAL, USUAL))} or {tried} pixels; give another size ({problem})")


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


def _problem(network: Network, layer: LayerInfo, sides: Sides) -> str | None:
    """Why a layer cannot be computed on images of this size; None where it can. Each is tried once."""
    known = _tried.setdefault(network, {})
    if (layer.path, sides) not in known:
        known[layer.path, sides] = _try(network, layer, sides)
    return known[layer.path, sides]


def _try(network: Network, layer: LayerInfo, sides: Sides) -> str | None:
    """One forward pass up to the layer, with one image."""
    shapes: list[tuple[int, ...]] = []
    record = recorded(network, [layer])

    def look(*tensors: object) -> None:
        shapes.extend(tuple(tensor.shape) for tensor in record(*tensors))

    arrays = network.input_arrays(1)
    arrays[network.image_input] = np.zeros((1, *sides, arrays[network.image_input].shape[3]), "float32")
    try:
        with network.reading():
            backend.current().trace(look, network.tensors(arrays))
    except ConvlensError:
        raise
    except Exception as error:  # of any framework, or of the user's own layers
        return reason(error)
    if shapes[0][0] != 1:  # a reshape to (-1, features) does that
        return f"one image comes out as {shapes[0][0]}"
    return None if all(shapes[0]) else "nothing is left of images so small"


def _cannot(layer: LayerInfo, sides: Sides) -> str:
    return f"layer {layer.path} cannot be computed on images of {_shape(sides)} pixels"


def _hint(network: Network, layer: LayerInfo, sides: Sides) -> str:
    own = _own(network)
    return f"its own size is {_shape(own)}" if own and own != sides else "try a larger one"


def _shape(sides: Sides) -> str:
    return f"{sides[0]}x{sides[1]}"
