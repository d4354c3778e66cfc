"""The lengths that strings in an HDF5 file claim, compared to the file before the HDF5 library believes them.

A string of variable length is stored as its length and its place. The library allocates that length first and
notices afterwards that it is wrong, so that one changed byte can cost gigabytes. The attributes that are going to be
read are therefore found in the raw bytes of the file, and their lengths are looked at. (The layout is that of the
HDF5 file format specification, version 3, section IV.A.2.m.)
"""

import mmap
import re
from pathlib import Path

READ = re.compile(rb"(?:model_config|keras_version|backend|(?:layer|weight)_names\d{0,4})\x00")
VARIABLE = 9  # the class of datatypes of variable length
ENTRY = 16  # bytes: length, place of the heap, number in it


def overlong(source: Path | bytes) -> str | None:
    """The first attribute that claims more bytes than the file has, in words; None if all are plausible."""
    if isinstance(source, bytes):
        return _overlong(source, len(source))
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _overlong(data, len(data))


def _overlong(data: "bytes | mmap.mmap", size: int) -> str | None:
    for name in READ.finditer(data):
        for place in _entries(data, name.start(), name.end() - name.start()):
            length = _number(data, place, 4)
            if length > size:
                return f"{name.group()[:-1].decode()} claims {length:,} bytes in a file of {size:,}"
    return None


def _number(data: "bytes | mmap.mmap", place: int, size: int) -> int:
    return int.from_bytes(data[place : place + size], "little")


def _entries(data: "bytes | mmap.mmap", name: int, length: int) -> range:
    """Where the strings of the attribute are described whose name stands at a place; empty for fixed lengths."""
    for version, header in ((1, 8), (2, 8), (3, 9)):
        start = name - header
        if start < 0 or data[start] != version or _number(data, start + 2, 2) != length:
            continue

        def padded(size: int, unit: int = 8 if version == 1 else 1) -> int:
            return -(-size // unit) * unit

        kind = name + padded(length)
        space = kind + padded(_number(data, start + 4, 2))
        first = space + padded(_number(data, start + 6, 2))
        if first > len(data) or data[kind] & 15 != VARIABLE:
            return range(0)
        rank, sides = data[space + 1], space + (8 if data[space] == 1 else 4)
        count = 1
        for axis in range(rank):
            count *= _number(data, sides + 8 * axis, 8)
        return range(first, min(first + ENTRY * count, len(data) - ENTRY), ENTRY)
    return range(0)
