"""What the metrics share: scores of inputs that are made in chunks, and a map's size, order and weights."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from PIL import Image

from convlens.errors import OptionError

Array: TypeAlias = np.ndarray
Score: TypeAlias = Callable[[np.ndarray], np.ndarray]
Maps: TypeAlias = Callable[[np.ndarray], np.ndarray]

BATCH = 16  # inputs that are held at the same time


def scores(score: Score, make: Callable[[int], Array], count: int, batch_size: int = BATCH) -> Array:
    """The scores of `count` inputs, of which no more than `batch_size` exist at the same time.

    Args:
        score: float32 (n, height, width, channels) -> (n,).
        make: a number below `count` -> that input, (height, width, channels).

    Returns:
        float64 (count,).

    Raises:
        OptionError: a batch size below 1, or scores of another shape or that are not finite.
    """
    if batch_size < 1:
        raise OptionError(f"batch size {batch_size}: expected at least 1")
    values: list[Array] = []
    for start in range(0, count, batch_size):
        batch = np.stack([make(number) for number in range(start, min(start + batch_size, count))])
        values.append(_scored(score, batch.astype(np.float32)))
    return np.concatenate(values) if values else np.zeros(0)


def _scored(score: Score, batch: Array) -> Array:
    values = np.asarray(score(batch), dtype=np.float64)
    if values.shape != (len(batch),):
        raise OptionError(f"the scores of {len(batch)} inputs have shape {values.shape}: expected ({len(batch)},)")
    if not np.isfinite(values).all():
        raise OptionError("a score that is not finite: no metric can be computed from it")
    return values


def mapped(maps: Maps, batch: Array) -> Array:
    """The maps of float32 (n, height, width, channels) inputs, float32 (n, rows, columns).

    Raises:
        OptionError: they have another shape, or values that are not finite.
    """
    found = np.asarray(maps(batch.astype(np.float32)), dtype=np.float32)
    if found.ndim != 3 or len(found) != len(batch):
        raise OptionError(f"the maps of {len(batch)} inputs have shape {found.shape}: expected ({len(batch)}, h, w)")
    return np.stack([checked(one) for one in found])


def checked(heatmap: Array) -> Array:
    """A map as float32 (rows, columns), its sign kept.

    Raises:
        OptionError: it has another number of axes, no values, or values that are not finite.
    """
    heatmap = np.asarray(heatmap, dtype=np.float32)
    if heatmap.ndim != 2 or heatmap.size == 0:
        raise OptionError(f"a map of shape {heatmap.shape}: expected (height, width)")
    if not np.isfinite(heatmap).all():
        raise OptionError("a map with values that are not finite: no metric can be computed from it")
    return heatmap


def fitted(heatmap: Array, image: Array) -> Array:
    """A map at the height and width of an image (height, width, channels), bilinearly, with its sign; float32."""
    heatmap = checked(heatmap)
    if image.ndim != 3:
        raise OptionError(f"an image of shape {image.shape}: expected (height, width, channels)")
    height, width = image.shape[:2]
    if heatmap.shape == (height, width):
        return heatmap
    return np.asarray(Image.fromarray(heatmap).resize((width, height), Image.Resampling.BILINEAR))


def order(heatmap: Array, seed: int = 0) -> Array:
    """Flat indices of a map (height, width), its highest value first.

    Equal values come in an order drawn from the seed and the map's size alone: in raster order, the half of a map that
    is zero would be taken away from the top downwards.
    """
    values = heatmap.ravel()
    noise = np.random.default_rng(seed).permutation(values.size)
    return np.lexsort((noise, -values))


def unit(heatmap: Array) -> Array:
    """The positive part of a map over its maximum, 0-1 float32; zero where nothing is positive."""
    positive = np.maximum(checked(heatmap), 0)
    highest = positive.max()
    return positive / highest if highest > 0 else positive


def value_range(image: Array) -> float:
    """Highest less lowest value of an image: the unit of noise that no network's own units change."""
    return float(image.max()) - float(image.min())
