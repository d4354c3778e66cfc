"""Where images come from, as a manifest says it."""

import hashlib
from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from typing import Any

import numpy as np

from convlens.data.images import Photo, ValueRange
from convlens.errors import ImageError
from convlens.network.layers import InputSpec


def origins(
    inputs: Sequence[InputSpec],
    image_input: int,
    photos: Mapping[int, Sequence[Photo]],
    values: Mapping[int, tuple[Sequence[Any], np.ndarray]],
    value_range: ValueRange,
) -> tuple[dict[str, Any], ...]:
    """For each sample its name, the path of its file, the SHA-256 of its numbers as they were read, and how these were
    to be taken; of a network with several inputs also those of each other input.

    Args:
        photos: the images of each input that takes some, by its number.
        values: what was given for each other input, and the arrays that came of it.

    Raises:
        ImageError: one input was given more than another, as by a folder.
    """
    read: dict[int, list[dict[str, Any]]] = {
        number: [{"path": photo.path, "sha256": digest(_numbers(photo))} for photo in column]
        for number, column in photos.items()
    }
    for number, (sources, arrays) in values.items():
        read[number] = [
            {"path": fspath(source) if isinstance(source, str | PathLike) else None, "sha256": digest(array)}
            for source, array in zip(sources, arrays, strict=True)
        ]
    counts = {inputs[number].name: len(column) for number, column in sorted(read.items())}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{count} for {name}" for name, count in counts.items())
        raise ImageError(f"samples need an entry for each input, received {told}; give the files one by one")
    spread = list(value_range) if isinstance(value_range, tuple) else value_range
    listed = []
    for place, photo in enumerate(photos[image_input]):
        entry = {"name": photo.name, **read[image_input][place], "value_range": spread}
        if len(inputs) > 1:
            entry["inputs"] = {spec.name: read[number][place] for number, spec in enumerate(inputs)}
        listed.append(entry)
    return tuple(listed)


def _numbers(photo: Photo) -> np.ndarray:
    return photo.pixels if photo.data is None else photo.data


def digest(array: np.ndarray) -> str:
    """The SHA-256 of an array's bytes, row by row in memory."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
