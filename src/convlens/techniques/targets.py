"""Which class the user means, or which number and whether up or down, and what it is called."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from convlens.errors import TargetError
from convlens.network.inspect.head import EMBEDDING, Head
from convlens.network.network import Network
from convlens.network.predicting import class_names

UP, DOWN = "up", "down"


@dataclass(frozen=True)
class Target:
    """What a heatmap explains: a class, or a number of an output without classes, which can be raised or lowered."""

    index: int
    direction: str | None = None

    @property
    def sign(self) -> float:
        return -1.0 if self.direction == DOWN else 1.0


def find_target(network: Network, head: Head, target: int | str) -> Target:
    """The target that the user means by an index or a name, with a direction where the output has no classes.

    Raises:
        TargetError: the output has nothing of the kind, or the name is unknown or ambiguous.
    """
    if not isinstance(target, str):
        return _checked(network, head, int(target), None)
    text = target.strip()
    if head.has_classes:
        return _checked(network, head, _index(network, head, text), None)
    found = re.fullmatch(r"(?:(.*?)\s+)?(up|down)", text, re.IGNORECASE | re.DOTALL)
    unit, direction = (found[1], found[2].lower()) if found else (text, UP)
    if not unit and head.units > 1:
        raise TargetError(f"target {target!r}: {_source(network, head)} has {head.units} units; {_choice(head)}")
    return _checked(network, head, _index(network, head, unit) if unit else 0, direction)


def _index(network: Network, head: Head, text: str) -> int:
    if text.lstrip("-").isdigit():
        return int(text)
    if network.labels is None or class_names(network, head) is None:
        what = "the classes" if head.has_classes else "the units"
        raise TargetError(
            f"class {text!r}: {what} of {_source(network, head)} have no names; {_choice(head)}"
            f"{' or labels' if head.has_classes else ''}"
        )
    return network.labels.index(text)


def _checked(network: Network, head: Head, index: int, direction: str | None) -> Target:
    if not 0 <= index < head.classes:
        what = "class" if head.has_classes else "unit"
        raise TargetError(
            f"{what} {index} is out of range: {_source(network, head)} has {head.classes}, 0 to {head.classes - 1}"
            f"{'' if head.has_classes else '; ' + _choice(head)}"
        )
    return Target(index, direction if head.has_classes else direction or UP)


def _source(network: Network, head: Head) -> str:
    return network.source if head.output == 0 else f"output {head.name or head.output} of {network.source}"


def _choice(head: Head) -> str:
    if head.has_classes:
        return "give an index"
    if head.units == 1:
        return 'give "up" (0) or "down"'
    return 'give an index, as "1" or "1 down"'


def find_targets(network: Network, head: Head, targets: Sequence[int | str] | None, top: int) -> list[Target] | None:
    """The targets that the user means, or those of `top_targets` where none are given.

    Raises:
        TargetError: there are none, or the output has nothing of the kind.
    """
    if targets is None:
        return top_targets(network, head, top)
    if not targets:
        raise TargetError("no target given; expected a class index or name")
    return [find_target(network, head, target) for target in targets]


def top_targets(network: Network, head: Head, top: int) -> list[Target] | None:
    """What is explained where no target is given: None for the likeliest classes, else the first numbers, raised.

    Raises:
        TargetError: the output is an embedding, or has fewer classes.
    """
    if head.each == EMBEDDING:
        raise TargetError(
            f"{_source(network, head)} is taken as an embedding of {head.units} numbers ({head.reason}), which has no"
            " likeliest class; give target=INDEX to explain one of them, or head= if it is something else:"
            f" {', '.join(kind for kind in head.fitting if kind != EMBEDDING)}"
        )
    if not 1 <= top <= head.classes:
        what = "classes" if head.has_classes else "units"
        raise TargetError(f"top {top} is out of range: {_source(network, head)} has {head.classes} {what}")
    return None if head.has_classes else [Target(index, UP) for index in range(top)]
