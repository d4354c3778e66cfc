"""What a network says of an image, in numbers that are called what they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

PROBABILITY, LOGIT, VALUE = "probability", "logit", "value"


@dataclass(frozen=True)
class Prediction:
    """One class that a network sees in an image, or one number that it puts out.

    Attributes:
        index: of the class, or of the unit of the output.
        name: of the class, None if unknown.
        score: the number.
        unit: what the number is: a "probability" (0-1), a "logit" (a raw score of a class, before any softmax or
            sigmoid, or where it is not known whether there is to be one), or a "value" (in a unit of its own).

    Example:
        >>> prediction = convlens.Prediction(386, "African elephant", 0.633)
        >>> f"{prediction.title}: {prediction.words}"
        'African elephant: probability 0.633'
    """

    index: int
    name: str | None
    score: float
    unit: str = PROBABILITY

    @property
    def title(self) -> str:
        """The name, else the number: "class 3", or "unit 3" of an output that has no classes."""
        return self.name or f"{noun(self.unit)} {self.index}"

    @property
    def words(self) -> str:
        """The number with what it is: "probability 0.750", "logit 3.21", "value 58.3"."""
        return f"{self.unit} {number(self.score, self.unit)}"


def noun(unit: str) -> str:
    """What has a number of this unit: a class, or a unit of an output without classes."""
    return "unit" if unit == VALUE else "class"


def number(score: float, unit: str, decimals: int = 3) -> str:
    """A score as text: probabilities to so many decimals, all else to three digits."""
    return f"{score:.{decimals}f}" if unit == PROBABILITY else f"{score:.3g}" if abs(score) < 1000 else f"{score:,.0f}"


@dataclass(frozen=True)
class Predictions(Sequence[tuple[Prediction, ...]]):
    """The predictions of a batch of images: one entry an image, the likeliest class first.

    An entry is empty where the output is an embedding, which has no classes.

    Attributes:
        entries: a tuple of predictions an image.
        names: of the images.
        notes: what the user should know of them, a line each.

    Example:
        >>> predictions = convlens.load("bundled").predict(photo())
        >>> [prediction.name for prediction in predictions[0]]
        ['cat', 'dog']
    """

    entries: tuple[tuple[Prediction, ...], ...]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @overload
    def __getitem__(self, index: int) -> tuple[Prediction, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[tuple[Prediction, ...], ...]: ...
    def __getitem__(self, index: int | slice) -> tuple:
        return self.entries[index]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[tuple[Prediction, ...]]:
        return iter(self.entries)
