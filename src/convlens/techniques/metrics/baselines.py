"""What stands in place of the pixels that a metric removes."""

from typing import TypeAlias

import numpy as np

from convlens.errors import OptionError, near
from convlens.techniques.metrics.inputs import Array

Baseline: TypeAlias = str | np.ndarray
NAMES = ("blur", "mean")
BLUR = 1 / 20  # standard deviation of the blur over the image's longer side


def baseline_image(image: Array, baseline: Baseline) -> tuple[Array, str]:
    """An image without what it shows, and in words how it was made.

    Args:
        image: (height, width, channels), as the network takes it.
        baseline: "blur", a Gaussian with a standard deviation of 1/20 of the longer side; "mean", the mean of each
            channel over the image; or an array that broadcasts to the image, such as black in the network's units.
            Zero is no neutral value: in the network's units it is mostly the mean of all training images.

    Returns:
        float32 (height, width, channels).

    Raises:
        OptionError: an unknown name, or an array that does not fit the image.
    """
    if isinstance(baseline, np.ndarray):
        return _given(image, baseline), "the given array"
    if baseline == "mean":
        mean = image.mean(axis=(0, 1), dtype=np.float64)
        return np.broadcast_to(mean.astype(np.float32), image.shape), "the image's mean colour"
    if baseline == "blur":
        sigma = BLUR * max(image.shape[:2])
        return _blurred(image, sigma), f"the image blurred by {sigma:.3g} pixels"
    raise OptionError(f"unknown baseline {baseline!r}: {near(baseline, NAMES)}, or an array")


def _given(image: Array, baseline: Array) -> Array:
    try:
        return np.broadcast_to(baseline.astype(np.float32), image.shape)
    except ValueError as error:
        raise OptionError(f"a baseline of shape {baseline.shape} for an image of shape {image.shape}") from error


def _blurred(image: Array, sigma: float) -> Array:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(image.astype(np.float32), (sigma, sigma, 0), mode="nearest"))
