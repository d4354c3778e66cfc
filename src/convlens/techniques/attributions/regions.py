"""Regions of the image by how much their pixels are worth."""

import numpy as np

from convlens.backend.arrays import numpy_arrays
from convlens.techniques.attributions.paths import integrated_gradients
from convlens.techniques.attributions.settings import Maps, Settings
from convlens.techniques.attributions.superpixels import segmentation
from convlens.techniques.probe import ClassProbe

SCALES = (50, 100, 150, 250, 500, 1200)
LEAST, NEW = 4e-4, 1e-3  # of the image: the smallest region, and how much of one must be new for it to be taken
WIDER = 0.022  # by how much regions are widened, as a share of the shorter side, so that they hold their own edges


def xrai(probe: ClassProbe, settings: Settings) -> Maps:
    """Regions whose pixels have the highest mean of integrated gradients first, each pixel with its region's mean.

    Kapishnikov et al. 2019, arXiv 1906.02825, algorithm 1, with black and white as baselines: regions come from
    Felzenszwalb's method at six scales and overlap; a region's mean is that of its pixels that no region before it had.
    """
    from keras import ops

    attributions = integrated_gradients(probe, settings)
    (values,) = numpy_arrays(ops.sum(attributions.values, axis=-1))
    maps = np.zeros(values.shape, "float32")
    for image, pixels in enumerate(settings.pixels):
        found = regions(pixels)
        for target in range(len(values)):
            maps[target, image] = ranked(values[target, image].astype("float64"), found)
    return Maps(ops.convert_to_tensor(maps[..., None]))


def regions(pixels: np.ndarray) -> np.ndarray:
    """Overlapping regions of an image that is 0-1 (height, width, 3), bool (regions, height, width)."""
    height, width = pixels.shape[:2]
    radius, smallest = max(round(WIDER * min(height, width)), 1), max(round(LEAST * height * width), 1)
    found = []
    for scale in SCALES:
        labels = segmentation().felzenszwalb(pixels, scale=scale, sigma=0.8, min_size=smallest)
        found += [widened(labels == label, radius) for label in np.unique(labels)]
    return np.stack(found)


def widened(region: np.ndarray, radius: int) -> np.ndarray:
    """A region with all pixels that are at most so far from it."""
    rows, columns = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    edge, grown = np.pad(region, radius), np.zeros_like(region)
    for row, column in np.argwhere(rows**2 + columns**2 <= radius**2):
        grown |= edge[row : row + region.shape[0], column : column + region.shape[1]]
    return grown


def ranked(values: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Each pixel with the mean of the values of its region's pixels that are new, the highest mean first."""
    flat, masks = values.ravel(), found.reshape(len(found), -1).copy()
    result = np.full(flat.shape, np.nan)
    sums, counts = masks @ flat, masks.sum(1)
    enough = max(round(NEW * len(flat)), 1)
    while (counts >= enough).any():
        means = np.where(counts >= enough, sums / np.maximum(counts, 1), -np.inf)
        best = int(np.nan_to_num(means, nan=-np.inf, neginf=-np.inf).argmax())
        new = masks[best].copy()
        result[new] = sums[best] / counts[best]
        sums, counts = sums - masks[:, new] @ flat[new], counts - masks[:, new].sum(1)
        masks[:, new] = False
    rest = np.isnan(result)
    if rest.any():
        result[rest] = flat[rest].mean()
    return result.reshape(values.shape)
