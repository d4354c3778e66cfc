"""What superpixels are worth to the score, by regression on images in which some of them are hidden."""

from itertools import product
from math import comb
from typing import Any

import numpy as np

from convlens.backend.arrays import numpy_arrays
from convlens.errors import OptionError
from convlens.techniques.attributions.gradients import taken
from convlens.techniques.attributions.paths import gain
from convlens.techniques.attributions.settings import Maps, Settings
from convlens.techniques.probe import ClassProbe

WIDTH, RIDGE = 0.25, 1.0  # LIME's kernel, in cosine distance, and the penalty on the size of its weights


def kernel_shap(probe: ClassProbe, settings: Settings) -> Maps:
    """Shapley values of superpixels. Lundberg and Lee 2017, arXiv 1705.07874, theorem 2.

    Least squares on y of images in which some superpixels are b, under the condition that the values sum to
    y(x) - y(b). Where there are no more sets of superpixels than samples all are taken, and the values are exact. A
    superpixel's value is spread evenly over its pixels, so that the map sums to the same.
    """
    from keras import ops

    labels, maps = superpixels(settings), []
    drawn = [coalitions(int(image.max()) + 1, settings) for image in labels]
    for base in settings.baselines.values():
        (worth,) = numpy_arrays(gain(probe, [base]))
        none = numpy_arrays(probe.scores(base))[0]
        sums = _sums(probe, base, labels, drawn)[0]
        values = np.zeros((*worth.shape, *labels.shape[1:]))
        for target, image in np.ndindex(*worth.shape):
            sets, weights = drawn[image]
            own = sums[target, image, : sets.shape[1]] - none[target, image] * (weights @ sets)
            found = constrained((sets * weights[:, None]).T @ sets, own, float(worth[target, image]))
            values[target, image] = (found / np.bincount(labels[image].ravel()))[labels[image]]
        maps.append(values)
    mean = np.mean(maps, axis=0)[..., None].astype("float32")
    return Maps(ops.convert_to_tensor(mean), gain(probe, list(settings.baselines.values())))


def lime(probe: ClassProbe, settings: Settings) -> Maps:
    """Weights of superpixels in a ridge regression. Ribeiro et al. 2016, arXiv 1602.04938, equation 1.

    Each superpixel is hidden by b with chance 1/2; a sample counts exp(-d^2 / 0.25^2), d its cosine distance to the
    whole image, and the penalty is 1. Of several baselines it is the mean. Each pixel has its superpixel's weight.
    """
    from keras import ops

    labels, maps, drawn = superpixels(settings), [], []
    for image in labels:
        sets = settings.drawn("lime", 0).random((settings["samples"], int(image.max()) + 1)) < 0.5
        sets[0] = True
        shares = np.sqrt(sets.mean(1))
        drawn.append((sets.astype("float64"), np.exp(-((1 - shares) ** 2) / WIDTH**2)))
    for base in settings.baselines.values():
        sums, totals = _sums(probe, base, labels, drawn)
        values = np.zeros((*totals.shape[:2], *labels.shape[1:]))
        for target, image in np.ndindex(*totals.shape[:2]):
            sets, weights = drawn[image]
            mean = weights @ sets / weights.sum()
            apart = sets - mean
            own = sums[target, image, : sets.shape[1]] - mean * totals[target, image]
            among = (apart * weights[:, None]).T @ apart + RIDGE * np.eye(sets.shape[1])
            values[target, image] = np.linalg.solve(among, own)[labels[image]]
        maps.append(values)
    return Maps(ops.convert_to_tensor(np.mean(maps, axis=0)[..., None].astype("float32")))


def superpixels(settings: Settings) -> np.ndarray:
    """The superpixels of each image by SLIC, from 0, int (batch, height, width)."""
    slic = segmentation().slic
    labels = [slic(image, settings["segments"], sigma=1, start_label=0) for image in settings.pixels]
    return np.stack([np.unique(image, return_inverse=True)[1].reshape(image.shape) for image in labels])


def segmentation() -> Any:
    """scikit-image's segmentation.

    Raises:
        OptionError: it is not installed.
    """
    try:
        from skimage import segmentation
    except ImportError as error:
        raise OptionError(f"this method needs scikit-image ({error}): pip install scikit-image") from error
    return segmentation


def coalitions(count: int, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Sets of superpixels, 0 or 1 float64 (sets, count), and what each counts: neither of none nor of all.

    They are drawn with their complements, of a size s as often as the kernel (count - 1) / (C(count, s) s (count - s))
    has it; or all of them, weighted by it.
    """
    if count < 2:
        return np.zeros((1, count)), np.ones(1)
    if 2**count - 2 <= settings["samples"]:
        sets = np.array(list(product((0.0, 1.0), repeat=count)))[1:-1]
        sizes = sets.sum(1).astype(int)
        return sets, np.array([(count - 1) / (comb(count, s) * s * (count - s)) for s in sizes.tolist()])
    generator, sizes = settings.drawn("shap", 0), np.arange(1, count)
    chances = 1 / (sizes * (count - sizes))
    drawn = generator.choice(sizes, (settings["samples"] + 1) // 2, p=chances / chances.sum())
    half = np.argsort(generator.random((len(drawn), count)), axis=1) < drawn[:, None]
    sets = np.stack([half, ~half], axis=1).reshape(-1, count)[: settings["samples"]].astype("float64")
    return sets, np.ones(len(sets))


def constrained(among: np.ndarray, own: np.ndarray, total: float) -> np.ndarray:
    """The values f that solve among f = own best, and sum to `total`."""
    found, ones = (np.linalg.lstsq(among, side, rcond=None)[0] for side in (own, np.ones(len(own))))
    if not ones.sum() > 0:  # a single superpixel
        return np.full(len(own), total / len(own))
    return found - ones * (found.sum() - total) / ones.sum()


def _sums(
    probe: ClassProbe, base: Any, labels: np.ndarray, drawn: list[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of weight times y over the sets, of each superpixel (targets, batch, superpixels) and of all (..., )."""
    from keras import ops

    most, count = int(labels.max()) + 1, max(len(sets) for sets, _ in drawn)
    padded = np.zeros((len(labels), count, most))
    weights = np.zeros((len(labels), count))  # images of few superpixels have fewer sets
    for image, (sets, own) in enumerate(drawn):
        padded[image, : len(sets), : sets.shape[1]], weights[image, : len(sets)] = sets, own

    def terms(images: np.ndarray, numbers: np.ndarray) -> tuple[Any, Any]:
        kept = padded[images, numbers]
        shown = np.take_along_axis(kept[:, None], labels[images].reshape(len(images), 1, -1), axis=2)
        shown = shown.reshape(len(images), *labels.shape[1:], 1).astype("float32")
        start = taken(base, images)
        scores = probe.scores(start + ops.convert_to_tensor(shown) * (taken(probe.inputs, images) - start), images)
        weighted: Any = scores * ops.convert_to_tensor(weights[images, numbers].astype("float32"))
        sets: Any = ops.convert_to_tensor(kept.astype("float32"))
        return weighted[..., None] * sets, weighted

    sums, totals = numpy_arrays(*probe.sum_of_variants(count, terms))
    return sums.astype("float64"), totals.astype("float64")
