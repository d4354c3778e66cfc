"""Protocol buffers, as far as telling one kind of file from another needs it: which fields a message has."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_FIELDS = 10_000
START = 64  # bytes of a field that are shown


@dataclass(frozen=True)
class Field:
    """One field of a message: its number, its wire type, and the first bytes of its content."""

    number: int
    wire: int
    start: bytes


def fields(path: Path) -> list[Field]:
    """The outermost fields of a file that is one message.

    Returns:
        an empty list where the file is no message.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            return list(_fields(file, size))
        except ValueError:
            return []


def _fields(file: BinaryIO, size: int) -> Iterator[Field]:
    for _ in range(MAX_FIELDS):
        if file.tell() >= size:
            return
        key = _varint(file)
        number, wire = key >> 3, key & 7
        if not 0 < number < 2**29 or wire not in (VARINT, FIXED64, BYTES, FIXED32):
            raise ValueError("no field")
        if wire == VARINT:
            yield Field(number, wire, _varint(file).to_bytes(10, "little"))
            continue
        length = _varint(file) if wire == BYTES else 8 if wire == FIXED64 else 4
        end = file.tell() + length
        if end > size:
            raise ValueError("longer than the file")
        yield Field(number, wire, file.read(min(length, START)))
        file.seek(end)


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("cut off")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("no number")
