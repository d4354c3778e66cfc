"""A run's folder: pictures, arrays and a manifest, put in place whole or not at all."""

import json
import math
import os
import re
import shutil
import tempfile
import time
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from convlens.errors import OutputError

MANIFEST = "manifest.json"
LONGEST_NAME = 80
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
COMPRESSION = 4  # of PNG: above it files hardly shrink and writing takes twice as long


def safe_name(text: str) -> str:
    """A file name for any text: the text itself where it is harmless, else a readable form with a checksum."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._")[:LONGEST_NAME]
    if name == text and name.lower().split(".")[0] not in RESERVED:
        return name
    return f"{name or 'name'}-{zlib.crc32(text.encode('utf-8', 'surrogatepass')):08x}"


def plain(value: Any) -> Any:
    """A value as JSON knows it: arrays as lists, paths as text, and null for what is not a number."""
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(part) for part in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


class Run:
    """Collects what a run writes, as a context manager.

    Everything goes to a temporary folder beside the one wanted, which takes its place at the end. An interrupted
    run keeps what was finished, and its manifest says so; after any other error nothing is left.
    """

    def __init__(
        self, out: Path, command: str, overwrite: bool = False, provenance: dict[str, Any] | None = None
    ) -> None:
        self.out = Path(out)
        self._overwrite = overwrite
        self._entries: list[dict[str, Any]] = []
        self._status = "running"
        self._head = {"command": command, "provenance": provenance or {}}
        self._notes: dict[str, Any] = {}
        self._failures: list[dict[str, str]] = []

    def __enter__(self) -> "Run":
        check_free(self.out, self._overwrite)
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            self.folder = Path(tempfile.mkdtemp(prefix=f".{self.out.name}-", dir=self.out.parent))
        except OSError as error:
            raise OutputError(
                f"cannot write to {self.out}: {error.strerror or error}; choose another folder"
            ) from error
        self._head["created"] = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, KeyboardInterrupt):
            self._status = "complete" if kind is None else "interrupted"
            self._put_in_place()
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _put_in_place(self) -> None:
        text = json.dumps(self.manifest(), indent=1, ensure_ascii=False)
        (self.folder / MANIFEST).write_text(text, encoding="utf-8")
        try:
            os.chmod(self.folder, 0o755)
            if self.out.exists():
                check_free(self.out, self._overwrite)
                shutil.rmtree(self.out)
            self.folder.rename(self.out)
        except OSError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise OutputError(
                f"cannot write to {self.out}: {error.strerror or error}; choose another folder"
            ) from error

    def manifest(self) -> dict[str, Any]:
        """What the run is and holds, as JSON knows it."""
        from convlens import __version__

        whole = {"convlens": __version__, **self._head, "status": self._status, "failures": self._failures}
        return plain({**whole, **self._notes, "files": self._entries})

    def note(self, key: str, value: Any) -> None:
        """A value for the manifest."""
        self._notes[key] = value

    def failure(self, what: str, why: str) -> None:
        """Something that could not be made, for the manifest."""
        self._failures.append({"what": what, "why": why})

    def picture(self, name: str, image: Image.Image, **entry: Any) -> None:
        """A PNG, under a name of safe parts joined by "/", with what the manifest should say of it."""
        image.save(self._place(name, entry), "PNG", compress_level=COMPRESSION)

    def array(self, name: str, **arrays: np.ndarray) -> None:
        """An .npz of arrays."""
        np.savez_compressed(self._place(name, {"kind": "arrays"}), **arrays)  # pyright: ignore[reportArgumentType]

    def write_text(self, name: str, text: str, **entry: Any) -> None:
        self._place(name, entry).write_text(text, encoding="utf-8")

    def _place(self, name: str, entry: dict[str, Any]) -> Path:
        path = self.folder.joinpath(*(safe_name(part) for part in name.split("/")))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._entries.append({"path": path.relative_to(self.folder).as_posix(), **entry})
        return path

    @property
    def files(self) -> list[Path]:
        """The files written, where they are at the end."""
        return [self.out / entry["path"] for entry in self._entries]


def check_free(out: Path, overwrite: bool) -> None:
    """Refuses a folder that holds something, unless it is an earlier run that may be replaced.

    Raises:
        OutputError: it does, or it is no folder.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputError(f"{out} is a file, expected a folder to write to")
    if not any(out.iterdir()):
        return
    if not overwrite:
        raise OutputError(
            f"folder {out} is not empty; choose another one, or --overwrite to replace an earlier run in it"
        )
    if not _is_run(out):
        raise OutputError(
            f"folder {out} holds other things than an earlier run, so it is not replaced; choose another one"
        )


def _is_run(folder: Path) -> bool:
    try:
        return "convlens" in json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
