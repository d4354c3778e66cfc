"""Weights of Keras 3's own format (`model.weights.h5`): values are copied into a file that Keras itself laid out.

The model saves its untrained weights once. What the stranger's file has for the same places, in the same shapes,
replaces them, and Keras loads the outcome: so no value of a wrong shape or size is ever handed to Keras, and what
is missing is known by name.
"""

import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from convlens.errors import ModelError
from convlens.network.loading.safe_hdf5 import attribute, damaged, text

OLD_CONTAINER = "_layer_checkpoint_dependencies"  # what tf.keras 2.12 called `layers`
STATES = ("seed_generator", "optimizer")


def is_keras3_layout(file: h5py.File) -> bool:
    """Whether the weights lie in Keras 3's layout: groups `layers/.../vars`."""
    return any(
        _canonical(key).startswith(("layers/", "vars")) or key in ("layers", OLD_CONTAINER) for key in map(str, file)
    )


def _canonical(path: str) -> str:
    """Windows' tf.keras wrote one group with backslashes in its name for a path."""
    return path.replace("\\", "/").replace(OLD_CONTAINER, "layers")


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    found: dict[str, h5py.Dataset] = {}

    def visit(path: str, entry: Any) -> None:
        if isinstance(entry, h5py.Dataset):
            found[_canonical(path)] = entry

    file.visititems(visit)
    return found


def load_weights(model: Any, file: h5py.File, name: str) -> list[str]:
    """Puts the weights of a file into a built model.

    Returns:
        Warnings, one for all layers without weights.

    Raises:
        ModelError: nothing fits, or weights have another shape than the model's.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.weights.h5"
        model.save_weights(path)
        try:
            notes = _fill(path, _datasets(file), name)
        except (OSError, ValueError, RuntimeError, TypeError) as error:
            raise damaged(name, error) from error
        model.load_weights(path)
    return notes


def _fill(path: Path, given: dict[str, h5py.Dataset], name: str) -> list[str]:
    missing: list[str] = []
    filled = 0
    with h5py.File(path, "r+") as target:
        for place, entry in _datasets(target).items():
            owner = _owner(target, place)
            if place not in given:
                if not any(state in place for state in STATES) and owner not in missing:
                    missing.append(owner)
                continue
            value = given[place]
            if value.shape != entry.shape:
                raise ModelError(
                    f"the weights do not fit: layer {owner} takes {entry.shape}, {name} has {value.shape} at {place};"
                    " give the architecture that the weights are of"
                )
            _replace(target, place, entry, value)
            filled += 1
    if not filled:
        raise ModelError(
            f"no layer of the architecture is in {name} (it has {', '.join(list(given)[:3]) or 'nothing'}); give the"
            " architecture that the weights are of"
        )
    more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
    return [f"no weights in {name} for {', '.join(missing[:8])}{more}: these layers are untrained"] if missing else []


def _owner(target: h5py.File, place: str) -> str:
    """The name of the layer whose variable this is."""
    group = target[place].parent
    found = attribute(group, "name", "") if group is not None else None
    return text(found) if found is not None else place.rsplit("/vars/", 1)[0]


def _replace(target: h5py.File, place: str, entry: h5py.Dataset, value: h5py.Dataset) -> None:
    array = np.asarray(value[()])
    if array.dtype.kind == "V" and array.dtype.itemsize == 2:  # bfloat16: the upper half of a float32
        array = (array.view("uint16").astype("uint32") << 16).view("float32")
    if array.dtype.kind not in "fiub":
        raise ModelError(f"damaged weights: {place} holds no numbers")
    if entry.dtype.kind == "V":
        bits = array.astype("float32").view("uint32")
        array = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("uint16").view(entry.dtype)  # rounds to even
    entry[...] = array.astype(entry.dtype, copy=False)
