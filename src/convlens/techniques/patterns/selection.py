"""Which filters the user means."""

from collections.abc import Iterable

import numpy as np

from convlens.errors import FilterError
from convlens.techniques.patterns.objectives.base import has_filters


def parse_filters(filters: Iterable[int] | str | int | None, count: int, layer: str) -> tuple[int, ...]:
    """Filter indices from indices, a range, "all" or text with indices and ranges as Python slices, "0:64,70".

    Args:
        count: how many filters the layer has.
        layer: its path, for the message.

    Raises:
        FilterError: nothing chosen, no number, or out of range.
    """
    if filters is None or filters == "all":
        return tuple(range(count))
    if isinstance(filters, str):
        chosen = [index for part in filters.split(",") for index in _part(part, filters, count, layer)]
    elif isinstance(filters, int | np.integer):
        chosen = [int(filters)]
    else:
        chosen = [int(index) for index in filters]
    _in_range(chosen, count, layer)
    if not chosen:
        raise FilterError(f"no filters chosen in {filters!r}: {has_filters(layer, count)}")
    return tuple(dict.fromkeys(chosen))


def _part(part: str, whole: str, count: int, layer: str) -> list[int]:
    """An index, or a slice whose ends must exist."""
    try:
        numbers = [int(word) if word.strip() else None for word in part.split(":")]
    except ValueError as error:
        raise _unreadable(whole) from error
    if len(numbers) == 1 and numbers[0] is not None:
        return [numbers[0]]
    if len(numbers) not in (2, 3) or numbers[2:] == [0]:
        raise _unreadable(whole)
    start, end = numbers[:2]
    if not (start is None or 0 <= start < count) or not (end is None or 0 <= end <= count):
        raise FilterError(
            f"filters {part.strip()} are out of range: {has_filters(layer, count)}; a range goes up to {count}, which"
            " is not part of it"
        )
    return list(range(count)[slice(*numbers)])


def _unreadable(filters: str) -> FilterError:
    return FilterError(f'filters {filters!r}: expected indices and ranges such as "0:64,70", or "all"')


def _in_range(indices: Iterable[int], count: int, layer: str) -> None:
    for index in indices:
        if not 0 <= index < count:
            message = f"filter {index} is out of range: {has_filters(layer, count)}"
            raise FilterError(message, expected=f"0 to {count - 1}", received=index)
