"""Gradients at images with noise added: their mean, the mean of their squares, and their variance."""

from collections.abc import Callable
from typing import Any

import numpy as np

from convlens.backend.arrays import numpy_arrays
from convlens.techniques.attributions.gradients import taken
from convlens.techniques.attributions.settings import Maps, Settings
from convlens.techniques.probe import ClassProbe

ROUNDING = 1e-12  # of the largest gradient, squared: float32 has seven digits


def smoothgrad(probe: ClassProbe, settings: Settings) -> Maps:
    """The mean of g at x + noise. Smilkov et al. 2017, arXiv 1706.03825."""
    (total,) = _sums(probe, settings, lambda gradients: (gradients,))
    return Maps(total / settings["samples"])


def squaregrad(probe: ClassProbe, settings: Settings) -> Maps:
    """The mean of g squared at x + noise. Hooker et al. 2018, arXiv 1806.10758."""
    (total,) = _sums(probe, settings, lambda gradients: (gradients * gradients,))
    return Maps(total / settings["samples"])


def vargrad(probe: ClassProbe, settings: Settings) -> Maps:
    """The variance of g at x + noise. Adebayo et al. 2018, arXiv 1810.03307.

    Taken of the differences to the first sample's gradient, which cost no more and round less than squares of g. What
    is no more than the rounding of g is 0.
    """
    from keras import ops

    count = settings["samples"]
    first = probe.gradients_at(_noisy(probe, settings, np.arange(len(probe.inputs)), np.zeros(len(probe.inputs), int)))

    def terms(gradients: Any, images: np.ndarray) -> tuple[Any, ...]:
        apart = gradients - ops.take(first, images.astype("int32"), axis=1)
        return apart, apart * apart

    total, squares = _sums(probe, settings, terms, with_images=True)
    variance = squares / count - (total / count) * (total / count)
    largest: Any = ops.max(first * first, axis=(2, 3, 4), keepdims=True)
    return Maps(ops.where(variance > ROUNDING * largest, variance, 0.0))


def _sums(
    probe: ClassProbe, settings: Settings, terms: Callable[..., tuple[Any, ...]], with_images: bool = False
) -> list[Any]:
    def run(images: np.ndarray, numbers: np.ndarray) -> tuple[Any, ...]:
        gradients = probe.gradients_at(_noisy(probe, settings, images, numbers), images)
        return terms(gradients, images) if with_images else terms(gradients)

    return probe.sum_of_variants(settings["samples"], run)


def _noisy(probe: ClassProbe, settings: Settings, images: np.ndarray, numbers: np.ndarray) -> Any:
    """Images with noise, (n, height, width, channels).

    The noise is normal, with the deviation that the settings say as a share of each image's range, from its least to
    its greatest value.
    """
    return taken(probe.inputs, images) + noise(probe, settings, images, numbers)


def noise(probe: ClassProbe, settings: Settings, images: np.ndarray, numbers: np.ndarray) -> Any:
    """What is added to images in their variants of these numbers, (n, height, width, channels)."""
    from keras import ops

    shape = probe.inputs.shape[1:]
    low, high = numpy_arrays(ops.min(probe.inputs, axis=(1, 2, 3)), ops.max(probe.inputs, axis=(1, 2, 3)))
    deviation = (settings["noise"] * (high - low)).astype("float32")[images, None, None, None]
    drawn = {n: settings.drawn("noise", n).standard_normal(shape, "float32") for n in np.unique(numbers).tolist()}
    return ops.convert_to_tensor(np.stack([drawn[n] for n in numbers.tolist()]) * deviation)
