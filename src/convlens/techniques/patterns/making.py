"""Patterns of any objectives by one recipe: in batches, side by side, from other starts where one leads nowhere."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial

import numpy as np

from convlens import backend
from convlens.errors import ModelError, reason
from convlens.network.budget import BUDGET, image_bytes
from convlens.network.network import Network
from convlens.techniques.batches import side_by_side
from convlens.techniques.patterns.ascent import Ascent, Job, Settings
from convlens.techniques.patterns.images.base import Colours, Image
from convlens.techniques.patterns.objectives.base import Objective
from convlens.techniques.patterns.objectives.measure import Measure
from convlens.techniques.patterns.recipes import Recipe
from convlens.techniques.patterns.verdict import Outcomes
from convlens.techniques.request import Compute

CACHE = 64 * 2**20  # bytes of a batch's layer outputs: on a CPU, a batch that stays in the caches is the fastest
MOST_ON_CPU, MOST = 32, 256  # patterns at once


def make(
    network: Network,
    jobs: Sequence[Job],
    recipe: Recipe,
    colours: Colours,
    sides: tuple[int, int],
    settings: Settings,
    compute: Compute,
) -> Outcomes:
    """One pattern per job, in batches; those that lose their value on their way once more from other starts.

    Args:
        jobs: their objectives, located, have one key.
        colours: of the network's input.
        sides: of the patterns in pixels.

    Raises:
        ModelError: the gradient cannot be computed.
        CancelledError: the caller cancelled it.
    """
    image = recipe.image(sides, colours)
    measure = Measure(network, jobs[0].objective)
    at_once = compute.batch_size or patterns_at_once(network, jobs[0].objective, sides)
    with network.differentiating(settings.precision), _explained(measure.objective):
        ascent = Ascent(network, measure, image, recipe.transforms, recipe.optimizer, settings)
        return _in_batches(ascent, image, jobs, at_once, compute)


def _in_batches(ascent: Ascent, image: Image, jobs: Sequence[Job], at_once: int, compute: Compute) -> Outcomes:
    found = Outcomes(np.zeros((len(jobs), *image.sides, image.colours.channels), "float32"))
    waiting = list(range(len(jobs)))
    for attempt in range(image.starts):
        batches = [waiting[at : at + at_once] for at in range(0, len(waiting), at_once)]
        # filled up: the same size always means the same rounding, and one trace
        filled = [[jobs[row] for row in rows + rows[-1:] * (at_once - len(rows))] for rows in batches]
        done = 0
        with closing(side_by_side(partial(ascent.optimize, attempt=attempt, compute=compute), filled)) as parts:
            for rows, batch, part in zip(batches, filled, parts, strict=True):
                found.put(rows, part, image.colours, partial(ascent.measure, batch))
                done += len(rows)
                if not attempt:
                    compute.report(done, len(jobs))
        # no start gave those a gradient that have none; others lost it on their way
        waiting = np.flatnonzero(found.finite & found.lost & ~found.zero_gradient).tolist()
    return found


def patterns_at_once(network: Network, objective: Objective, sides: tuple[int, int]) -> int:
    """Patterns that are computed fastest together: the power of two nearest to what fits a CPU's caches, or as many as
    fit the memory budget with as much again for their gradients; the same whichever are asked for."""
    height, width = network.input_arrays(1)[network.image_input].shape[1:3]
    share = sides[0] * sides[1] / (height * width)
    ends = [None] if objective.outputs else objective.layers  # all of the network, or up to the last of the layers
    each = share * max(image_bytes(network, until=path) for path in ends)
    if backend.current().device() != "CPU":
        return int(min(max(BUDGET // (2 * each), 1), MOST))
    return int(min(2 ** max(round(np.log2(CACHE / each)), 0), MOST_ON_CPU))


@contextmanager
def _explained(objective: Objective) -> Iterator[None]:
    """Says what a framework failed at the ascent of."""
    try:
        yield
    except (ValueError, TypeError, RuntimeError, ArithmeticError, AssertionError) as error:
        raise ModelError(f"the gradient of {objective.place} cannot be computed ({reason(error)})") from error
