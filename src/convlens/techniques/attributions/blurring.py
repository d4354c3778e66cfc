"""Images without their fine structure, by the same arithmetic on every backend."""

from typing import Any

import numpy as np

CUT = 4.0  # deviations at which the bell curve ends


def bell(size: int, deviation: float) -> np.ndarray:
    """The weights (size, size) of a Gaussian blur along one axis, which goes on mirrored beyond its ends.

    Args:
        size: of the axis.
        deviation: of the bell curve, in pixels; 0 for no blur.
    """
    if deviation <= 0:
        return np.eye(size, dtype="float32")
    reach = int(CUT * deviation + 0.5)
    curve = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    places = (np.arange(size)[:, None] + np.arange(-reach, reach + 1)) % (2 * size)
    weights = np.zeros((size, size))
    np.add.at(weights, (np.arange(size)[:, None], np.minimum(places, 2 * size - 1 - places)), curve / curve.sum())
    return weights.astype("float32")


def blurred(images: Any, rows: np.ndarray, columns: np.ndarray) -> Any:
    """Images (n, height, width, channels) through weights of `bell` for rows and columns: one pair for all, or (n, ...)
    of them."""
    from keras import ops

    each = "n" if rows.ndim == 3 else ""
    down = ops.einsum(f"{each}yh,nhwc->nywc", ops.convert_to_tensor(rows), images)
    return ops.einsum(f"{each}xw,nywc->nyxc", ops.convert_to_tensor(columns), down)
