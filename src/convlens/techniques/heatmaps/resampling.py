"""Maps at another size, by the same arithmetic on every backend."""

from typing import Any

import numpy as np


def bilinear(size: int, larger: int) -> np.ndarray:
    """The weights (larger, size) of linear interpolation between the centres of `size` cells, constant beyond the
    outer ones."""
    places = np.clip((np.arange(larger) + 0.5) * size / larger - 0.5, 0, size - 1)
    before = np.minimum(places.astype(int), max(size - 2, 0))
    weights = np.zeros((larger, size), "float32")
    weights[np.arange(larger), before] = 1 - (places - before)
    weights[np.arange(larger), np.minimum(before + 1, size - 1)] += places - before
    return weights


def area(size: int, smaller: int) -> np.ndarray:
    """The weights (smaller, size) of the mean of what lies in each of `smaller` equal parts of `size` cells."""
    edges = np.linspace(0, size, smaller + 1)
    starts, ends = edges[:-1, None], edges[1:, None]
    cells = np.arange(size)[None]
    overlap = np.clip(np.minimum(ends, cells + 1) - np.maximum(starts, cells), 0, None)
    return (overlap / overlap.sum(1, keepdims=True)).astype("float32")


def resampled(maps: Any, rows: np.ndarray, columns: np.ndarray) -> Any:
    """Maps (n, height, width) at another size, by weights (new height, height) and (new width, width)."""
    from keras import ops

    return ops.matmul(ops.matmul(ops.convert_to_tensor(rows), maps), ops.convert_to_tensor(columns.T))
