"""The matrix of writers and architectures: files of Keras as each version of it writes them, for the tests.

    python tools/keras_writers.py FOLDER                   # all writers, then tests/fixtures/keras_writers.tar.xz
    python tools/keras_writers.py FOLDER --only 2.13 3.5   # these anew, the others as they lie in FOLDER

FOLDER keeps an environment for each writer (about 10 GB in all) and what it wrote, FOLDER/files/VERSION/NAME.keras and
so on; see keras_architectures.py, which is run there. Environments that exist are used again. Run it with Python 3.11,
the only one that all writers share.
"""

import argparse
import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

TENSORFLOW = ("2.12", "2.13", "2.14", "2.15")  # each with its own Keras
KERAS = tuple(f"3.{minor}" for minor in range(16))
JAX = ("jax==0.4.30", "jaxlib==0.4.30", "numpy<2", "dm-tree")  # what Keras 3.0 to 3.15 all run on
SCRIPT = Path(__file__).with_name("keras_architectures.py")
FIXTURE = Path(__file__).parents[1] / "tests" / "fixtures" / "keras_writers.tar.xz"


def environment(folder: Path, *packages: str) -> Path:
    """The Python of an environment with these packages, made if it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
    return python


def interpreter(folder: Path, version: str) -> tuple[Path, dict[str, str]]:
    """The Python that runs a writer, and the variables of its environment."""
    if version in TENSORFLOW:
        return environment(folder / f"tensorflow-{version}", f"tensorflow-cpu=={version}.*"), {}
    python = environment(folder / "keras-3", *JAX, f"keras=={KERAS[-1]}.*")
    keras = folder / f"keras-{version}"
    if not keras.exists():
        wanted = ["--no-deps", "--target", keras, f"keras=={version}.*"]
        subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
    return python, {"KERAS_BACKEND": "jax", "PYTHONPATH": str(keras)}


def write(folder: Path, version: str) -> None:
    """Has a writer write all its files."""
    python, variables = interpreter(folder, version)
    out = folder / "files" / version
    out.mkdir(parents=True, exist_ok=True)
    for old in out.iterdir():
        old.unlink()
    subprocess.run([python, "-W", "ignore", SCRIPT, out], env=os.environ | variables, check=True)


def pack(folder: Path, target: Path) -> None:
    """All files in one archive, those of an architecture side by side: they hold the same weights."""
    files = [path for path in (folder / "files").rglob("*.*") if path.is_file()]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w:xz", preset=9) as archive:
        for path in sorted(files, key=lambda path: (path.name, path.parent.name)):
            entry = archive.gettarinfo(path, f"{path.parent.name}/{path.name}")
            entry.mtime = entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            with path.open("rb") as content:
                archive.addfile(entry, content)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where environments and files are kept")
    parser.add_argument("--only", nargs="+", default=[*TENSORFLOW, *KERAS], metavar="VERSION", help="these writers")
    parser.add_argument("--out", type=Path, default=FIXTURE, help="the archive")
    options = parser.parse_args()
    if sys.version_info[:2] != (3, 11):
        parser.error(f"this is Python {sys.version_info.major}.{sys.version_info.minor}; run it with Python 3.11")
    for version in options.only:
        write(options.folder.resolve(), version)
        print(f"{version} is written")
    pack(options.folder, options.out)
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
