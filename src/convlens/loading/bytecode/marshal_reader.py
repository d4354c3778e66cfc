"""Reads marshalled code objects of Python 2.7 and 3.5 to 3.13 as plain data. Nothing is built or run.

Python's own `marshal.loads` trusts its input: hostile bytes can crash the interpreter, and it reads the layout of
its own version alone. This reader is bounded in depth and in the number of objects, and knows every layout.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 50
MAX_OBJECTS = 20_000
MAX_BYTES = 1 << 20


class Unreadable(ValueError):
    """Bytes that are no marshalled object of the layout tried."""


@dataclass(frozen=True)
class Code:
    """A code object as data: what its bytecode needs to be read, under the layout of `version`."""

    version: str
    argcount: int
    instructions: bytes
    consts: tuple[Any, ...]
    names: tuple[str, ...]
    locals: tuple[str, ...]  # before 3.11 the plain locals, from 3.11 on with cells and free variables
    free: tuple[str, ...]
    name: str


# The fields of a code object in each layout; i is a 32-bit integer, o an object.
_TAIL = "code:o consts:o names:o locals:o free:o cells:o filename:o name:o firstlineno:i lines:o"
_LAYOUTS = {
    "2.7": f"argcount:i nlocals:i stack:i flags:i {_TAIL}",
    "3.5": f"argcount:i kwonly:i nlocals:i stack:i flags:i {_TAIL}",
    "3.8": f"argcount:i posonly:i kwonly:i nlocals:i stack:i flags:i {_TAIL}",
    "3.11": "argcount:i posonly:i kwonly:i stack:i flags:i code:o consts:o names:o locals:o kinds:o filename:o name:o"
    " qualname:o firstlineno:i lines:o exceptions:o",
}
# Layouts that several versions share, which the bytecode itself then tells apart.
VERSIONS = {"2.7": ("2.7",), "3.5": ("3.6", "3.5"), "3.8": ("3.8",), "3.11": ("3.13", "3.12", "3.11")}


def read_code(data: bytes, layout: str) -> Code:
    """The code object in these bytes.

    Args:
        data: what `marshal.dumps(function.__code__)` wrote.
        layout: a key of VERSIONS.

    Raises:
        Unreadable: they hold no code object of this layout, or something after it.
    """
    if len(data) > MAX_BYTES:
        raise Unreadable(f"{len(data)} bytes are more than a small function has")
    reader = _Reader(data, layout)
    code = reader.object()
    if not isinstance(code, Code):
        raise Unreadable("no code object")
    if reader.at != len(data):
        raise Unreadable(f"{len(data) - reader.at} bytes after the code object")
    return code


class _Reader:
    def __init__(self, data: bytes, layout: str) -> None:
        self.data, self.layout, self.at = data, layout, 0
        self.references: list[Any] = []
        self.interned: list[str] = []
        self.depth = self.count = 0

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            raise Unreadable(f"truncated at byte {self.at}")
        self.at += size
        return self.data[self.at - size : self.at]

    def integer(self) -> int:
        return struct.unpack("<i", self.take(4))[0]

    def size(self, short: bool = False) -> int:
        return self.take(1)[0] if short else self.integer()

    def object(self) -> Any:
        self.depth += 1
        self.count += 1
        if self.depth > MAX_DEPTH or self.count > MAX_OBJECTS:
            raise Unreadable("nested too deeply or too many objects")
        start, tag = self.at, self.take(1)[0]
        marked, kind = tag & 0x80 and self.layout != "2.7", chr(tag & 0x7F)
        read = _KINDS.get(kind)
        if read is None or (tag & 0x80 and self.layout == "2.7"):
            raise Unreadable(f"unknown type {kind!r} at byte {start}")
        place = len(self.references)
        if marked:
            self.references.append(None)
        value = read(self)
        if marked:
            self.references[place] = value
        self.depth -= 1
        return value

    def several(self, size: int) -> tuple[Any, ...]:
        if size < 0 or size > len(self.data) - self.at:  # every object takes a byte at least
            raise Unreadable(f"truncated at byte {self.at}")
        return tuple(self.object() for _ in range(size))

    def text(self, size: int, encoding: str = "utf-8") -> str:
        try:
            return self.take(size).decode(encoding, "surrogatepass" if encoding == "utf-8" else "strict")
        except UnicodeDecodeError as error:
            raise Unreadable(f"text at byte {self.at}: {error.reason}") from error

    def intern(self) -> str:
        text = self.text(self.integer(), "latin-1" if self.layout == "2.7" else "utf-8")
        self.interned.append(text)
        return text

    def reference(self, pool: list[Any]) -> Any:
        index = self.integer()
        if not 0 <= index < len(pool):
            raise Unreadable(f"reference {index} of {len(pool)}")
        return pool[index]

    def long(self) -> int:
        size = self.integer()
        digits = struct.unpack(f"<{abs(size)}H", self.take(2 * abs(size)))
        return sum(digit << 15 * place for place, digit in enumerate(digits)) * (-1 if size < 0 else 1)

    def double(self) -> float:
        return struct.unpack("<d", self.take(8))[0]

    def written_double(self) -> float:
        try:
            return float(self.text(self.size(short=True), "ascii"))
        except ValueError as error:
            raise Unreadable("a number that is none") from error

    def code(self) -> Code:
        fields: dict[str, Any] = {}
        for field in _LAYOUTS[self.layout].split():
            name, kind = field.split(":")
            fields[name] = self.integer() if kind == "i" else self.object()
        for name in ("code", "consts", "names", "locals", "filename", "name"):
            expected = bytes if name == "code" else tuple if name in ("consts", "names", "locals") else (str, bytes)
            if not isinstance(fields[name], expected):
                raise Unreadable(f"field {name} of a code object is of another kind")
        free = tuple(fields.get("cells", ())) + tuple(fields.get("free", ()))
        return Code(
            self.layout,
            fields["argcount"],
            fields["code"],
            fields["consts"],
            _texts(fields["names"]),
            _texts(fields["locals"]),
            _texts(free),
            _texts((fields["name"],))[0],
        )


def _texts(names: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(name.decode("latin-1") if isinstance(name, bytes) else str(name) for name in names)


def _dictionary(reader: _Reader) -> dict:
    entries = {}
    while reader.data[reader.at : reader.at + 1] != b"0":
        key, value = reader.object(), reader.object()
        try:
            entries[key] = value
        except TypeError as error:
            raise Unreadable("a dictionary key that is none") from error
    reader.take(1)
    return entries


_KINDS: dict[str, Callable[[_Reader], Any]] = {
    "N": lambda r: None,
    "F": lambda r: False,
    "T": lambda r: True,
    "S": lambda r: StopIteration,
    ".": lambda r: Ellipsis,
    "i": _Reader.integer,
    "I": lambda r: struct.unpack("<q", r.take(8))[0],
    "l": _Reader.long,
    "g": _Reader.double,
    "f": _Reader.written_double,
    "y": lambda r: complex(r.double(), r.double()),
    "x": lambda r: complex(r.written_double(), r.written_double()),
    "s": lambda r: r.take(r.integer()),
    "u": lambda r: r.text(r.integer()),
    "t": _Reader.intern,
    "a": lambda r: r.text(r.integer(), "latin-1"),
    "A": lambda r: r.text(r.integer(), "latin-1"),
    "z": lambda r: r.text(r.size(short=True), "latin-1"),
    "Z": lambda r: r.text(r.size(short=True), "latin-1"),
    "(": lambda r: r.several(r.integer()),
    ")": lambda r: r.several(r.size(short=True)),
    "[": lambda r: list(r.several(r.integer())),
    "<": lambda r: r.several(r.integer()),
    ">": lambda r: r.several(r.integer()),
    "{": _dictionary,
    "r": lambda r: r.reference(r.references),
    "R": lambda r: r.reference(r.interned),
    "c": _Reader.code,
}
