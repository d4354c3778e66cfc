"""Arithmetic on scale * x + offset: what may happen to an image on its way into a network and still be a scaling."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

PIXEL_RANGE = 10.0  # networks take values of this size at most; what maps 0-255 into it takes pixels
_ROOTS = ("K", "tf", "keras", "backend", "ops", "np", "numpy", "tensorflow")
_SAME = ("cast", "to_float", "convert_to_tensor", "identity", "constant", "float32", "asarray", "array")


class NotAffine(ValueError):
    """A function that does more than scale, or whose bytecode cannot be followed."""


@dataclass(frozen=True)
class Affine:
    """scale * x + offset; numbers, or one a channel."""

    scale: Any
    offset: Any

    def __str__(self) -> str:
        scales, offsets = np.ravel(self.scale), np.ravel(self.offset)
        factor, shift = _written(scales), _written(np.abs(offsets))
        text = "x" if factor == "1" else f"{factor} * x"
        if len(scales) == 1 and 0 < scales[0] < 1:
            text = f"x / {_written(1 / scales)}"
        if not offsets.any():
            return text
        if (offsets <= 0).all():
            return f"{text} - {shift}"
        return f"{text} + {shift if (offsets >= 0).all() else _written(offsets)}"

    def input_range(self) -> str | None:
        """What was fed to it: "none" for 0 to 255, "rescale" for 0 to 1, None where the numbers do not tell."""
        scale, offset = np.abs(self.scale), np.abs(self.offset)
        if np.max(scale) * 255 <= PIXEL_RANGE and np.max(offset) <= PIXEL_RANGE:
            return "none"
        if np.max(scale) == np.min(scale) == 1:
            return "none" if np.max(offset) > 50 else None
        return "rescale" if np.max(scale) <= PIXEL_RANGE and np.max(offset) <= PIXEL_RANGE else None


def _written(numbers: np.ndarray) -> str:
    words = [f"{number:.6g}" for number in numbers]
    return words[0] if len(words) == 1 else "(" + ", ".join(words) + ")"


@dataclass(frozen=True)
class Name:
    """A dotted name that the function looks up outside of itself: tf.cast."""

    text: str


def _number(value: Any) -> Any:
    """A number, or one a channel."""
    if isinstance(value, bool) or not isinstance(value, int | float | tuple | np.ndarray):
        raise NotAffine(f"{type(value).__name__} is no number")
    if isinstance(value, tuple) and not (value and all(isinstance(part, int | float) for part in value)):
        raise NotAffine("a tuple that holds no numbers")
    return np.asarray(value, "float64") if isinstance(value, tuple) else value


def combine(operation: str, left: Any, right: Any) -> Any:
    """One operation on numbers and scaled inputs.

    Raises:
        NotAffine: the outcome is neither a number nor the input scaled.
    """
    try:
        if not isinstance(left, Affine) and not isinstance(right, Affine):
            return _plain(operation, _number(left), _number(right))
        outcome = _scaled(operation, left, right)
    except (ArithmeticError, ValueError) as error:
        raise NotAffine(str(error)) from error
    if not (np.isfinite(outcome.scale).all() and np.isfinite(outcome.offset).all()):
        raise NotAffine("it scales by what is not finite")
    return outcome


def _plain(operation: str, left: Any, right: Any) -> Any:
    if operation == "DIVIDE" and isinstance(left, int) and isinstance(right, int):
        return left // right  # Python 2
    plain: dict[str, Callable] = {
        "ADD": lambda: left + right,
        "SUBTRACT": lambda: left - right,
        "MULTIPLY": lambda: left * right,
        "DIVIDE": lambda: left / right,
        "TRUE_DIVIDE": lambda: left / right,
        "POWER": lambda: float(left) ** float(right),
    }
    if operation not in plain or np.max(np.abs(left)) > 1e12 or np.max(np.abs(right)) > 1e12:
        raise NotAffine(f"{operation} is more than a scaling")
    return plain[operation]()


def _scaled(operation: str, left: Any, right: Any) -> Affine:
    if operation in ("ADD", "SUBTRACT"):
        sign = 1 if operation == "ADD" else -1
        left, right = (v if isinstance(v, Affine) else Affine(0.0, _number(v)) for v in (left, right))
        return Affine(left.scale + sign * right.scale, left.offset + sign * right.offset)
    if operation == "MULTIPLY" and not (isinstance(left, Affine) and isinstance(right, Affine)):
        scaled, factor = (left, _number(right)) if isinstance(left, Affine) else (right, _number(left))
        return Affine(scaled.scale * factor, scaled.offset * factor)
    if operation in ("DIVIDE", "TRUE_DIVIDE") and isinstance(left, Affine) and not isinstance(right, Affine):
        return Affine(left.scale / _number(right), left.offset / _number(right))
    raise NotAffine(f"{operation} of two inputs is more than a scaling")


def call_named(name: str, values: list[Any], named: dict[str, Any]) -> Any:
    """A call of a function of TensorFlow, NumPy or Keras that casts or does arithmetic; looked at by its name."""
    root, _, _ = name.partition(".")
    last = name.rsplit(".", 1)[-1]
    if root not in _ROOTS or root == name:
        raise NotAffine(f"it calls {name}")
    operations = {"divide": "TRUE_DIVIDE", "truediv": "TRUE_DIVIDE", "true_divide": "TRUE_DIVIDE",
                  "subtract": "SUBTRACT", "multiply": "MULTIPLY", "add": "ADD"}  # fmt: skip
    arguments = values + [named[key] for key in ("x", "y", "x1", "x2") if key in named]
    if last in _SAME and arguments:
        if any(isinstance(value, str | Name) and "int" in str(value) for value in [*values[1:], *named.values()]):
            raise NotAffine("it rounds to whole numbers")
        return arguments[0]
    if last in operations and len(arguments) == 2:
        return combine(operations[last], *arguments)
    raise NotAffine(f"it calls {name}")
