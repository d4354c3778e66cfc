"""Code that the user vouches for: `custom` objects by name, and, with `trust`, the code of Lambda layers."""

import importlib
import importlib.util
import marshal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CellType, FunctionType
from typing import Any

import keras
import numpy as np

from convlens.errors import ModelError


def import_object(text: str) -> Any:
    """The object of "module:object" or "file.py:object"; modules are also looked for in the current folder.

    Raises:
        ModelError: no such module, or nothing of this name in it.
    """
    module_name, _, name = text.rpartition(":")
    if not module_name or not name:
        raise ModelError(f"expected module:object, got {text!r}")
    try:
        if module_name.endswith(".py"):
            module = _from_file(Path(module_name))
        else:
            with _current_folder():
                module = importlib.import_module(module_name)
    except ImportError as error:
        raise ModelError(f"{text}: the module {module_name} cannot be imported ({error})") from error
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise ModelError(f"{text}: {module_name} has no {part}")
        found = getattr(found, part)
    return found


class _current_folder:
    """The current folder on the import path, as `python -m` has it."""

    def __enter__(self) -> None:
        self.folder = str(Path.cwd())
        sys.path.insert(0, self.folder)

    def __exit__(self, *_: Any) -> None:
        if self.folder in sys.path:
            sys.path.remove(self.folder)


def _from_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module


def custom_objects(entries: Sequence[str]) -> dict[str, Any]:
    """The objects of "module:object" entries, by their names."""
    found: dict[str, Any] = {}
    for entry in entries:
        value = import_object(entry)
        found[entry.rpartition(":")[2].rsplit(".", 1)[-1]] = value
        if isinstance(getattr(value, "__name__", None), str):
            found[value.__name__] = value
    return found


def run_lambda(name: str | None, data: bytes, defaults: Any, closure: Any, arguments: dict[str, Any]) -> Any:
    """A Lambda layer that runs the code in the file. Only for files that the user trusts.

    Raises:
        ModelError: the code was written by another version of Python.
    """
    known: dict[str, Any] = {"keras": keras, "K": keras.ops, "ops": keras.ops, "np": np, "numpy": np}
    if keras.backend.backend() == "tensorflow":
        known["tf"] = importlib.import_module("tensorflow")
    try:
        code = marshal.loads(data)
        cells = tuple(CellType(value) for value in closure or ())
        function = FunctionType(code, known, code.co_name, tuple(defaults) if defaults else None, cells or None)
    except (ValueError, EOFError, TypeError, AttributeError) as error:
        raise ModelError(
            f"the code of the Lambda layer {name} is of another version of Python than this one"
            f" ({sys.version_info.major}.{sys.version_info.minor}): {error}; open the file with that version"
        ) from error
    return keras.layers.Lambda(function, name=name, arguments=arguments)
