"""What a filter looks for: many filters at once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial

import numpy as np

from convlens import backend
from convlens.errors import ModelError, OptionError, near, reason
from convlens.network.budget import BUDGET, image_bytes
from convlens.network.inspect.guess import known_preprocessing
from convlens.network.inspect.layers import LayerInfo
from convlens.network.network import Network
from convlens.network.provenance import provenance
from convlens.results.patterns import FilterPatterns
from convlens.techniques.batches import side_by_side
from convlens.techniques.patterns.ascent import METHODS, Settings
from convlens.techniques.patterns.image import STARTS, Pixels
from convlens.techniques.patterns.selection import parse_filters
from convlens.techniques.patterns.sizes import pattern_sides
from convlens.techniques.patterns.verdict import Outcomes
from convlens.techniques.precision import precision_of

CACHE = 64 * 2**20  # bytes of a batch's layer outputs: on a CPU, a batch that stays in the caches is the fastest
MOST_ON_CPU, MOST = 32, 256  # filters at once


def filter_patterns(
    network: Network,
    layer: str,
    filters: Iterable[int] | str | int | None = None,
    size: int | tuple[int, int] | None = None,
    steps: int = 40,
    step_size: float = 1.0,
    seed: int = 0,
    method: str = "ascent",
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    precision: str = "auto",
) -> FilterPatterns:
    """Images that filters of a layer respond to strongly, by gradient ascent from noise on grey.

    Args:
        network: the network to look into; its preprocessing tells in which units its input is.
        layer: name of the layer; the forward pass stops there.
        filters: indices, a range, "all" or text such as "0:64,70"; all by default.
        size: of the images in pixels, a side or (height, width); by default as `pattern_sides` says.
        steps: how many steps of ascent.
        step_size: in grey levels of 0-255.
        seed: of the noise; each filter draws its own.
        method: one of METHODS.
        batch_size: filters at once; by default as many as are computed fastest and fit the memory budget. The last
            batch is filled up, so that what comes of a filter does not depend on those beside it.
        progress: called with the number of filters done and their total.
        precision: "float32", "bfloat16", or "auto": bfloat16 where the device gains by it.

    Returns:
        images uint8 (filters, height, width, 3), the mean activation at the start and at the end, how much of each
        picture is its start, and a status a filter, a key of `STATUS` in results.patterns.

    Raises:
        LayerError: unknown layer.
        FilterError: a filter that the layer does not have.
        OptionError: unknown method or precision, a size that the layer cannot be computed on, or steps of none.
        ModelError: the gradient cannot be computed, or the layer runs through layers without weights.
    """
    info = network.layer(layer)
    network.untrained.check(network, [info.path])
    chosen = parse_filters(filters, int(info.output_shape[-1] or 0), info.path)
    if method not in METHODS:
        raise OptionError(f"unknown method {method!r}: {near(method, METHODS)}")
    if steps < 1 or (batch_size is not None and batch_size < 1):
        raise OptionError(f"{steps} steps, batch size {batch_size}: expected at least 1 of each")
    if not (np.isfinite(step_size) and step_size > 0):
        raise OptionError(f"step size {step_size}: expected grey levels, more than 0")
    sides, said = pattern_sides(network, info, size)
    settings = Settings(sides, steps, step_size, seed, precision_of(network, precision))
    at_once = batch_size or filters_at_once(network, info, sides)
    scaling, notes = known_preprocessing(network)
    pixels = Pixels(*scaling.affine(network.image_shape[2] or 3))
    with network.differentiating(settings.precision), _explained(info):
        found = _climb(network, info, chosen, pixels, settings, method, at_once, progress)
    how = {"method": method, "steps": steps, "step_size": step_size, "seed": seed, "size": list(sides)}
    how["precision"] = settings.precision
    origin = provenance(network, scaling, [*notes, *said], technique="filter patterns", **how)
    measured = found.start, found.end, found.of_start, found.status
    return FilterPatterns.from_latents(found.images, chosen, *measured, info.path, origin)


def _climb(
    network: Network,
    layer: LayerInfo,
    filters: Sequence[int],
    pixels: Pixels,
    settings: Settings,
    method: str,
    at_once: int,
    progress: Callable[[int, int], None] | None,
) -> Outcomes:
    """All filters in batches, those that lose their activation on their way once more from other starts."""
    ascent = METHODS[method](network, layer, pixels, settings)
    found = Outcomes(np.zeros((len(filters), *settings.sides, len(pixels.offset)), "float32"))
    waiting = list(range(len(filters)))
    for attempt in range(len(STARTS)):
        batches = [waiting[at : at + at_once] for at in range(0, len(waiting), at_once)]
        # filled up: the same size always means the same rounding, and one trace
        filled = [[filters[row] for row in rows + rows[-1:] * (at_once - len(rows))] for rows in batches]
        done = 0
        with closing(side_by_side(partial(ascent.climb, attempt=attempt), filled)) as parts:
            for rows, some, part in zip(batches, filled, parts, strict=True):
                found.put(rows, part, pixels, partial(ascent.measure, some))
                done += len(rows)
                if progress and not attempt:
                    progress(done, len(filters))
        # no start gave those a gradient that are still; others lost it on their way
        waiting = np.flatnonzero(found.finite & found.lost & ~found.still).tolist()
    return found


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
def _explained(layer: LayerInfo) -> Iterator[None]:
    """Says which layer's ascent a framework failed at."""
    try:
        yield
    except (ValueError, TypeError, RuntimeError, ArithmeticError, AssertionError) as error:
        raise ModelError(f"the gradient of layer {layer.path} cannot be computed ({reason(error)})") from error
