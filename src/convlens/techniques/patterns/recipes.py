"""The methods of making patterns: which objective, image, transforms and optimizer, and why. Loads no framework."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from convlens.errors import OptionError, near
from convlens.techniques.patterns.images.base import Image
from convlens.techniques.patterns.images.fourier import Fourier
from convlens.techniques.patterns.images.pixel import Pixel
from convlens.techniques.patterns.objectives.base import Objective
from convlens.techniques.patterns.objectives.channel import Channel
from convlens.techniques.patterns.optimizers.adam import Adam
from convlens.techniques.patterns.optimizers.base import Optimizer
from convlens.techniques.patterns.optimizers.normalized import Normalized
from convlens.techniques.patterns.transforms.base import Transform
from convlens.techniques.patterns.transforms.warp import NONE, Jitter, Rotate, Scale, Warp


@dataclass(frozen=True)
class Recipe:
    """A method: four parts that go together, and how far to go with them.

    Attributes:
        name: what `method` calls it.
        paper: where it comes from.
        words: what it does, for people.
        objective: of a layer and the number of a filter in it.
        image: of sides in pixels and the colours of the network's input.
        transforms: applied one after the other in each step; none are drawn for what is measured.
        optimizer: moves the latent.
        steps, step_size: by default; a size is in grey levels where the image is of pixels, else in what the image's
            latent is of.
        side: of a pattern in pixels, by default.
    """

    name: str
    paper: str
    words: str
    objective: Callable[[str, int], Objective]
    image: type[Image]
    transforms: tuple[Transform, ...]
    optimizer: Optimizer
    steps: int
    step_size: float
    side: int = 64

    def to_json(self) -> dict[str, Any]:
        """What a user chooses a method by."""
        shown = ("name", "paper", "words", "steps", "step_size", "side")
        return {name: getattr(self, name) for name in shown}


ROWS = (
    Recipe(
        name="ascent",
        paper="Erhan et al. 2009, Visualizing higher-layer features; Chollet 2021, Deep learning with Python",
        words="gradient ascent on the pixels, from noise on grey: the book's",
        objective=Channel,
        image=Pixel,
        transforms=NONE,
        optimizer=Normalized(),
        steps=40,
        step_size=1.0,
    ),
    Recipe(
        name="fourier",
        paper="Olah et al. 2017, Feature visualization, doi 10.23915/distill.00007",
        words="Adam on an image's spectrum, in the colours of photos, which each step sees moved, turned and resized",
        objective=Channel,
        image=Fourier,
        transforms=(Warp((Rotate(5), Scale(0.9, 1.1), Jitter(8))),),
        optimizer=Adam(),
        steps=128,
        step_size=0.05,
        side=128,
    ),
)
RECIPES = {row.name: row for row in ROWS}


def recipe_of(method: str) -> Recipe:
    """The row of this name.

    Raises:
        OptionError: there is none.
    """
    if method not in RECIPES:
        raise OptionError(f"unknown method {method!r}: {near(method, RECIPES)}")
    return RECIPES[method]
