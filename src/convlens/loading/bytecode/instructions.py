"""Marshalled functions -> instructions with names, for every Python from 2.7 and 3.5 to 3.13."""

from dataclasses import dataclass
from typing import Any

from convlens.errors import listing
from convlens.loading.bytecode.marshal_reader import VERSIONS, Code, Unreadable, read_code

_TO_3_12 = {
    "POP_TOP": 1, "ROT_TWO": 2, "DUP_TOP": 4, "NOP": 9, "UNARY_POSITIVE": 10, "UNARY_NEGATIVE": 11,
    "BINARY_SUBSCR": 25, "GET_ITER": 68, "RETURN_VALUE": 83, "FOR_ITER": 93, "STORE_GLOBAL": 97, "LOAD_CONST": 100,
    "LOAD_NAME": 101, "BUILD_TUPLE": 102, "BUILD_LIST": 103, "BUILD_MAP": 105, "LOAD_ATTR": 106, "COMPARE_OP": 107,
    "IMPORT_NAME": 108, "IMPORT_FROM": 109, "JUMP_FORWARD": 110, "POP_JUMP_IF_FALSE": 114, "LOAD_GLOBAL": 116,
    "LOAD_FAST": 124, "STORE_FAST": 125, "MAKE_FUNCTION": 132, "BUILD_SLICE": 133, "CALL_FUNCTION_EX": 142,
    "EXTENDED_ARG": 144,
}  # fmt: skip
_TO_3_10 = _TO_3_12 | {
    "BINARY_POWER": 19, "BINARY_MULTIPLY": 20, "BINARY_MODULO": 22, "BINARY_ADD": 23, "BINARY_SUBTRACT": 24,
    "BINARY_FLOOR_DIVIDE": 26, "BINARY_TRUE_DIVIDE": 27, "INPLACE_TRUE_DIVIDE": 29, "INPLACE_ADD": 55,
    "INPLACE_SUBTRACT": 56, "INPLACE_MULTIPLY": 57, "CALL_FUNCTION": 131, "LOAD_CLOSURE": 135, "LOAD_DEREF": 136,
    "CALL_FUNCTION_KW": 141,
}  # fmt: skip
_FROM_3_11 = {
    "CACHE": 0, "PUSH_NULL": 2, "SWAP": 99, "COPY": 120, "BINARY_OP": 122, "MAKE_CELL": 135, "LOAD_CLOSURE": 136,
    "LOAD_DEREF": 137, "COPY_FREE_VARS": 149, "RESUME": 151, "LIST_EXTEND": 162, "CALL": 171, "KW_NAMES": 172,
}  # fmt: skip
_3_13 = {
    "CACHE": 0, "BINARY_SLICE": 4, "BINARY_SUBSCR": 5, "GET_ITER": 19, "MAKE_FUNCTION": 26, "NOP": 30, "POP_TOP": 32,
    "PUSH_NULL": 34, "RETURN_VALUE": 36, "UNARY_NEGATIVE": 42, "BINARY_OP": 45, "BUILD_LIST": 47, "BUILD_MAP": 48,
    "BUILD_SLICE": 50, "BUILD_TUPLE": 52, "CALL": 53, "CALL_FUNCTION_EX": 54, "CALL_INTRINSIC_1": 55, "CALL_KW": 57,
    "COMPARE_OP": 58, "COPY": 61, "COPY_FREE_VARS": 62, "EXTENDED_ARG": 71, "FOR_ITER": 72, "IMPORT_FROM": 74,
    "IMPORT_NAME": 75, "JUMP_FORWARD": 79, "LIST_EXTEND": 81, "LOAD_ATTR": 82, "LOAD_CONST": 83, "LOAD_DEREF": 84,
    "LOAD_FAST": 85, "LOAD_FAST_CHECK": 87, "LOAD_FAST_LOAD_FAST": 88, "LOAD_GLOBAL": 91, "LOAD_NAME": 92,
    "MAKE_CELL": 94, "POP_JUMP_IF_FALSE": 97, "RETURN_CONST": 103, "STORE_FAST": 110, "STORE_FAST_LOAD_FAST": 111,
    "STORE_FAST_STORE_FAST": 112, "STORE_GLOBAL": 113, "SWAP": 115, "RESUME": 149,
}  # fmt: skip
_METHODS = {"LOAD_METHOD": 160, "CALL_METHOD": 161}
_OPCODES = {
    "2.7": _TO_3_10 | {"BINARY_DIVIDE": 21, "INPLACE_DIVIDE": 58, "CALL_FUNCTION_KW": 141, "EXTENDED_ARG": 145},
    "3.5": _TO_3_10,
    "3.6": _TO_3_10 | _METHODS,
    "3.8": _TO_3_10 | _METHODS | {"LIST_EXTEND": 162},
    "3.11": _TO_3_12 | _FROM_3_11 | {"LOAD_METHOD": 160, "PRECALL": 166},
    "3.12": _TO_3_12
    | _FROM_3_11
    | {"BINARY_SLICE": 26, "RETURN_CONST": 121, "LOAD_FAST_CHECK": 127, "CALL_INTRINSIC_1": 173},
    "3.13": _3_13,
}
_NAMES = {version: {number: name for name, number in table.items()} for version, table in _OPCODES.items()}
_BINARY_OPS = ("ADD", "AND", "FLOOR_DIVIDE", "LSHIFT", "MATMUL", "MULTIPLY", "MODULO", "OR", "POWER", "RSHIFT",
               "SUBTRACT", "TRUE_DIVIDE", "XOR")  # fmt: skip
_OF_NAMES = (
    "LOAD_GLOBAL",
    "LOAD_NAME",
    "LOAD_ATTR",
    "LOAD_METHOD",
    "IMPORT_NAME",
    "IMPORT_FROM",
    "STORE_GLOBAL",
)
_OF_LOCALS = ("LOAD_FAST", "STORE_FAST", "LOAD_FAST_CHECK")
_PAIRS = ("LOAD_FAST_LOAD_FAST", "STORE_FAST_LOAD_FAST", "STORE_FAST_STORE_FAST")


@dataclass(frozen=True)
class Instruction:
    """One operation: its name, its number, and what the number stands for (a constant, a name) where it does."""

    name: str
    number: int
    value: Any = None

    def __str__(self) -> str:
        shown = f" {self.value!r}" if self.value is not None else f" {self.number}" if self.number else ""
        return self.name + (shown if len(shown) < 60 else shown[:57] + "...")


@dataclass(frozen=True)
class Reading:
    """One way to read a marshalled function: its code, the version of Python it is for, and its instructions."""

    code: Code
    version: str
    steps: list[Instruction]


def readings(data: bytes) -> list[Reading]:
    """Every way to read a marshalled function, the likeliest first.

    Raises:
        Unreadable: there is none.
    """
    possible: list[Reading] = []
    problem: Unreadable | None = None
    for layout, versions in VERSIONS.items():
        try:
            code = read_code(data, layout)
        except Unreadable as error:
            problem = problem or error
            continue
        for version in versions:
            try:
                possible.append(Reading(code, version, _decode(code, version)))
            except Unreadable as error:
                problem = error
    if not possible:
        raise problem or Unreadable("no code object")
    return sorted(possible, key=lambda reading: sum(step.name.startswith("op ") for step in reading.steps))


def disassembly(data: bytes, limit: int = 24) -> str:
    """The instructions of a marshalled function on one line, under the likeliest version of Python."""
    try:
        likeliest = readings(data)[0]
    except Unreadable as error:
        return f"unreadable bytecode ({error})"
    steps = [step for step in likeliest.steps if step.name not in ("RESUME", "CACHE", "PRECALL", "NOP")]
    return f"Python {likeliest.version}: " + listing(steps, limit, "; ")


def _decode(code: Code, version: str) -> list[Instruction]:
    names, steps, at, extended = _NAMES[version], [], 0, 0
    wide = version in ("2.7", "3.5")  # before 3.6 an operation takes one byte, or three with an argument
    data = code.instructions
    if not wide and len(data) % 2:
        raise Unreadable("an odd number of bytes")
    while at < len(data):
        operation = data[at]
        if wide:
            size = 3 if operation >= 90 else 1
            number = int.from_bytes(data[at + 1 : at + size], "little") | extended << 16
        else:
            size, number = 2, data[at + 1] | extended << 8
        name = names.get(operation, f"op {operation}")
        at += size
        extended = number if name == "EXTENDED_ARG" else 0
        if name in ("EXTENDED_ARG", "CACHE"):
            continue
        steps.append(Instruction(name, number, _meaning(code, version, name, number)))
    return steps


def _meaning(code: Code, version: str, name: str, number: int) -> Any:
    """What the number of an instruction stands for."""
    modern = version in ("3.11", "3.12", "3.13")
    if name in ("LOAD_CONST", "RETURN_CONST", "KW_NAMES"):
        constant = _at(code.consts, number)
        return "None" if constant is None else constant
    if name in _OF_LOCALS:
        return _at(code.locals, number)
    if name in _PAIRS:
        return _at(code.locals, number >> 4), _at(code.locals, number & 15)
    if name == "LOAD_DEREF":
        return _at(code.locals if modern else code.free, number)
    if name in _OF_NAMES:
        flagged = (name == "LOAD_GLOBAL" and modern) or (name == "LOAD_ATTR" and version in ("3.12", "3.13"))
        return _at(code.names, number >> 1 if flagged else number)
    if name == "BINARY_OP":
        return _at(_BINARY_OPS, number % 13)
    return None


def _at(values: tuple[Any, ...], index: int) -> Any:
    if index >= len(values):
        raise Unreadable(f"argument {index} of {len(values)}")
    return values[index]
