"""Regions of the image by how much their pixels are worth."""

from typing import Any

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
            if np.isfinite(values[target, image]).all():
                maps[target, image] = ranked(values[target, image].astype("float64"), found)
            else:
                maps[target, image] = np.nan
    return Maps(ops.convert_to_tensor(maps[..., None]))


def regions(pixels: np.ndarray) -> Any:
    """Overlapping regions of an image that is 0-1 (height, width, 3).

    Returns:
        a sparse matrix (regions, height x width) of 1 for the pixels that lie in a region.
    """
    from scipy import ndimage, sparse

    height, width = pixels.shape[:2]
    radius, smallest = max(round(WIDER * min(height, width)), 1), max(round(LEAST * height * width), 1)
    places = np.arange(height * width).reshape(height, width)
    found = []
    for scale in SCALES:
        labels = segmentation().felzenszwalb(pixels, scale=scale, sigma=0.8, min_size=smallest)
        for number, box in enumerate(ndimage.find_objects(labels + 1)):
            around = tuple(slice(max(side.start - radius, 0), side.stop + radius) for side in box)
            near = ndimage.distance_transform_edt(labels[around] != number) <= radius
            found.append(places[around][near])
    ends = np.cumsum([0, *map(len, found)])
    inside = np.concatenate(found)
    return sparse.csr_array((np.ones(len(inside)), inside, ends), shape=(len(found), height * width))


def ranked(values: np.ndarray, found: Any) -> np.ndarray:
    """Each pixel with the mean of the values of its region's pixels that are new, the highest mean first.

    Args:
        values: (height, width).
        found: what `regions` gives.
    """
    flat, by_pixel = values.ravel(), found.tocsc()
    result = np.full(flat.shape, np.nan)
    sums, counts = found @ flat, found @ np.ones(len(flat))
    enough = max(round(NEW * len(flat)), 1)
    while (counts >= enough).any():
        means = np.where(counts >= enough, sums / np.maximum(counts, 1), -np.inf)
        best = int(np.nan_to_num(means, nan=-np.inf, neginf=-np.inf).argmax())
        inside = found.indices[found.indptr[best] : found.indptr[best + 1]]
        new = inside[np.isnan(result[inside])]
        result[new] = flat[new].mean()
        lost = by_pixel[:, new]
        sums, counts = sums - lost @ flat[new], counts - lost @ np.ones(len(new))
    rest = np.isnan(result)
    if rest.any():
        result[rest] = flat[rest].mean()
    return result.reshape(values.shape)
