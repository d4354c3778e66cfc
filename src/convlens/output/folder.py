"""A run's folder: pictures, arrays and a manifest, put in place whole or not at all."""

import json
import math
import os
import re
import shutil
import tempfile
import time
import zipfile
import zlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from PIL import Image

from convlens.errors import OutputError

MANIFEST = "manifest.json"
LONGEST_NAME = 80
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
WRITERS = os.cpu_count() or 1
WAITING = 2 * WRITERS  # files at most that wait to be written, as each holds its picture in memory
COMPRESSION = 4  # of PNG: above it files hardly shrink and writing takes twice as long


def safe_name(text: str) -> str:
    """A file name for any text: the text itself where it is harmless, else a readable form with a checksum."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._")[:LONGEST_NAME]
    if name.lower().split(".")[0] in RESERVED:  # with any ending, on Windows
        name = f"_{name}"
    if name and name == text:
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
    run keeps what was finished, and its manifest says so; after any other error nothing is left. Pictures and arrays
    are encoded and written by threads, beside what is computed meanwhile.
    """

    def __init__(
        self, out: Path, command: str, overwrite: bool = False, provenance: dict[str, Any] | None = None
    ) -> None:
        self.out = Path(out)
        self._overwrite = overwrite
        self._entries: list[dict[str, Any]] = []
        self._waiting: deque[tuple[Future, dict[str, Any]]] = deque()
        self._status = "running"
        self._head = {"command": command, "provenance": provenance or {}}
        self._notes: dict[str, Any] = {}
        self._failures: list[dict[str, str]] = []

    def __enter__(self) -> "Run":
        check_free(self.out, self._overwrite)
        home = self.out.resolve()
        try:
            home.parent.mkdir(parents=True, exist_ok=True)
            self.folder = Path(tempfile.mkdtemp(prefix=f".{home.name}-", dir=home.parent))
        except OSError as error:
            raise OutputError(
                f"cannot write to {self.out}: {error.strerror or error}; choose another folder"
            ) from error
        self._pool = ThreadPoolExecutor(WRITERS)
        self._head["convlens"] = version("convlens")
        self._head["created"] = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        late: BaseException | None = None
        try:
            self._settle()
        except BaseException as failure:
            late = failure
        self._pool.shutdown()
        why = type(late) if late and kind is None else kind
        if why is None or issubclass(why, KeyboardInterrupt):
            self._status = "complete" if why is None else "interrupted"
            self._put_in_place()
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        if late and kind is None:
            raise late

    def _put_in_place(self) -> None:
        text = json.dumps(self.manifest(), indent=1, ensure_ascii=False, allow_nan=False)
        try:
            (self.folder / MANIFEST).write_text(text, encoding="utf-8")
            os.chmod(self.folder, 0o755)
            check_free(self.out, self._overwrite)
            if self.out.exists():
                self._refill()
            else:
                self.folder.rename(self.out)
        except OSError as error:
            raise OutputError(
                f"cannot write to {self.out}: {error.strerror or error}; choose another folder"
            ) from error
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)  # gone already where all went well

    def _refill(self) -> None:
        """Puts the run into the folder that is there, which may be a link, a mounted disk or the current folder."""
        for old in self.out.iterdir():
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        for new in sorted(self.folder.iterdir(), key=lambda path: path.name == MANIFEST):  # it last: all is there then
            shutil.move(new, self.out / new.name)

    def manifest(self) -> dict[str, Any]:
        """What the run is and holds, as JSON knows it."""
        self._settle()
        whole = {**self._head, "status": self._status, "failures": self._failures}
        return plain({**whole, **self._notes, "files": self._entries})

    def note(self, key: str, value: Any) -> None:
        """A value for the manifest."""
        self._notes[key] = value

    def failure(self, what: str, why: str) -> None:
        """Something that could not be made, for the manifest."""
        self._failures.append({"what": what, "why": why})

    def picture(self, name: str, image: Image.Image, **entry: Any) -> Path:
        """A PNG, under a name of safe parts joined by "/", with what the manifest should say of it; its final path."""
        return self._write(name, entry, partial(image.save, format="PNG", compress_level=COMPRESSION))

    def web_picture(self, name: str, image: Image.Image, exact: bool, **entry: Any) -> str:
        """A WebP for a page: every pixel as it is, or a few times smaller and nearly so; its place in the folder."""
        options = {"lossless": True, "quality": 20, "method": 0} if exact else {"quality": 84, "method": 2}
        path = self._write(name, {"kind": "page", **entry}, partial(image.save, format="WEBP", **options))
        return path.relative_to(self.out).as_posix()

    def array(self, name: str, **arrays: np.ndarray) -> Path:
        """An .npz of arrays; its final path."""
        return self._write(name, {"kind": "arrays"}, partial(_save_arrays, arrays))

    def write_text(self, name: str, text: str, **entry: Any) -> Path:
        """A text in UTF-8; its final path."""
        return self._write(name, entry, lambda file: file.write(text.encode("utf-8")))

    def _write(self, name: str, entry: dict[str, Any], save: Callable[[IO[bytes]], Any]) -> Path:
        """Has a file written by a thread; it gets its name once it is whole."""
        path = self.folder.joinpath(*(safe_name(part) for part in name.split("/")))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._settle(WAITING - 1)
        entry = {"path": path.relative_to(self.folder).as_posix(), **entry}
        self._waiting.append((self._pool.submit(_save, path, save), entry))
        self._entries.append(entry)
        return self.out / entry["path"]

    def _settle(self, left: int = 0) -> None:
        """Waits until at most so many files are still to be written; raises the first error of those that were."""
        failed: BaseException | None = None
        while len(self._waiting) > left:
            future, entry = self._waiting[0]
            wait([future])
            self._waiting.popleft()
            if error := future.exception():
                self._entries = [other for other in self._entries if other is not entry]
                failed = failed or error
        if failed:
            raise failed

    @property
    def files(self) -> list[Path]:
        """The files written, where they are at the end."""
        return [self.out / entry["path"] for entry in self._entries]


def _save(path: Path, save: Callable[[IO[bytes]], Any]) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            save(file)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _save_arrays(arrays: dict[str, np.ndarray], file: IO[bytes]) -> None:
    # not NumPy's own savez, whose level of compression takes twice as long for files that are hardly smaller
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as part:
                np.lib.format.write_array(part, np.asanyarray(array), allow_pickle=False)


def check_free(out: Path, overwrite: bool) -> None:
    """Refuses a folder that holds something, unless it is an earlier run that may be replaced.

    Raises:
        OutputError: it does, or it is no folder.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputError(f"{out} is a file, expected a folder to write to")
    if not os.access(out, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write to {out}: permission denied; choose another folder")
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
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return isinstance(found, dict) and "convlens" in found
    except (OSError, ValueError):
        return False
