"""The patterns of a layer, made in units."""

from collections.abc import Callable
from dataclasses import replace

from convlens.network.network import Network
from convlens.results.patterns import FilterPatterns
from convlens.techniques.patterns.filters import filter_patterns
from convlens.techniques.patterns.selection import parse_filters
from convlens.techniques.request import PLAIN, Compute, PatternRequest

UNIT = 64  # filters


def pattern_units(network: Network, request: PatternRequest) -> tuple[PatternRequest, ...]:
    """A request as several of at most `UNIT` filters each, which together give the same.

    Raises:
        LayerError, FilterError: the network has no such layer, or the layer no such filters.
    """
    layer = network.layer(request.layer)
    filters = parse_filters(request.filters, int(layer.output_shape[-1] or 0), layer.path)
    return tuple(replace(request, filters=filters[at : at + UNIT]) for at in range(0, len(filters), UNIT))


def patterns_in_units(
    network: Network, request: PatternRequest, keep: Callable[[FilterPatterns], object], compute: Compute = PLAIN
) -> FilterPatterns:
    """Patterns as `filter_patterns` gives them, made unit by unit.

    Args:
        keep: gets the patterns at the end; where an error or the user ends it earlier, those of the units finished.

    Raises:
        as `filter_patterns`.
    """
    units = pattern_units(network, request)
    total, done = sum(len(unit.filters) for unit in units), 0  # pyright: ignore[reportArgumentType]
    parts: list[FilterPatterns] = []

    def progress(within: int, _: int) -> None:
        compute.report(done + within, total)

    try:
        for unit in units:
            parts.append(filter_patterns(network, unit, replace(compute, progress=progress)))
            done += len(parts[-1].filters)
    finally:
        if parts:
            patterns = FilterPatterns.joined(parts, request.to_json())
            keep(patterns)
    return patterns
