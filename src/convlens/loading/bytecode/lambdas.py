"""Lambda layers, read without running them: which of them only scale their input, and by what.

The bytecode is walked with symbols on its stack: the input is 1 * x + 0, and every operation gives another
scale * x + offset, a plain number, or an end to the reading.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from convlens.loading.bytecode.affine import Affine, Name, NotAffine, call_named, combine
from convlens.loading.bytecode.instructions import Instruction, readings
from convlens.loading.bytecode.marshal_reader import Code, Unreadable

MAX_STEPS = 2000


_NULL = object()


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
        possible = readings(data)
    except Unreadable as error:
        raise NotAffine(str(error)) from error
    outcomes: list[Affine] = []
    problem: NotAffine | None = None
    for reading in possible:
        try:
            machine = _Machine(reading.code, reading.version, defaults, closure, arguments)
            outcomes.append(machine.run(reading.steps))
        except NotAffine as error:
            problem = problem or error  # that of the likeliest reading
    if not outcomes:
        raise problem or NotAffine("no code")
    if any(repr(outcome) != repr(outcomes[0]) for outcome in outcomes):
        raise NotAffine("its bytecode has several meanings")
    return outcomes[0]


class _Machine:
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
                outcome = self.pop() if step.name == "RETURN_VALUE" else None
                if isinstance(outcome, Affine):
                    return outcome
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
        self.stack += [*before, Name(step.value), *after]

    def attribute(self, step: Instruction) -> None:
        owner = self.pop()
        if not isinstance(owner, Name):
            raise NotAffine(f"it takes {step.value!r} of a value")
        name = Name(f"{owner.text}.{step.value}")
        method = step.name == "LOAD_METHOD" or (self.version in ("3.12", "3.13") and step.number & 1)
        # A method call leaves two entries for the function and its owner; a module's function has no owner.
        self.stack += [name, _NULL] if method else [name]

    def call(self, count: int, keywords: Any) -> None:
        values = self.several(count)
        named = dict(zip(keywords, values[count - len(keywords) :], strict=False)) if keywords else {}
        plain = values[: count - len(named)]
        function = self.pop()
        if function is _NULL:
            function = self.pop()
        elif self.stack and self.stack[-1] is _NULL:
            self.pop()
        if not isinstance(function, Name):
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


def _constant(machine: _Machine, step: Instruction) -> None:
    machine.stack.append(_text(step.value) if isinstance(step.value, bytes) else step.value)


_STEPS: dict[str, Callable[[_Machine, Instruction], Any]] = {
    "RESUME": lambda r, s: None,
    "NOP": lambda r, s: None,
    "PRECALL": lambda r, s: None,
    "COPY_FREE_VARS": lambda r, s: None,
    "LOAD_CONST": _constant,
    "LOAD_FAST": lambda r, s: r.stack.append(r.local(s.value)),
    "LOAD_FAST_CHECK": lambda r, s: r.stack.append(r.local(s.value)),
    "LOAD_FAST_LOAD_FAST": lambda r, s: r.stack.extend(r.local(name) for name in s.value),
    "STORE_FAST": lambda r, s: r.store(s.value),
    "STORE_FAST_LOAD_FAST": _Machine.store_pair,
    "STORE_FAST_STORE_FAST": _Machine.store_pair,
    "LOAD_DEREF": lambda r, s: r.stack.append(r.deref(s.value)),
    "LOAD_GLOBAL": _Machine.look_up,
    "LOAD_ATTR": _Machine.attribute,
    "LOAD_METHOD": _Machine.attribute,
    "PUSH_NULL": lambda r, s: r.stack.append(_NULL),
    "KW_NAMES": _Machine.keep_keywords,
    "CALL": _Machine.call_new,
    "CALL_METHOD": lambda r, s: r.call(s.number, ()),
    "CALL_FUNCTION": _Machine.call_old,
    "CALL_FUNCTION_KW": _Machine.call_keywords,
    "CALL_KW": _Machine.call_keywords,
    "BUILD_TUPLE": lambda r, s: r.stack.append(tuple(r.several(s.number))),
    "BUILD_LIST": lambda r, s: r.stack.append(tuple(r.several(s.number))),
    "LIST_EXTEND": _Machine.extend,
    "UNARY_NEGATIVE": lambda r, s: r.stack.append(combine("MULTIPLY", r.pop(), -1.0)),
    "UNARY_POSITIVE": lambda r, s: r.stack.append(combine("MULTIPLY", r.pop(), 1.0)),
}
