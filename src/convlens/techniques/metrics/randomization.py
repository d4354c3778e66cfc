"""Does a map depend on what the network has learned? Maps of the network with some of its weights drawn anew."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from convlens.errors import OptionError, near
from convlens.techniques.metrics.complexity import BINS, histogram_entropy
from convlens.techniques.metrics.inputs import BATCH, Array, Maps, value_range
from convlens.techniques.metrics.similarity import Similarity, spearman

Redraw: TypeAlias = Callable[[Sequence[str], int], AbstractContextManager[Any]]
ORDERS = ("cascading", "independent", "bottom-up")


@dataclass(frozen=True)
class Stage:
    """The maps after some layers' weights were drawn anew.

    Attributes:
        layers: all layers whose weights were random.
        similarities: of each image's map to its map from the learned weights; None where one of the two is constant or
            not finite.
    """

    layers: tuple[str, ...]
    similarities: tuple[float | None, ...]


def stages(layers: Sequence[str], order: str) -> tuple[tuple[str, ...], ...]:
    """Which layers are random together, one set after the other.

    Args:
        layers: from the top of the network, the head, downwards.
        order: "cascading", from the top down, each stage with one layer more; "independent", each layer alone;
            "bottom-up", from the bottom up, each stage with one layer more.

    Raises:
        OptionError: another order, or no layers.
    """
    if not layers:
        raise OptionError("no layers: expected some whose weights are to be drawn anew")
    if order == "independent":
        return tuple((layer,) for layer in layers)
    if order not in ORDERS:
        raise OptionError(f"unknown order {order!r}: {near(order, ORDERS)}")
    sequence = tuple(layers) if order == "cascading" else tuple(reversed(layers))
    return tuple(sequence[: number + 1] for number in range(len(sequence)))


def randomization(
    redraw: Redraw,
    maps: Callable[[], Array],
    layers: Sequence[str],
    *,
    order: str = "cascading",
    seed: int = 0,
    similarity: Similarity = spearman,
) -> tuple[Stage, ...]:
    """How similar maps stay while layer after layer forgets what it learned; low is good.

    A map that stays the same does not depend on these weights. Its sign is kept. Adebayo et al. 2018, arXiv 1810.03292.

    Args:
        redraw: layers and a seed -> a context in which their weights are random, and after which all are as before,
            also after an exception. A layer's new weights depend on the seed and its own name alone, so that the stages
            of one sequence share them.
        maps: -> (images, height, width), of the network as it is at that time.
        layers, order: see `stages`.
        similarity: of two maps; one of `similarity.SIMILARITIES`.

    Returns:
        One stage after the other. They cost as many maps as there are stages, and one more.
    """
    sets = stages(layers, order)
    learned = _taken(maps)
    result: list[Stage] = []
    for chosen in sets:
        with redraw(chosen, seed):
            drawn = _taken(maps)
        if drawn.shape != learned.shape:
            raise OptionError(f"maps of shapes {learned.shape} and {drawn.shape}: expected the same")
        result.append(Stage(chosen, tuple(similarity(one, other) for one, other in zip(learned, drawn, strict=True))))
    return tuple(result)


def complexity_rise(
    redraw: Redraw, maps: Callable[[], Array], layers: Sequence[str], *, seed: int = 0, bins: int = BINS
) -> tuple[float | None, ...]:
    """The efficient test: how much more complex each map is with all layers random, over its own complexity.

    (H' - H) / H with the entropy of the histogram of a map's values; high is good. None where the map is constant, or
    one of the two is not finite. It needs two maps an image and no similarity. Hedström et al. 2024, arXiv 2401.06465.
    """
    learned = _taken(maps)
    with redraw(tuple(layers), seed):
        drawn = _taken(maps)
    result: list[float | None] = []
    for one, other in zip(learned, drawn, strict=True):
        finite = np.isfinite(one).all() and np.isfinite(other).all()
        before = histogram_entropy(one, bins) if finite else 0.0
        result.append((histogram_entropy(other, bins) - before) / before if before > 0 else None)
    return tuple(result)


def smoothed(
    maps: Maps, images: Array, *, noise: float, samples: int, seed: int = 0, batch_size: int = BATCH
) -> Callable[[], Array]:
    """The smooth test: maps for `randomization` that are means over noisy inputs, the same noise at every stage.

    Args:
        maps: float32 (n, height, width, channels) -> (n, rows, columns).
        images: (n, height, width, channels).
        noise: standard deviation over each image's range (highest less lowest).
        samples: noisy inputs per image, of which each costs a map.

    Returns:
        A function without arguments -> float32 (n, rows, columns).

    Hedström et al. 2024, arXiv 2401.06465.
    """
    if samples < 1 or batch_size < 1:
        raise OptionError(f"{samples} samples, batch size {batch_size}: expected at least 1")

    def averaged(number: int) -> Array:
        image, total = images[number], np.zeros((), dtype=np.float64)
        for start in range(0, samples, batch_size):
            draws = range(start, min(start + batch_size, samples))
            noises = [np.random.default_rng((seed, number, draw)).normal(size=image.shape) for draw in draws]
            noisy = image + noise * value_range(image) * np.stack(noises)
            total = total + np.asarray(maps(noisy.astype(np.float32)), dtype=np.float64).sum(axis=0)
        return (total / samples).astype(np.float32)

    return lambda: np.stack([averaged(number) for number in range(len(images))])


def random_classes(targets: Sequence[int], count: int, seed: int = 0) -> tuple[int, ...]:
    """Another class for each image, evenly drawn from all but its own: for the random logit test.

    The similarity of a map to the map of another class is low if the map depends on the class; class-free methods have
    1 by design. Sixt et al. 2020, arXiv 1912.09818.

    Args:
        targets: the explained class of each image.
        count: of classes.

    Raises:
        OptionError: fewer than two classes, or a target that is none.
    """
    if count < 2 or not all(0 <= target < count for target in targets):
        raise OptionError(f"{count} classes and targets {', '.join(map(str, targets))}: no other class can be drawn")
    drawn = [int(np.random.default_rng((seed, number)).integers(count - 1)) for number in range(len(targets))]
    return tuple(other + (other >= target) for other, target in zip(drawn, targets, strict=True))


def _taken(maps: Callable[[], Array]) -> Array:
    """A copy of the maps: what gives them may write the next ones into the same array."""
    values = np.array(maps(), dtype=np.float32)
    if values.ndim != 3:
        raise OptionError(f"maps of shape {values.shape}: expected (images, height, width)")
    return values
