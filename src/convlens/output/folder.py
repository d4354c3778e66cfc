"""A run's folder: pictures, arrays and a manifest, put in place whole or not at all."""

import json
import os
import shutil
import tempfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from convlens.errors import OutputError
from convlens.output.encoding import Encode
from convlens.output.manifest import MANIFEST
from convlens.output.sink import Writer

WRITERS = os.cpu_count() or 1
WAITING = 2 * WRITERS  # files at most that wait to be written, as each holds its picture in memory


class Folder(Writer):
    """Writes a run to a folder.

    Everything goes to a temporary folder beside the one wanted, which takes its place at the end. Pictures and arrays
    are encoded and written by threads, beside what is computed meanwhile.
    """

    def __init__(self, out: str | Path, command: str, overwrite: bool = False) -> None:
        """
        Args:
            out: the folder, which must be new or empty.
            command: what the run is called in its manifest.
            overwrite: replace an earlier run in the folder.
        """
        super().__init__(command)
        self.out = Path(out)
        self._overwrite = overwrite
        self._waiting: deque[tuple[Future[None], str]] = deque()

    def begin(self) -> None:
        check_free(self.out, self._overwrite)
        home = self.out.resolve()
        try:
            home.parent.mkdir(parents=True, exist_ok=True)
            self.temporary = Path(tempfile.mkdtemp(prefix=f".{home.name}-", dir=home.parent))
        except OSError as error:
            raise self._unwritable(error) from error
        self._pool = ThreadPoolExecutor(WRITERS)

    def put(self, place: str, encode: Encode) -> None:
        """Has a file written by a thread; it gets its name once it is whole."""
        path = self.temporary / place
        path.parent.mkdir(parents=True, exist_ok=True)
        self._settle(WAITING - 1)
        self._waiting.append((self._pool.submit(_save, path, encode), place))

    def settle(self) -> None:
        self._settle(0)

    def _settle(self, left: int) -> None:
        """Waits until at most so many files are still to be written; raises the first error of those that were."""
        failed: BaseException | None = None
        while len(self._waiting) > left:
            future, place = self._waiting[0]
            wait([future])
            self._waiting.popleft()
            if error := future.exception():
                self.manifest.drop(place)
                failed = failed or error
        if failed:
            raise failed

    def finish(self) -> None:
        self._pool.shutdown()
        try:
            (self.temporary / MANIFEST).write_bytes(self.manifest.to_bytes())
            os.chmod(self.temporary, 0o755)
            check_free(self.out, self._overwrite)
            if self.out.exists():
                self._refill()
            else:
                self.temporary.rename(self.out)
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            shutil.rmtree(self.temporary, ignore_errors=True)  # gone already where all went well

    def discard(self) -> None:
        self._pool.shutdown()
        shutil.rmtree(self.temporary, ignore_errors=True)

    def _refill(self) -> None:
        """Puts the run into the folder that is there, which may be a link, a mounted disk or the current folder."""
        for old in self.out.iterdir():
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        # the manifest last: all is there then
        for new in sorted(self.temporary.iterdir(), key=lambda path: path.name == MANIFEST):
            shutil.move(new, self.out / new.name)

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write to {self.out}: {error.strerror or error}; choose another folder")

    @property
    def files(self) -> list[Path]:
        """The files written, where they are at the end."""
        return [self.out / entry["path"] for entry in self.manifest.files]


def _save(path: Path, encode: Encode) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            encode(file)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


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
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return isinstance(manifest, dict) and "convlens" in manifest
    except (OSError, ValueError):
        return False
