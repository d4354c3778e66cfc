"""Samples of a network with several inputs, told apart by input."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from convlens.data.images import read_values
from convlens.errors import ImageError
from convlens.network.inspected import Inspected
from convlens.network.layers import InputSpec


def inputs_apart(network: Inspected, images: Any) -> list[Any]:
    """What each input is given, as `read_images` takes it: a list for several inputs, as it came for one.

    Args:
        images: a sample or a list of them; for several inputs, each is a tuple in their order or a dict by name.

    Raises:
        ImageError: there is none, or one lacks an input or has one too many.
    """
    samples = images if isinstance(images, list) else [images]
    if not samples:
        raise ImageError("no images given; expected at least one")
    if len(network.inputs) == 1 and not isinstance(samples[0], dict):
        return [images]
    names = [spec.name for spec in network.inputs]
    rows = []
    for sample in samples:
        if isinstance(sample, dict) and sorted(sample) == sorted(names):
            rows.append(tuple(sample[name] for name in names))
        elif isinstance(sample, tuple) and len(sample) == len(names):
            rows.append(sample)
        else:
            raise ImageError(_expected(network, sample))
    return [list(column) for column in zip(*rows, strict=True)]


def _expected(network: Inspected, sample: Any) -> str:
    if isinstance(sample, dict):
        received = "those named " + (", ".join(str(name) for name in sample) or "nothing")
    else:
        received = f"{len(sample)} of them" if isinstance(sample, tuple) else "a sample that is none of these"
    count, listed = len(network.inputs), ", ".join(map(str, network.inputs))
    what = f"{network.source} takes {count} inputs" if count > 1 else f"{network.source} takes 1 input"
    return f"{what}, {listed}: a sample is a tuple in this order or a dict by name; received {received}"


def values_for(spec: InputSpec, column: Sequence[Any]) -> np.ndarray:
    """The values of an input that takes no image, float32 (batch, ...).

    Raises:
        ImageError: they cannot be read, or have another shape.
    """
    rows = []
    for value in column:
        values = read_values(value)
        values = values.reshape(1) if values.ndim == 0 and spec.shape in ((1,), (None,)) else values
        fits = values.ndim == len(spec.shape)
        if not fits or any(side not in (None, got) for side, got in zip(spec.shape, values.shape, strict=True)):
            raise ImageError(f"input {spec} was given an array of shape {values.shape}")
        rows.append(values)
    if len({row.shape for row in rows}) > 1:
        shapes = ", ".join(sorted({str(row.shape) for row in rows}))
        raise ImageError(f"input {spec} was given arrays of several shapes: {shapes}; give them one by one")
    return np.stack(rows)
