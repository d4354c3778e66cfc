"""HDF5 files opened with suspicion: sizes and links are looked at before anything is read."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from convlens.errors import ModelError, reason
from convlens.loading.hdf5.strings import overlong

MAX_OBJECTS = 200_000
MAX_ATTRIBUTE = 1 << 28  # bytes
MAX_CHUNK = 1 << 29
FREE = 1 << 26  # bytes that a dataset may take whatever it stores
RATIO = 100  # how much smaller than its values a compressed dataset may be


@contextmanager
def open_hdf5(source: Path | bytes, name: str) -> Iterator[h5py.File]:
    """An HDF5 file for reading, checked.

    Raises:
        ModelError: it is damaged, refers to other files, or claims sizes that it does not have.
    """
    claim = overlong(source)
    if claim is not None:
        raise ModelError(f"{name} is a damaged HDF5 file ({claim}); get the file again")
    try:
        file = h5py.File(BytesIO(source) if isinstance(source, bytes) else source, "r")
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise damaged(name, error) from error
    with file:
        try:
            _check(file, name)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
            raise damaged(name, error) from error
        yield file


def damaged(name: str, error: Exception) -> ModelError:
    return ModelError(f"{name} is a damaged HDF5 file ({reason(error)}); get the file again")


def _check(file: h5py.File, name: str) -> None:
    waiting: list[tuple[str, Any]] = [("", file)]
    seen: set[Any] = set()
    count = 0
    while waiting:
        path, group = waiting.pop()
        if group.id in seen:  # equal for one group under two names
            continue
        seen.add(group.id)
        for child in group:
            count += 1
            if count > MAX_OBJECTS:
                raise ModelError(f"{name} holds more than {MAX_OBJECTS:,} entries; it is no model")
            inner = f"{path}/{child}"
            link = group.get(child, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise ModelError(f"{name}: {inner} is a link to elsewhere, which a model file does not need; refused")
            entry = group[child]
            if isinstance(entry, h5py.Group):
                waiting.append((inner, entry))
            elif isinstance(entry, h5py.Dataset):
                _check_dataset(entry, inner, name)


def _check_dataset(dataset: h5py.Dataset, path: str, name: str) -> None:
    if dataset.external or dataset.is_virtual:
        raise ModelError(f"{name}: {path} keeps its values in another file; refused")
    size, stored = dataset.size * dataset.dtype.itemsize if dataset.size else 0, dataset.id.get_storage_size()
    if size > FREE and size > RATIO * max(stored, 1):
        raise ModelError(
            f"{name}: {path} claims {size / 1e9:,.1f} GB (shape {dataset.shape}) and stores {stored:,} bytes; refused"
        )
    if dataset.chunks and int(np.prod(dataset.chunks, dtype="float64")) * dataset.dtype.itemsize > MAX_CHUNK:
        raise ModelError(f"{name}: {path} claims blocks of {dataset.chunks}; refused")


def attribute(holder: Any, key: str, name: str) -> Any:
    """An attribute's value, or None; lists that Keras cut into pieces (`key0`, `key1`, ...) are put together.

    Raises:
        ModelError: it claims more bytes than an attribute has.
    """
    try:
        if key in holder.attrs:
            return _attribute(holder, key, name)
        pieces = []
        while f"{key}{len(pieces)}" in holder.attrs:
            pieces.append(_attribute(holder, f"{key}{len(pieces)}", name))
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise damaged(name, error) from error
    return np.concatenate(pieces) if pieces else None


def _attribute(holder: Any, key: str, name: str) -> Any:
    identity = h5py.h5a.open(holder.id, key.encode())
    size = int(np.prod(identity.shape, dtype="float64")) * identity.get_type().get_size()
    if size > MAX_ATTRIBUTE:
        raise ModelError(f"{name}: attribute {key} claims {size:,} bytes; refused")
    return holder.attrs[key]


def texts(value: Any) -> list[str]:
    """An attribute that is a list of names."""
    return [text(part) for part in np.ravel(value)] if value is not None else []


def text(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def json_attribute(holder: Any, key: str, name: str) -> Any:
    """An attribute that is a JSON text, parsed; None where there is none.

    Raises:
        ModelError: it is damaged.
    """
    value = attribute(holder, key, name)
    if value is None:
        return None
    try:
        return json.loads(text(value))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{name}: its {key} is damaged ({str(error)[:80]}); get the file again") from error
