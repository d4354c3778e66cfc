"""Lambda layers, read without running them: which of them only scale their input, and by what.

The bytecode is walked with symbols on its stack: the input is 1 * x + 0, and every operation gives another
scale * x + offset, a plain number, or an end to the reading.
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from convlens.network.loading.bytecode import Instruction, functions
from convlens.network.loading.marshal_reader import Code, Unreadable

MAX_STEPS = 2000
PIXEL_RANGE = 10.0  # networks take values of this size at most; what maps 0-255 into it takes pixels


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
class _Name:
    """A dotted name that the function looks up outside of itself: tf.cast."""

    text: str


_NULL = object()
_ROOTS = ("K", "tf", "keras", "backend", "ops", "np", "numpy", "tensorflow")
_SAME = ("cast", "to_float", "convert_to_tensor", "identity", "constant", "float32", "asarray", "array")


def code_bytes(text: str) -> bytes:
    """The marshalled code that a Lambda's configuration holds: in base64, or as Keras before 2.0.6 wrote it.

    Raises:
        NotAffine: it is neither.
    """
    try:
        return base64.b64decode(text.replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        pass
    try:
        return text.encode("raw_unicode_escape")
    except UnicodeEncodeError as error:
        raise NotAffine("its code is in no known writing") from error


def read_affine(data: bytes, defaults: Any, closure: Any, arguments: dict[str, Any]) -> Affine:
    """The scaling that a marshalled function does.

    Args:
        data: the marshalled code.
        defaults: values of its last parameters, or None.
        closure: values of its free variables, or None.
        arguments: further keyword arguments that the layer passes.

    Raises:
        NotAffine: it does anything else, or is read differently under different versions of Python.
    """
    try:
        readings = functions(data)
    except Unreadable as error:
        raise NotAffine(str(error)) from error
    outcomes: list[Affine] = []
    problem: NotAffine | None = None
    for code, version, steps in readings:
        try:
            outcomes.append(_Reading(code, version, defaults, closure, arguments).run(steps))
        except NotAffine as error:
            problem = error
    if not outcomes:
        raise problem or NotAffine("no code")
    if any(repr(outcome) != repr(outcomes[0]) for outcome in outcomes):
        raise NotAffine("its bytecode has several meanings")
    return outcomes[0]


class _Reading:
    def __init__(self, code: Code, version: str, defaults: Any, closure: Any, arguments: dict[str, Any]) -> None:
        if not 1 <= code.argcount <= len(code.locals):
            raise NotAffine("it takes no input")
        parameters = code.locals[: code.argcount]
        self.version, self.stack, self.keywords = version, [], ()
        self.locals: dict[str, Any] = {}
        values = list(defaults) if isinstance(defaults, list | tuple) else []
        self.locals |= dict(zip(parameters[len(parameters) - len(values) :], values, strict=False))
        self.locals |= arguments
        self.locals[parameters[0]] = Affine(1.0, 0.0)
        self.free = dict(zip(reversed(code.free or code.locals), reversed(closure or ()), strict=False))

    def run(self, steps: list[Instruction]) -> Affine:
        for step in steps[:MAX_STEPS]:
            if step.name in ("RETURN_VALUE", "RETURN_CONST"):
                found = self.pop() if step.name == "RETURN_VALUE" else None
                if isinstance(found, Affine):
                    return found
                raise NotAffine("it does not return its input scaled")
            self.step(step)
        raise NotAffine("it does not end")

    def pop(self) -> Any:
        if not self.stack:
            raise NotAffine("its stack runs empty")
        return self.stack.pop()

    def several(self, count: int) -> list[Any]:
        return [self.pop() for _ in range(min(count, 64))][::-1]

    def step(self, step: Instruction) -> None:
        name = step.name
        if name in _STEPS:
            _STEPS[name](self, step)
        elif name == "BINARY_OP" or name.startswith(("BINARY_", "INPLACE_")):
            operation = step.value if name == "BINARY_OP" else name.partition("_")[2]
            right, left = self.pop(), self.pop()
            self.stack.append(combine(operation, left, right))
        else:
            raise NotAffine(f"{name} is more than a scaling")

    def local(self, name: Any) -> Any:
        if name not in self.locals:
            raise NotAffine(f"{name} has no value in the file")
        return self.locals[name]

    def deref(self, name: Any) -> Any:
        if name in self.free:
            return self.free[name]
        return self.local(name)

    def look_up(self, step: Instruction) -> None:
        flagged = self.version in ("3.11", "3.12", "3.13") and step.number & 1
        before = [_NULL] if flagged and self.version != "3.13" else []
        after = [_NULL] if flagged and self.version == "3.13" else []
        self.stack += [*before, _Name(step.value), *after]

    def attribute(self, step: Instruction) -> None:
        owner = self.pop()
        if not isinstance(owner, _Name):
            raise NotAffine(f"it takes {step.value!r} of a value")
        found = _Name(f"{owner.text}.{step.value}")
        method = step.name == "LOAD_METHOD" or (self.version in ("3.12", "3.13") and step.number & 1)
        # A method call leaves two entries for the function and its owner; a module's function has no owner.
        self.stack += [found, _NULL] if method else [found]

    def call(self, count: int, keywords: Any) -> None:
        values = self.several(count)
        named = dict(zip(keywords, values[count - len(keywords) :], strict=False)) if keywords else {}
        plain = values[: count - len(named)]
        function = self.pop()
        if function is _NULL:
            function = self.pop()
        elif self.stack and self.stack[-1] is _NULL:
            self.pop()
        if not isinstance(function, _Name):
            raise NotAffine("it calls a value")
        self.stack.append(call_named(function.text, plain, named))

    def call_old(self, step: Instruction) -> None:
        """CALL_FUNCTION: until 3.5 the upper byte counts pairs of a name and a value."""
        pairs = step.number >> 8 if self.version in ("2.7", "3.5") else 0
        named = [(self.pop(), self.pop()) for _ in range(min(pairs, 64))][::-1]
        self.stack += [value for value, _ in named]
        count = (step.number & 255 if pairs or self.version in ("2.7", "3.5") else step.number) + len(named)
        self.call(count, tuple(_text(key) for _, key in named))

    def call_new(self, step: Instruction) -> None:
        keywords, self.keywords = self.keywords, ()
        self.call(step.number, keywords)

    def call_keywords(self, step: Instruction) -> None:
        keywords = self.pop()
        if not isinstance(keywords, tuple):
            raise NotAffine("keywords that are none")
        self.call(step.number, tuple(_text(key) for key in keywords))

    def store(self, name: Any) -> None:
        self.locals[name] = self.pop()

    def store_pair(self, step: Instruction) -> None:
        first, second = step.value
        self.store(first)
        if step.name == "STORE_FAST_STORE_FAST":
            self.store(second)
        else:
            self.stack.append(self.local(second))

    def extend(self, step: Instruction) -> None:
        more = self.pop()
        target = self.stack[-1] if self.stack else None
        if step.number != 1 or not isinstance(target, tuple) or not isinstance(more, tuple):
            raise NotAffine("it changes a list")
        self.stack[-1] = target + more

    def keep_keywords(self, step: Instruction) -> None:
        self.keywords = step.value if isinstance(step.value, tuple) else ()


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _constant(reading: _Reading, step: Instruction) -> None:
    reading.stack.append(_text(step.value) if isinstance(step.value, bytes) else step.value)


_STEPS: dict[str, Callable[[_Reading, Instruction], Any]] = {
    "RESUME": lambda r, s: None,
    "NOP": lambda r, s: None,
    "PRECALL": lambda r, s: None,
    "COPY_FREE_VARS": lambda r, s: None,
    "LOAD_CONST": _constant,
    "LOAD_FAST": lambda r, s: r.stack.append(r.local(s.value)),
    "LOAD_FAST_CHECK": lambda r, s: r.stack.append(r.local(s.value)),
    "LOAD_FAST_LOAD_FAST": lambda r, s: r.stack.extend(r.local(name) for name in s.value),
    "STORE_FAST": lambda r, s: r.store(s.value),
    "STORE_FAST_LOAD_FAST": _Reading.store_pair,
    "STORE_FAST_STORE_FAST": _Reading.store_pair,
    "LOAD_DEREF": lambda r, s: r.stack.append(r.deref(s.value)),
    "LOAD_GLOBAL": _Reading.look_up,
    "LOAD_ATTR": _Reading.attribute,
    "LOAD_METHOD": _Reading.attribute,
    "PUSH_NULL": lambda r, s: r.stack.append(_NULL),
    "KW_NAMES": _Reading.keep_keywords,
    "CALL": _Reading.call_new,
    "CALL_METHOD": lambda r, s: r.call(s.number, ()),
    "CALL_FUNCTION": _Reading.call_old,
    "CALL_FUNCTION_KW": _Reading.call_keywords,
    "CALL_KW": _Reading.call_keywords,
    "BUILD_TUPLE": lambda r, s: r.stack.append(tuple(r.several(s.number))),
    "BUILD_LIST": lambda r, s: r.stack.append(tuple(r.several(s.number))),
    "LIST_EXTEND": _Reading.extend,
    "UNARY_NEGATIVE": lambda r, s: r.stack.append(combine("MULTIPLY", r.pop(), -1.0)),
    "UNARY_POSITIVE": lambda r, s: r.stack.append(combine("MULTIPLY", r.pop(), 1.0)),
}


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
        found = _scaled(operation, left, right)
    except (ArithmeticError, ValueError) as error:
        raise NotAffine(str(error)) from error
    if not (np.isfinite(found.scale).all() and np.isfinite(found.offset).all()):
        raise NotAffine("it scales by what is not finite")
    return found


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
    given = values + [named[key] for key in ("x", "y", "x1", "x2") if key in named]
    if last in _SAME and given:
        if any(isinstance(value, str | _Name) and "int" in str(value) for value in [*values[1:], *named.values()]):
            raise NotAffine("it rounds to whole numbers")
        return given[0]
    if last in operations and len(given) == 2:
        return combine(operations[last], *given)
    raise NotAffine(f"it calls {name}")
