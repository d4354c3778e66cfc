"""Names of files, for any text, on every system."""

import re
import zlib

LONGEST_NAME = 80
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


def safe_name(text: str) -> str:
    """A file name for any text: the text itself where it is harmless, else a readable form with a checksum."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._")[:LONGEST_NAME]
    if name.lower().split(".")[0] in RESERVED:  # with any ending, on Windows
        name = f"_{name}"
    if name and name == text:
        return name
    return f"{name or 'name'}-{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}"


def safe_place(name: str) -> str:
    """A place in a folder, for parts joined by "/": each of them a safe name."""
    return "/".join(safe_name(part) for part in name.split("/"))
