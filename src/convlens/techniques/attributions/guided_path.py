"""Integrated gradients on a path of the network's own choice."""

from typing import Any

import numpy as np

from convlens.backend.arrays import numpy_arrays
from convlens.techniques.attributions.paths import gain
from convlens.techniques.attributions.settings import Maps, Settings
from convlens.techniques.probe import ClassProbe

FRACTION = 0.25  # of the values, those of the smallest gradients, that may move in a part of a step
BAND = 0.02  # how far a value may be from where it is on the straight path, as a share of it


def guided_ig(probe: ClassProbe, settings: Settings) -> Maps:
    """The sum of g dx on a path that moves the values with the smallest gradients first.

    Kapishnikov et al. 2021, arXiv 2106.09788, anchored to the straight path: after each step the distance that is left
    is that of the straight path, and no value is further from it than a fiftieth of its way. The paper takes g where a
    step begins; here it is the mean of there and where the step ends, which costs nothing: the values that move are
    those whose g was small, so that the sum would fall short of the score's change. Of several baselines it is the
    mean. Every target has a path of its own.
    """
    from keras import ops

    (ends,) = numpy_arrays(probe.inputs)
    maps, targets = [], probe.values.shape[0]
    images = np.tile(np.arange(len(ends)), targets)
    own = np.repeat(np.arange(targets), len(ends)), np.arange(len(images))

    def slopes_at(places: np.ndarray) -> np.ndarray:
        (gradients,) = numpy_arrays(probe.gradients_at(ops.convert_to_tensor(places.astype("float32")), images))
        return gradients[own].astype("float64")

    for base in settings.baselines.values():
        start, end = numpy_arrays(base)[0][images].astype("float64"), ends[images].astype("float64")
        at, total, slopes = start, np.zeros_like(start), slopes_at(start)
        for step in range(settings["steps"]):
            share = (step + 1) / settings["steps"]
            rows = zip(at, start, end, slopes, strict=True)
            moved = np.stack([moved_on(*row, share) for row in rows])
            before, slopes = slopes, slopes_at(moved)
            total += (before + slopes) / 2 * (moved - at)
            at = moved
        maps.append(total.reshape(targets, *ends.shape))
    values: Any = ops.convert_to_tensor(np.mean(maps, axis=0).astype("float32"))
    return Maps(values, gain(probe, list(settings.baselines.values())))


def moved_on(at: np.ndarray, start: np.ndarray, end: np.ndarray, slope: np.ndarray, share: float) -> np.ndarray:
    """An image after one step.

    Args:
        at: where it is between `start` and `end`, all of one shape.
        slope: the gradient there.
        share: of the way that is done after the step.
    """
    way = end - start
    left = np.abs(way).sum() * (1 - share)  # the distance to the end after the step
    least, most = (start + way * np.clip(share + side, 0, 1) for side in (-BAND, BAND))
    behind = np.abs(end - at) > np.abs(end - least)
    at = np.where(behind, least, at)
    waiting = np.abs(end - at) > np.abs(end - most)  # those that may still move
    while waiting.any() and (rest := np.abs(end - at).sum() - left) > 1e-9 * max(np.abs(way).sum(), 1e-30):
        sizes = np.abs(slope)[waiting]
        bound = np.partition(sizes, int(FRACTION * (len(sizes) - 1)))[int(FRACTION * (len(sizes) - 1))]
        chosen = waiting & (np.abs(slope) <= bound)
        if not chosen.any():  # slopes that are no numbers
            chosen = waiting
        reach = np.abs(most - at)[chosen].sum()
        at = np.where(chosen, at + (most - at) * min(rest / reach, 1.0), at)
        waiting = waiting & ~chosen
    return at
