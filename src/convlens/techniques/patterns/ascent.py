"""Gradient ascent in input space, for a batch of filters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convlens import backend
from convlens.backend.arrays import numpy_arrays
from convlens.network.layers import LayerInfo
from convlens.network.network import Network
from convlens.techniques.patterns.image import STARTS, Pixels, start_images
from convlens.techniques.patterns.objectives import objective, value
from convlens.techniques.request import PLAIN, Compute

EPSILON = 1e-5
STILL = 1e-4 * EPSILON  # smaller gradients move an image by less than 1e-4 grey levels a step


def ascent_step(network: Network, layer: str, narrow: bool = False) -> Callable:
    """One step: (images, directions, steps, *others) -> (images, values before it, largest gradients).

    The gradient of each image is divided by (its root mean square + 1e-5), and `steps` of it (a step size a
    channel, or a value) are added. `narrow` is as in `objective`.
    """
    from keras import ops

    climb = backend.current().gradients(objective(network, layer, narrow))

    def step(images: Any, directions: Any, steps: Any, *others: Any) -> tuple[Any, Any, Any]:
        _, values, grads = climb(images, directions, *others)
        slope, squares = grads[0], ops.square(grads[0])
        size = ops.sqrt(ops.mean(squares, axis=(1, 2, 3), keepdims=True)) + EPSILON
        return images + steps * (slope / size), values, ops.sqrt(ops.max(squares, axis=(1, 2, 3)))

    return step


@dataclass(frozen=True)
class Settings:
    """Of one ascent: the image's sides in pixels, number of steps, their size in grey levels, seed of the noise, and
    in which precision the network is computed; the image itself is float32 always."""

    sides: tuple[int, int]
    steps: int
    step_size: float
    seed: int
    precision: str = "float32"


@dataclass(frozen=True)
class Climbed:
    """What filters came to: images in input units, those that they started from, and their first steps' largest
    gradients."""

    images: np.ndarray
    starts: np.ndarray
    steepest: np.ndarray

    @property
    def still(self) -> np.ndarray:
        """Where the gradient is as good as zero: that image stays where it is, however many the steps."""
        return self.steepest < STILL


class Ascent:
    """Plain gradient ascent with the normalized gradient, for one layer: prepared once, then run for each batch."""

    def __init__(self, network: Network, layer: LayerInfo, pixels: Pixels, settings: Settings) -> None:
        self._network, self._layer, self._pixels, self._settings = network, layer, pixels, settings
        self._narrow = network.can_compute_only(layer.path)
        which = layer.path, self._narrow
        self._step = network.compiled(("ascent", *which, settings.precision), ascent_step(network, *which))
        self._value = network.compiled(("value", *which), value(network, *which))
        # as large as an image: TensorFlow is slow at repeating a few values over the last axis
        sizes = np.broadcast_to(pixels.grey_level * settings.step_size, (*settings.sides, len(pixels.offset)))
        (self._sizes,) = network.tensors([sizes.astype("float32")])

    def climb(
        self, filters: Sequence[int], check: Callable[[], None], attempt: int = 0, compute: Compute = PLAIN
    ) -> Climbed:
        """Takes `settings.steps` steps with each filter.

        A filter without a gradient where it starts goes on to its next start while the others climb, and makes up for
        it at the end.

        Args:
            check: called before each step; may raise.
            attempt: the place in STARTS of the first start.
            compute: asked before each step, too.
        """
        directions, others = self._aimed(filters)
        attempts = np.full(len(filters), attempt)
        starts = self._begin(filters, attempts)
        reached, steepest = starts.copy(), np.zeros(len(filters), "float32")
        (images,) = self._network.tensors([reached])
        late, live, taken = np.zeros(len(filters), int), np.ones(len(filters), bool), 0
        while (taken < (self._settings.steps + late)[live]).any():
            check()
            compute.check()
            images, _, steep = self._step(images, directions, self._sizes, *others)
            taken += 1
            if (fresh := live & (late == taken - 1)).any():
                (slopes,) = numpy_arrays(steep)
                steepest[fresh] = slopes[fresh]
                still = fresh & (slopes < STILL)
                live &= ~still | (attempts < len(STARTS) - 1)
                if (again := still & live).any():
                    attempts, late = attempts + again, np.where(again, taken, late)
                    starts[again] = reached[again] = self._begin(filters, attempts)[again]
                    (moved,) = numpy_arrays(images)
                    moved[again] = starts[again]
                    (images,) = self._network.tensors([moved])
            if (done := live & (late + self._settings.steps == taken)).any():
                reached[done] = numpy_arrays(images)[0][done]
        return Climbed(reached, starts, steepest)

    def measure(self, filters: Sequence[int], images: np.ndarray) -> np.ndarray:
        """The filters' values on images in input units, in float32 whatever the ascent is computed in."""
        directions, others = self._aimed(filters)
        with self._network.computing("float32"):
            return numpy_arrays(self._value(*self._network.tensors([images]), directions, *others))[0]

    def _aimed(self, filters: Sequence[int]) -> tuple[Any, list[Any]]:
        """What the objective takes beside the images."""
        chosen = np.array(filters, "int32")
        every = self._layer.output_shape[-1] or 1
        others = self._network.input_arrays(len(filters))
        others.pop(self._network.image_input)
        directions, *others = self._network.tensors(
            [chosen if self._narrow else np.eye(every, dtype="float32")[chosen], *others]
        )
        return directions, others

    def _begin(self, filters: Sequence[int], attempts: np.ndarray) -> np.ndarray:
        settings = self._settings
        return self._pixels.enter(
            start_images(filters, settings.sides, len(self._pixels.offset), settings.seed, attempts)
        )


METHODS: dict[str, type[Ascent]] = {"ascent": Ascent}
