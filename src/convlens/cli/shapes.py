"""The input shapes that the user means."""

from typing import Any

from convlens.errors import OptionError


def parse_shapes(text: str | None) -> list[tuple[int | None, ...]] | None:
    """Shapes (height, width, channels) from text such as "28,28,1", "28x28x1" or "any,any,3"; ";" between inputs.

    Raises:
        OptionError: it is something else.
    """
    if text is None:
        return None
    return [_shape(part, text) for part in text.split(";")]


def _shape(part: str, whole: str) -> tuple[int | None, ...]:
    words: list[Any] = part.lower().strip().strip("()").replace("x", ",").split(",")
    sides = [None if word.strip() in ("any", "none", "?") else word.strip() for word in words if word.strip()]
    if not sides or not all(side is None or (side.isdecimal() and int(side) > 0) for side in sides):
        raise OptionError(
            f'input shape {whole!r}: expected height, width and channels, such as "28,28,1" or "28x28x1", "any" for'
            ' sides of any size, and ";" between several inputs'
        )
    return tuple(None if side is None else int(side) for side in sides)
