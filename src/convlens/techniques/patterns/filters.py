"""What a filter looks for: many filters at once."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial

import numpy as np

from convlens import backend
from convlens.errors import ModelError, OptionError, near, reason
from convlens.network.budget import BUDGET, image_bytes
from convlens.network.layers import LayerInfo
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
from convlens.techniques.request import PLAIN, Compute, PatternRequest

CACHE = 64 * 2**20  # bytes of a batch's layer outputs: on a CPU, a batch that stays in the caches is the fastest
MOST_ON_CPU, MOST = 32, 256  # filters at once


def filter_patterns(network: Network, request: PatternRequest, compute: Compute = PLAIN) -> FilterPatterns:
    """Images that filters of a layer respond to strongly, by gradient ascent from noise on grey.

    Args:
        network: the network to look into; its preprocessing tells in which units its input is.
        request: the layer, at which the forward pass stops, its filters, and the ascent.
        compute: how; by default as many filters at once as are computed fastest and fit the memory budget. The last
            batch is filled up, so that what comes of a filter does not depend on those beside it.

    Returns:
        images uint8 (filters, height, width, 3), the mean activation at the start and at the end, how much of each
        picture is its start, and a status a filter, a key of `STATUS` in results.patterns.

    Raises:
        LayerError: unknown layer.
        FilterError: a filter that the layer does not have.
        OptionError: unknown method or precision, or a size that the layer cannot be computed on.
        ModelError: the gradient cannot be computed, or the layer runs through layers without weights.
        CancelledError: the caller cancelled it.
    """
    info = network.layer(request.layer)
    network.untrained.check(network, [info.path])
    chosen = parse_filters(request.filters, int(info.output_shape[-1] or 0), info.path)
    if request.method not in METHODS:
        raise OptionError(f"unknown method {request.method!r}: {near(request.method, METHODS)}")
    sides, said = pattern_sides(network, info, request.size)
    settings = Settings(sides, request.steps, request.step_size, request.seed, precision_of(network, request.precision))
    at_once = compute.batch_size or filters_at_once(network, info, sides)
    scaling, notes = network.known_preprocessing()
    pixels = Pixels(*scaling.affine(network.image_shape[2] or 3))
    with network.differentiating(settings.precision), _explained(info):
        found = _climb(network, info, chosen, pixels, settings, request.method, at_once, compute)
    how = {name: getattr(request, name) for name in ("technique", "method", "steps", "step_size", "seed")}
    how |= {"size": list(sides), "precision": settings.precision, "request": request.to_json()}
    origin = provenance(network, scaling, [*notes, *said], **how)
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
    compute: Compute,
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
        with closing(side_by_side(partial(ascent.climb, attempt=attempt, compute=compute), filled)) as parts:
            for rows, some, part in zip(batches, filled, parts, strict=True):
                found.put(rows, part, pixels, partial(ascent.measure, some))
                done += len(rows)
                if not attempt:
                    compute.report(done, len(filters))
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
