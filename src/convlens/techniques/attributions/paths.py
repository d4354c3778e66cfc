"""Gradients added up on a path that leads to the image from one in which there is nothing to see."""

from typing import Any

import numpy as np

from convlens.techniques.attributions.blurring import bell, blurred
from convlens.techniques.attributions.gradients import taken
from convlens.techniques.attributions.settings import Maps, Settings, checked_name
from convlens.techniques.attributions.smoothing import noise
from convlens.techniques.probe import ClassProbe

BLUREST = 0.2  # deviation of the blur that blur IG starts from, as a share of the longer side


def places(rule: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Where an integral from 0 to 1 is looked at, and with which weights, float32 (steps,) each.

    Raises:
        OptionError: unknown rule.
    """
    left = np.arange(steps) / steps
    even = np.full(steps, 1 / steps)
    if rule == "trapezoid" and steps > 1:
        left, even = np.linspace(0, 1, steps), np.full(steps, 1 / (steps - 1))
        even[[0, -1]] /= 2
    shift = {"left": 0.0, "right": 1 / steps, "midpoint": 0.5 / steps, "trapezoid": 0.0 if steps > 1 else 0.5}
    rules = {name: (left + part, even) for name, part in shift.items()}
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    rules["gauss-legendre"] = (nodes + 1) / 2, weights / 2
    where, share = rules[checked_name("rule", rule, rules)]
    return where.astype("float32"), share.astype("float32")


def integrated_gradients(probe: ClassProbe, settings: Settings) -> Maps:
    """(x - b) times the integral of g from b to x. Sundararajan et al. 2017, arXiv 1703.01365, equation 1.

    Of several baselines it is the mean. The sum over a map is y(x) - y(b), up to the error of the steps.
    """

    where, weights = (_columns(part) for part in places(settings["rule"], settings["steps"]))
    maps = []
    for base in settings.baselines.values():

        def terms(images: np.ndarray, numbers: np.ndarray, base: Any = base) -> tuple[Any]:
            start = taken(base, images)
            at = start + taken(where, numbers) * (taken(probe.inputs, images) - start)
            return (probe.gradients_at(at, images) * taken(weights, numbers),)

        (mean,) = probe.sum_of_variants(settings["steps"], terms)
        maps.append(mean * (probe.inputs - base))
    return Maps(sum(maps) / len(maps), gain(probe, list(settings.baselines.values())))


def blur_ig(probe: ClassProbe, settings: Settings) -> Maps:
    """The integral of g dx while the image goes from blurred to sharp. Xu et al. 2020, arXiv 2004.03383, equation 4.

    The deviation of the blur falls to 0, the slower the sharper the image is, as most of it changes at the end: which
    way through the same images is taken does not matter to the integral. A step's gradient is taken in its middle, and
    dx is its whole change, so that nothing of the path is left out.
    """
    sides = probe.inputs.shape[1:3]
    deviations = BLUREST * max(sides) * np.linspace(1, 0, 2 * settings["steps"] + 1) ** 2
    ways = [np.stack([bell(side, deviation) for deviation in deviations]) for side in sides]

    def at(images: np.ndarray, numbers: np.ndarray) -> Any:
        return blurred(taken(probe.inputs, images), *(way[numbers] for way in ways))

    def terms(images: np.ndarray, numbers: np.ndarray) -> tuple[Any]:
        change = at(images, 2 * numbers + 2) - at(images, 2 * numbers)
        return (probe.gradients_at(at(images, 2 * numbers + 1), images) * change,)

    (total,) = probe.sum_of_variants(settings["steps"], terms)
    return Maps(total, gain(probe, [blurred(probe.inputs, *(way[0] for way in ways))]))


def gradient_shap(probe: ClassProbe, settings: Settings) -> Maps:
    """The mean of (x - b) g at random places between b and x, with the baselines in turn.

    Lundberg and Lee 2017, arXiv 1705.07874, as expected gradients, Erion et al. 2019, arXiv 1906.10670. Each baseline's
    share of the way is cut into equal parts, and a place drawn in each. Noise is added to x, as by SmoothGrad.
    """
    from keras import ops

    bases, count = list(settings.baselines.values()), settings["samples"]
    stacked = ops.stack(bases, axis=1)  # (batch, baselines, ...)
    turns = np.arange(count) % len(bases)
    parts = np.bincount(turns, minlength=len(bases))
    drawn = np.array([settings.drawn("place", number).random() for number in range(count)])
    where = _columns((np.arange(count) // len(bases) + drawn) / parts[turns])
    share = _columns(1 / (parts[turns] * np.count_nonzero(parts)))  # each baseline counts the same

    def terms(images: np.ndarray, numbers: np.ndarray) -> tuple[Any]:
        rows = np.stack([images, turns[numbers]])
        start = ops.reshape(stacked, (-1, *stacked.shape[2:]))
        start = taken(start, rows[0] * len(bases) + rows[1])
        change = taken(probe.inputs, images) + noise(probe, settings, images, numbers) - start
        gradients = probe.gradients_at(start + taken(where, numbers) * change, images)
        return (gradients * change * taken(share, numbers),)

    (total,) = probe.sum_of_variants(count, terms)
    return Maps(total, gain(probe, bases[: np.count_nonzero(parts)]) if settings["noise"] == 0 else None)


def gain(probe: ClassProbe, starts: list[Any]) -> Any:
    """How much higher the score is at the images than at those that they are compared with, (targets, batch): the mean
    over several of them."""
    return probe.scores(probe.inputs) - sum(probe.scores(start) for start in starts) / len(starts)


def _columns(numbers: np.ndarray) -> Any:
    """Numbers (n,) as a tensor that images (n, height, width, channels) are multiplied by."""
    from keras import ops

    return ops.convert_to_tensor(numbers.astype("float32")[:, None, None, None])
