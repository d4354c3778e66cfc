"""Which filters the user means."""

from collections.abc import Iterable

import numpy as np

from convlens.errors import FilterError


def parse_filters(filters: Iterable[int] | str | int | None, count: int, layer: str) -> tuple[int, ...]:
    """Filter indices from indices, a range, "all" or text with indices and ranges as Python slices, "0:64,70".

    Raises:
        FilterError: nothing chosen, no number, or out of range.
    """
    if filters is None or filters == "all":
        return tuple(range(count))
    chosen: list[int] = []
    if isinstance(filters, str):
        for part in filters.split(","):
            try:
                numbers = [int(word) if word.strip() else None for word in part.split(":")]
                sliced = len(numbers) in (2, 3)
                chosen += range(count)[slice(*numbers)] if sliced else [int(numbers[0] or 0)] if part.strip() else []
                _in_range([n for n in numbers[:2] if n is not None], count + sliced, layer)
            except ValueError as error:
                raise FilterError(
                    f'filters {filters!r}: expected indices and ranges such as "0:64,70", or "all"'
                ) from error
    else:
        chosen = [int(filters)] if isinstance(filters, int | np.integer) else [int(index) for index in filters]
    _in_range(chosen, count, layer)
    if not chosen:
        raise FilterError(f"no filters chosen in {filters!r}; layer {layer} has {count}, 0 to {count - 1}")
    return tuple(dict.fromkeys(chosen))


def _in_range(indices: Iterable[int], count: int, layer: str) -> None:
    for index in indices:
        if not 0 <= index < count:
            raise FilterError(f"filter {index} is out of range: layer {layer} has {count}, 0 to {count - 1}")
