"""Scores with parts of the image taken away, by forward passes alone."""

import math
from typing import Any

import numpy as np

from convlens.errors import OptionError
from convlens.techniques.attributions.gradients import taken
from convlens.techniques.attributions.settings import Maps, Settings
from convlens.techniques.heatmaps.resampling import bilinear
from convlens.techniques.probe import ClassProbe

PATCH = 8  # patches along the shorter side, where no size is told
CELLS, KEPT = 7, 0.5  # of RISE's masks: cells a side, and the chance that one is kept


def occlusion(probe: ClassProbe, settings: Settings) -> Maps:
    """y(x) - y(x with a patch of the baseline), averaged over the patches that cover a pixel.

    Zeiler and Fergus 2013, arXiv 1311.2901, section 4.2. The patches stand a stride apart, and flush with the far
    borders, so that every pixel is covered. Of several baselines it is the mean.
    """
    from keras import ops

    height, width = probe.inputs.shape[1:3]
    patch = settings["patch"] or max(min(height, width) // PATCH, 1)
    stride = settings["stride"] or max(patch // 2, 1)
    if patch > min(height, width) or stride > patch:
        raise OptionError(
            f"patch {patch}, stride {stride}: expected a patch of at most {min(height, width)} pixels, the image's"
            f" shorter side, and a stride of at most {patch}, so that every pixel is covered"
        )
    tops, lefts = (starts(side, patch, stride) for side in (height, width))
    rows, columns = (
        np.array([[first <= at < first + patch for at in range(side)] for first in firsts], "float32")
        for side, firsts in ((height, tops), (width, lefts))
    )
    count = len(tops) * len(lefts)
    probe.notes.append(f"occlusion: patches of {patch} x {patch} pixels, {stride} apart, {count} of them")
    covered = ops.convert_to_tensor((rows.sum(0)[:, None] * columns.sum(0))[..., None])
    scores, maps = _columns(probe.scores(probe.inputs)), []
    for base in settings.baselines.values():

        def terms(images: np.ndarray, numbers: np.ndarray, base: Any = base) -> tuple[Any]:
            row, column = np.divmod(numbers, len(lefts))
            at = ops.convert_to_tensor((rows[row][:, :, None] * columns[column][:, None])[..., None])
            image = taken(probe.inputs, images)
            hidden = probe.scores(image + at * (taken(base, images) - image), images)
            return ((ops.take(scores, images.astype("int32"), axis=1) - _columns(hidden)) * at,)

        (total,) = probe.sum_of_variants(count, terms)
        maps.append(total / covered)
    return Maps(sum(maps) / len(maps))


def starts(side: int, patch: int, stride: int) -> list[int]:
    """Where patches begin along a side."""
    found = list(range(0, side - patch + 1, stride))
    return found if found[-1] + patch == side else [*found, side - patch]


def rise(probe: ClassProbe, settings: Settings) -> Maps:
    """The mean of y(x m + b (1 - m)), weighted by the masks m at each pixel, minus its mean over all masks.

    Petsiuk et al. 2018, arXiv 1806.07421, equation 6: the sum over masks is divided by the masks' own sum at the pixel,
    of which the paper takes the expectation. Its map is above 0 everywhere for a probability; the mean score of the
    masked images is subtracted here, so that 0 means that the pixel makes no difference.
    """
    from keras import ops

    count, sides = settings["samples"], probe.inputs.shape[1:3]
    ways = [bilinear(CELLS + 1, (CELLS + 1) * math.ceil(side / CELLS)) for side in sides]
    maps = []
    for base in settings.baselines.values():

        def terms(images: np.ndarray, numbers: np.ndarray, base: Any = base) -> tuple[Any, Any, Any]:
            each = {n: mask(settings.drawn("mask", n), ways, sides) for n in np.unique(numbers).tolist()}
            kept: Any = ops.convert_to_tensor(np.stack([each[n] for n in numbers.tolist()])[..., None])
            start = taken(base, images)
            scores: Any = _columns(probe.scores(start + kept * (taken(probe.inputs, images) - start), images))
            return scores * kept, ops.ones_like(scores) * kept, scores

        weighted, weights, scores = probe.sum_of_variants(count, terms)
        mean = scores / count
        maps.append(ops.where(weights > 0, weighted / ops.where(weights > 0, weights, 1.0) - mean, 0.0))
    probe.notes.append("rise: the mean score of all masked images is subtracted, so that 0 makes no difference")
    return Maps(sum(maps) / len(maps))


def mask(generator: np.random.Generator, ways: list[np.ndarray], sides: tuple[int, int]) -> np.ndarray:
    """One of RISE's masks, 0-1 float32 (height, width): kept and hidden cells, enlarged and shifted by up to a cell."""
    cells = (generator.random((CELLS + 1, CELLS + 1)) < KEPT).astype("float32")
    shifts = [int(generator.integers(0, len(way) - side + 1)) for way, side in zip(ways, sides, strict=True)]
    down, across = (way[shift : shift + side] for way, shift, side in zip(ways, shifts, sides, strict=True))
    return np.clip(down @ cells @ across.T, 0, 1)


def _columns(scores: Any) -> Any:
    """Scores (targets, n) as what maps (targets, n, height, width, 1) are multiplied by."""
    from keras import ops

    return ops.reshape(scores, (*scores.shape, 1, 1, 1))
