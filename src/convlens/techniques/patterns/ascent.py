"""What a filter looks for: gradient ascent in input space, many filters at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from convlens import backend
from convlens.errors import OptionError, near
from convlens.network.base import Network
from convlens.network.feed import known_preprocessing
from convlens.network.layers import LayerInfo
from convlens.network.provenance import provenance
from convlens.results.patterns import FilterPatterns
from convlens.techniques.batches import BUDGET, image_bytes
from convlens.techniques.patterns.image import STARTS, Pixels, start_images
from convlens.techniques.patterns.objectives import objective, value
from convlens.techniques.patterns.selection import parse_filters
from convlens.techniques.precision import precision_of

EPSILON = 1e-5
STILL = 1e-4 * EPSILON  # smaller gradients move an image by less than 1e-4 grey levels a step
CACHE = 64 * 2**20  # bytes of a batch's layer outputs: on a CPU, a batch that stays in the caches is the fastest
MOST_ON_CPU, MOST = 32, 256  # filters at once


def ascent_step(network: Network, layer: str, narrow: bool = False) -> Callable:
    """One step: (images, directions, steps, *others) -> (images, values before it, largest gradients).

    The gradient of each image is divided by (its root mean square + 1e-5), and `steps` of it (a step size a
    channel, or a value) are added. `narrow` is as in `objective`.
    """
    from keras import ops

    climb = backend.current().gradients(objective(network, layer, narrow))

    def step(images: Any, directions: Any, steps: Any, *others: Any) -> tuple[Any, Any, Any]:
        _, values, grads = climb(images, directions, *others)
        slope, squares = grads[0], ops.square(grads[0])
        size = ops.sqrt(ops.mean(squares, axis=(1, 2, 3), keepdims=True)) + EPSILON
        return images + steps * (slope / size), values, ops.sqrt(ops.max(squares, axis=(1, 2, 3)))

    return step


@dataclass(frozen=True)
class Settings:
    """Of one ascent: the image's sides in pixels, number of steps, their size in grey levels, seed of the noise, and
    in which precision the network is computed; the image itself is float32 always."""

    sides: tuple[int, int]
    steps: int
    step_size: float
    seed: int
    precision: str = "float32"


@dataclass(frozen=True)
class Climbed:
    """What one batch of filters came to: images in input units, values before and after (the latter in float32,
    whatever the ascent is computed in), the first gradients' size."""

    images: np.ndarray
    start: np.ndarray
    end: np.ndarray
    steepest: np.ndarray

    @property
    def still(self) -> np.ndarray:
        """Where the gradient is as good as zero: that image stays where it is, however many the steps."""
        return self.steepest < STILL

    def status(self) -> list[str]:
        """One word a filter."""
        finite = np.isfinite(self.images).all(axis=(1, 2, 3)) & np.isfinite(self.end)
        dead = self.still | ((self.end == 0) & (self.start >= 0))
        return ["non-finite" if not fine else "dead" if gone else "ok" for fine, gone in zip(finite, dead, strict=True)]


def ascend(
    network: Network,
    layer: LayerInfo,
    start: Callable[[np.ndarray], np.ndarray],
    attempt: int,
    filters: Sequence[int],
    pixels: Pixels,
    settings: Settings,
) -> Climbed:
    """Plain gradient ascent for one batch of filters: `settings.steps` steps with the normalized gradient.

    Args:
        start: gives RGB 0-255, float32 (filters, height, width, channels), for the numbers of the filters' attempts.
        attempt: the first. A filter without a gradient there goes on to the next at once, so that steps are not taken
            in vain.
    """
    narrow = network.can_narrow(layer.path)
    key = (layer.path, narrow, settings.precision)
    climb = network.compiled(("ascent", *key), ascent_step(network, layer.path, narrow))
    chosen = np.array(filters, "int32")
    directions = chosen if narrow else np.eye(layer.output_shape[-1] or 1, dtype="float32")[chosen]
    others = network.input_arrays(len(filters))
    others.pop(network.image_input)
    # as large as an image: TensorFlow is slow at repeating a few values over the last axis
    sizes = np.broadcast_to(pixels.grey_level * settings.step_size, (*settings.sides, len(pixels.offset)))
    directions, sizes, *others = network.tensors([directions, sizes.astype("float32"), *others])

    def begin(attempts: np.ndarray) -> np.ndarray:
        return pixels.enter(start(attempts))

    reached, first, steepest = _climb_all(
        lambda images: climb(images, directions, sizes, *others),
        network,
        begin,
        np.full(len(filters), attempt),
        settings.steps,
    )
    with network.computing("float32"):
        measure = network.compiled(("value", layer.path, narrow), value(network, layer.path, narrow))
        (end,) = _numpy(measure(*network.tensors([reached]), directions, *others))
    return Climbed(reached, first, end, steepest)


def _climb_all(
    climb: Callable, network: Network, begin: Callable, attempts: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images after so many steps each, and values and largest gradients at the first of them.

    A filter without a gradient goes on to its next start while the others climb, and makes up for it at the end.
    """
    reached = begin(attempts)
    (images,) = network.tensors([reached])
    first, steepest = (np.zeros(len(reached), "float32") for _ in range(2))
    late, live, taken = np.zeros(len(reached), int), np.ones(len(reached), bool), 0
    while (taken < (steps + late)[live]).any():
        images, *measured = climb(images)
        taken += 1
        fresh = live & (late == taken - 1)
        if fresh.any():
            values, slopes = _numpy(*measured)
            first[fresh], steepest[fresh] = values[fresh], slopes[fresh]
            still = fresh & (slopes < STILL)
            live &= ~(still & (attempts == len(STARTS) - 1))
            again = still & live
            if again.any():
                attempts, late = attempts + again, np.where(again, taken, late)
                moved = np.where(again[:, None, None, None], begin(attempts), _numpy(images)[0])
                reached[again] = moved[again]
                (images,) = network.tensors([moved])
        if (done := live & (late + steps == taken)).any():
            reached[done] = _numpy(images)[0][done]
    return reached, first, steepest


def _numpy(*tensors: Any) -> list[np.ndarray]:
    from keras import ops

    return [np.array(ops.convert_to_numpy(tensor)) for tensor in tensors]


METHODS: dict[str, Callable] = {"ascent": ascend}


def filter_patterns(
    network: Network,
    layer: str,
    filters: Iterable[int] | str | int | None = None,
    size: int | tuple[int, int] = 64,
    steps: int = 40,
    step_size: float = 1.0,
    seed: int = 0,
    method: str = "ascent",
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    precision: str = "auto",
) -> FilterPatterns:
    """The images that filters of a layer respond to most, by gradient ascent from noise on grey.

    Args:
        network: the network to look into; its preprocessing tells in which units its input is.
        layer: name of the layer; the forward pass stops there.
        filters: indices, a range, "all" or text such as "0:64,70"; all by default.
        size: of the images in pixels.
        steps: how many steps of ascent.
        step_size: in grey levels of 0-255.
        seed: of the noise; each filter draws its own.
        method: one of METHODS.
        batch_size: filters at once; by default as many as are computed fastest and fit the memory budget. The last
            batch is filled up, so that what comes of a filter does not depend on those beside it.
        progress: called with the number of filters done and their total.
        precision: "float32", "bfloat16", or "auto": bfloat16 where the device gains by it.

    Returns:
        images uint8 (filters, height, width, 3), the mean activation at start and end, and a status a filter:
        "ok", "dead" (no gradient from any of four starts) or "non-finite".

    Raises:
        LayerError: unknown layer.
        FilterError: a filter that the layer does not have.
        OptionError: unknown method or precision, or a size that the layer cannot be computed on.
    """
    info = network.layer(layer)
    chosen = parse_filters(filters, int(info.output_shape[-1] or 0), info.path)
    if method not in METHODS:
        raise OptionError(f"unknown method {method!r}: {near(method, METHODS)}")
    sides = (size, size) if isinstance(size, int) else (size[0], size[1])
    if min(sides) < 1 or steps < 1 or (batch_size is not None and batch_size < 1):
        raise OptionError(f"size {size}, {steps} steps, batch size {batch_size}: expected at least 1 of each")
    settings = Settings(sides, steps, step_size, seed, precision_of(network, precision))
    at_once = batch_size or filters_at_once(network, info, sides)
    with network.differentiating(settings.precision), _sized(network, info, sides):
        climbed = _climb(network, info, chosen, settings, method, at_once, progress)
    said = {"method": method, "steps": steps, "step_size": step_size, "seed": seed, "size": list(sides)}
    said["precision"] = settings.precision
    origin = provenance(network, technique="filter patterns", **said)
    status = tuple(climbed.status())
    return FilterPatterns.from_latents(climbed.images, chosen, climbed.start, climbed.end, status, info.path, origin)


def _climb(
    network: Network,
    layer: LayerInfo,
    filters: Sequence[int],
    settings: Settings,
    method: str,
    at_once: int,
    progress: Callable[[int, int], None] | None,
) -> Climbed:
    """All filters in batches, the dead ones once more from other starts; the images in RGB 0-255."""
    pixels = Pixels(*known_preprocessing(network).affine(network.image_shape[2] or 3))
    shape = (len(filters), *settings.sides, len(pixels.offset))
    total = Climbed(np.zeros(shape, "float32"), *(np.zeros(len(filters), "float32") for _ in range(3)))
    waiting = list(range(len(filters)))
    for attempt in range(len(STARTS)):
        for at in range(0, len(waiting), at_once):
            rows = waiting[at : at + at_once]
            indices = [filters[row] for row in rows]
            # filled up: the same size always means the same rounding, and one trace
            filled = indices + indices[-1:] * (at_once - len(rows))
            start = partial(start_images, filled, settings.sides, shape[-1], settings.seed)
            part = METHODS[method](network, layer, start, attempt, filled, pixels, settings)
            total.images[rows] = pixels.leave(part.images[: len(rows)])
            for name in ("start", "end", "steepest"):
                getattr(total, name)[rows] = getattr(part, name)[: len(rows)]
            if progress and not attempt:
                progress(at + len(rows), len(filters))
        # no start gave those a gradient that are still; others lost it on their way
        waiting = [row for row, word in enumerate(total.status()) if word == "dead" and not total.still[row]]
    return total


def filters_at_once(network: Network, layer: LayerInfo, sides: tuple[int, int]) -> int:
    """Filters that are computed fastest together: the power of two nearest to what fits a CPU's caches, or as many as
    fit the memory budget with as much again for their gradients; the same whichever filters are asked for."""
    tall, wide = network.input_arrays(1)[network.image_input].shape[1:3]
    share = sides[0] * sides[1] / (tall * wide)
    each = share * image_bytes(network, until=layer.path)
    if backend.current().device() != "CPU":
        return int(min(max(BUDGET // (2 * each), 1), MOST))
    return int(min(2 ** max(round(np.log2(CACHE / each)), 0), MOST_ON_CPU))


@contextmanager
def _sized(network: Network, layer: LayerInfo, sides: tuple[int, int]) -> Iterator[None]:
    """Says what is wrong where a network cannot be computed on images of this size up to the layer."""
    try:
        yield
    except (ValueError, TypeError, RuntimeError, ArithmeticError, AssertionError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        own = network.image_shape[:2]
        hint = f"its own size is {own[0]}x{own[1]}" if None not in own else "try a larger one"
        raise OptionError(
            f"layer {layer.path} cannot be computed on images of {sides[0]}x{sides[1]} pixels; {hint} ({reason})"
        ) from error
