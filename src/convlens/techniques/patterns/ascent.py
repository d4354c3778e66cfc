"""Gradient ascent for a batch of patterns: the one loop, which knows neither what is measured nor of what image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convlens import backend
from convlens.backend.arrays import numpy_arrays
from convlens.network.network import Network
from convlens.techniques.patterns.images.base import Image
from convlens.techniques.patterns.objectives.base import Objective
from convlens.techniques.patterns.objectives.measure import Measure, stacked
from convlens.techniques.patterns.optimizers.base import Optimizer
from convlens.techniques.patterns.transforms.base import Transform
from convlens.techniques.request import PLAIN, Compute

VIEW = 1  # tells the random numbers of views from those of starts


@dataclass(frozen=True)
class Settings:
    """Of one ascent: number of steps, how far one goes, seed of its random numbers, and in which precision the network
    is computed; the image itself is float32 always."""

    steps: int
    step_size: float
    seed: int
    precision: str = "float32"


@dataclass(frozen=True)
class Job:
    """One pattern to make: its objective, and the number that its random numbers are drawn by: the filter's."""

    objective: Objective
    number: int


@dataclass(frozen=True)
class Optimized:
    """What a batch came to, a row each.

    Attributes:
        images, starts: at the end and at the start, in the network's own units, (rows, height, width, channels).
        zero_gradient: where the gradient at the last start was as good as zero, so that the image is its start still.
    """

    images: np.ndarray
    starts: np.ndarray
    zero_gradient: np.ndarray


@dataclass
class Row:
    """One pattern on its way.

    Attributes:
        job: what is made.
        attempt: the kind of its start.
        start: the latent that it started from.
        reached: the latent that it came to; its start until it is done.
        begun: steps of the batch that were taken when it started.
        done: it has taken all its steps, or has a zero gradient at its last start.
        zero_gradient: whether the gradient at its start is as good as zero.
    """

    job: Job
    attempt: int
    start: np.ndarray
    reached: np.ndarray
    begun: int = 0
    done: bool = False
    zero_gradient: bool = False


def ascent_step(
    measure: Measure, image: Image, transforms: Sequence[Transform], optimizer: Optimizer
) -> Callable[..., tuple[Any, ...]]:
    """One step: (latents, sizes, *tensors) -> (latents, values before it, largest gradients, *state).

    The tensors are those of the optimizer's state, of each transform, of the objective, a row each, and the network's
    further inputs.
    """
    from keras import ops

    state_count = len(optimizer.state(np.zeros((1, 1))))
    view_counts = [len(transform.draw(np.random.default_rng(), image.sides)) for transform in transforms]
    counts = [state_count, *view_counts, len(measure.objective.arrays())]

    def step(latents: Any, sizes: Any, *tensors: Any) -> tuple[Any, ...]:
        state, *parameters, arrays, others = _split(tensors, counts)

        def measured(latents: Any) -> tuple[Any, Any]:
            views = image.inputs(latents)
            for transform, drawn in zip(transforms, parameters, strict=True):
                views = transform.view(views, drawn)
            values = measure.values(views, arrays, others)
            return ops.reshape(ops.sum(values), (1,)), values

        _, values, each = backend.current().gradients(measured)(latents)
        gradients = each[0]  # of the one number that was differentiated
        moved, state = optimizer.step(latents, gradients, sizes, state)
        return moved, values, _largest(gradients), *state

    return step


def _largest(gradients: Any) -> Any:
    """The largest absolute value of each row, NaN where one is not finite: XLA's own maximum may pass over a NaN."""
    from keras import ops

    axes = tuple(range(1, len(gradients.shape)))
    finite: Any = ops.all(ops.isfinite(gradients), axis=axes)
    return ops.where(finite, ops.max(ops.abs(gradients), axis=axes), float("nan"))


def _split(tensors: Sequence[Any], counts: Sequence[int]) -> list[Sequence[Any]]:
    """So many of them each, and the rest."""
    ends = np.cumsum(counts).tolist()
    return [tensors[start:end] for start, end in zip([0, *ends], [*ends, None], strict=True)]


class Ascent:
    """The loop: prepared once for objectives of one key, then run for each batch."""

    def __init__(
        self,
        network: Network,
        measure: Measure,
        image: Image,
        transforms: Sequence[Transform],
        optimizer: Optimizer,
        settings: Settings,
    ) -> None:
        self._network, self._image, self._transforms = network, image, transforms
        self._optimizer, self._settings = optimizer, settings
        parts = (measure.key, image.key, *(transform.key for transform in transforms), optimizer.key)
        self._step = network.compiled(
            ("ascent", parts, settings.precision), ascent_step(measure, image, transforms, optimizer)
        )
        self._inputs = network.compiled(("image", image.key), image.inputs)
        count = len(measure.objective.arrays())
        self._value = network.compiled(
            ("value", measure.key), lambda images, *rest: measure.values(images, rest[:count], rest[count:])
        )
        (self._sizes,) = network.tensors([image.step_sizes(settings.step_size)])

    def optimize(
        self, jobs: Sequence[Job], check: Callable[[], None], attempt: int = 0, compute: Compute = PLAIN
    ) -> Optimized:
        """Takes `settings.steps` steps with each pattern.

        One without a gradient where it starts goes on from its next start while the others take their steps, and makes
        up for it at the end.

        Args:
            check: called before each step; may raise.
            attempt: the kind of the first start.
            compute: asked before each step, too.
        """
        rows = [self._begun(job, attempt) for job in jobs]
        aimed = self._aimed(jobs)
        latents, *state = self._network.tensors(self._initial([row.start for row in rows]))
        taken, steps = 0, self._settings.steps
        while not all(row.done for row in rows):
            check()
            compute.check()
            views = self._network.tensors(self._drawn(rows, taken))
            latents, _, largest, *state = self._step(latents, self._sizes, *state, *views, *aimed)
            taken += 1
            if fresh := [place for place, row in enumerate(rows) if not row.done and row.begun == taken - 1]:
                (gradients,) = numpy_arrays(largest)
                stuck = [place for place in fresh if gradients[place] < self._optimizer.zero_gradient]
                if again := self._retried(rows, stuck, taken):
                    latents, *state = self._restarted(rows, again, [latents, *state])
            if last := [place for place, row in enumerate(rows) if not row.done and row.begun + steps == taken]:
                (reached,) = numpy_arrays(latents)
                for place in last:
                    rows[place].reached, rows[place].done = reached[place], True
        return self._optimized(rows)

    def measure(self, jobs: Sequence[Job], images: np.ndarray) -> np.ndarray:
        """The objectives' values on images in the network's own units, in float32 always."""
        with self._network.computing("float32"):
            return numpy_arrays(self._value(*self._network.tensors([images]), *self._aimed(jobs)))[0]

    def _aimed(self, jobs: Sequence[Job]) -> list[Any]:
        """What the measure takes beside the images."""
        others = self._network.input_arrays(len(jobs))
        others.pop(self._network.image_input)
        return self._network.tensors([*stacked([job.objective for job in jobs]), *others])

    def _begun(self, job: Job, attempt: int, begun: int = 0) -> Row:
        generator = np.random.default_rng([self._settings.seed, job.number, attempt])
        start = self._image.begin(generator, attempt)
        return Row(job, attempt, start, start, begun)

    def _initial(self, latents: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Latents and the optimizer's state before the first step, (rows, ...)."""
        together = np.stack(latents)
        return [together, *self._optimizer.state(together)]

    def _drawn(self, rows: Sequence[Row], taken: int) -> list[np.ndarray]:
        """The parameters of this step's views: the same for a row whatever runs beside it."""
        drawn = []
        for row in rows if self._transforms else ():
            generator = np.random.default_rng([self._settings.seed, row.job.number, taken - row.begun, VIEW])
            views = [transform.draw(generator, self._image.sides) for transform in self._transforms]
            drawn.append([array for view in views for array in view])
        return [np.stack(column) for column in zip(*drawn, strict=True)]

    def _retried(self, rows: list[Row], stuck: Sequence[int], taken: int) -> list[int]:
        """Gives rows with a zero gradient their next start, and says which had one left."""
        again = []
        for place in stuck:
            row = rows[place]
            if row.attempt + 1 < self._image.starts:
                rows[place] = self._begun(row.job, row.attempt + 1, taken)
                again.append(place)
            else:
                row.done = row.zero_gradient = True
        return again

    def _restarted(self, rows: Sequence[Row], again: Sequence[int], tensors: Sequence[Any]) -> list[Any]:
        """Latents and state, with those of some rows as at their start."""
        arrays = numpy_arrays(*tensors)
        for array, fresh in zip(arrays, self._initial([rows[place].start for place in again]), strict=True):
            array[again] = fresh
        return self._network.tensors(arrays)

    def _optimized(self, rows: Sequence[Row]) -> Optimized:
        images, starts = (
            numpy_arrays(self._inputs(*self._network.tensors([np.stack(latents)])))[0]
            for latents in ([row.reached for row in rows], [row.start for row in rows])
        )
        return Optimized(images, starts, np.array([row.zero_gradient for row in rows]))
