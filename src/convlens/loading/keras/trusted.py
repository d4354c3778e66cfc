"""Code that the user vouches for: `custom` objects by name, and, with `trust`, the code of Lambda layers."""

import importlib
import marshal
import sys
from collections.abc import Sequence
from types import CellType, FunctionType
from typing import Any

import keras
import numpy as np

from convlens.errors import ModelError
from convlens.loading.imports import import_object


def custom_objects(entries: Sequence[str]) -> dict[str, Any]:
    """The objects of "module:object" entries, by their names."""
    objects: dict[str, Any] = {}
    for entry in entries:
        value = import_object(entry)
        objects[entry.rpartition(":")[2].rsplit(".", 1)[-1]] = value
        if isinstance(getattr(value, "__name__", None), str):
            objects[value.__name__] = value
    return objects


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
