"""The files in a Keras zip archive, read in memory."""

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

from convlens.errors import ModelError

MAX_MEMBER = 8 << 30  # bytes of one file in a zip archive


def member_of(path: Path, member: str) -> bytes | None:
    """One file of an archive, in memory: nothing is ever unpacked, so where its names point does not matter."""
    try:
        with zipfile.ZipFile(path) as archive:
            if member not in archive.namelist():
                return None
            info = archive.getinfo(member)
            if info.file_size > MAX_MEMBER or info.file_size > 1000 * max(info.compress_size, 1 << 16):
                raise ModelError(f"{path}: {member} claims {info.file_size:,} bytes of {info.compress_size:,}; refused")
            return archive.read(info)
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise ModelError(f"{path} is a damaged Keras file ({member}: {error}); get the file again") from error


def json_member(path: Path, member: str) -> Any:
    """What a file of JSON in an archive says; None where there is no such file."""
    data = member_of(path, member)
    if data is None:
        return None
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is a damaged Keras file ({member}: {str(error)[:80]}); get the file again") from error


def writer_version(path: Path) -> str | None:
    """The version of Keras that wrote an archive, where it says it."""
    metadata = json_member(path, "metadata.json")
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    return version if isinstance(version, str) else None
