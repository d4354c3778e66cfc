"""Objects that the user names: "module:object"."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

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
    except Exception as error:
        raise ModelError(f"{text}: importing {module_name} failed: {type(error).__name__}: {error}") from error
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            raise ModelError(f"{text}: {module_name} has no {part}")
        value = getattr(value, part)
    return value


@contextmanager
def _current_folder() -> Iterator[None]:
    """The current folder on the import path, as `python -m` has it."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ImportError(f"no file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # dataclasses and pickles in it look their module up
    spec.loader.exec_module(module)
    return module
