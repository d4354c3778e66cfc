"""Which call of a layer a reference means: files number calls in several ways, and one version did it wrongly."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from itertools import product
from math import prod
from typing import Any

from convlens.errors import ModelError, listing
from convlens.loading.keras.calls import Call, Reference, map_references

MAX_TRIED = 50_000
CallKey = tuple[str, int]  # a layer's name and the number of its call
END: CallKey = ("", 0)  # in place of a call, what takes the outputs


@dataclass(frozen=True)
class Step:
    """One call of one layer: the layer's name, the number of the call among its calls, and what it is called with."""

    layer: str
    number: int
    call: Call

    @property
    def key(self) -> CallKey:
        return self.layer, self.number


Waiting = list[Step]


def numbered(waiting: Waiting, outputs: Any) -> tuple[Waiting, Any]:
    """The calls and the outputs of a model with references by the place of a call among its layer's calls.

    Raises:
        ModelError: the file does not say which call is meant.
    """
    numbers = _renumbering(waiting, outputs)

    def placed(reference: Reference) -> Reference:
        return replace(reference, call=numbers.get((reference.layer, reference.call), reference.call))

    waiting, outputs = _changed(waiting, outputs, [placed(reference) for _, reference in _references(waiting, outputs)])
    return _without_dead_ends(waiting, outputs)


def _references(waiting: Waiting, outputs: Any) -> list[tuple[CallKey, Reference]]:
    """Every reference with the call that it stands in, in a fixed order."""
    references = [(step.key, reference) for step in waiting for reference in step.call.references()]
    map_references(outputs, lambda reference: references.append((END, reference)), constants=False)
    return references


def _changed(waiting: Waiting, outputs: Any, references: Sequence[Reference]) -> tuple[Waiting, Any]:
    """The same with other references, in the order of `_references`."""
    new = iter(references)

    def change(tree: Any) -> Any:
        return map_references(tree, lambda _: next(new), constants=False)

    steps = []
    for step in waiting:
        arguments, options = change([step.call.arguments, step.call.options])
        steps.append(replace(step, call=Call(arguments, options)))
    return steps, change(outputs)


def _renumbering(waiting: Waiting, outputs: Any) -> dict[CallKey, int]:
    """From the numbers by which calls are referred to, to those they have here.

    Keras counts all calls that a layer ever had, also those outside of the model, so that numbers may start
    anywhere. What is referred to beyond the calls at hand is taken in order, the last one last.
    """
    calls = Counter(step.layer for step in waiting)
    used: dict[str, set[int]] = {}
    for _, reference in _references(waiting, outputs):
        used.setdefault(reference.layer, set()).add(reference.call)
    renumbered: dict[CallKey, int] = {}
    for name, numbers in used.items():
        count = calls[name] or 1
        if max(numbers) >= count:
            ordered = sorted(numbers)
            first = max(0, count - len(ordered))
            renumbered |= {(name, number): first + place for place, number in enumerate(ordered)}
    return renumbered


def _without_dead_ends(waiting: Waiting, outputs: Any) -> tuple[Waiting, Any]:
    """The same where every call is for something, as in all that Keras writes, save Keras 3.2.

    That version refers to the first call of a layer whichever was meant. Where only one reading has no circle and
    uses every call, it is that.
    """
    references = _references(waiting, outputs)
    used = {(reference.layer, reference.call) for _, reference in references}
    calls = Counter(step.layer for step in waiting)
    lost = {step.layer for step in waiting if calls[step.layer] > 1 and step.key not in used}
    if not lost:
        return waiting, outputs
    takers, needed = [taker for taker, _ in references], {step.key for step in waiting if step.layer in lost}
    choices = [range(calls[taken.layer]) if taken.layer in lost else (taken.call,) for _, taken in references]
    readings = []
    if prod(map(len, choices)) <= MAX_TRIED:
        for chosen in product(*choices):
            changed = [replace(taken, call=call) for (_, taken), call in zip(references, chosen, strict=True)]
            if _makes_sense(takers, changed, needed):
                readings.append(changed)
    if len(readings) != 1:
        raise ModelError(
            f"the architecture does not say which call of {listing(sorted(lost), 4)} goes where, as Keras 3.2 wrote"
            " them; save the model again with another version"
        )
    return _changed(waiting, outputs, readings[0])


def _makes_sense(takers: list[CallKey], taken: list[Reference], needed: set[CallKey]) -> bool:
    """Whether every call needed is taken by another, and none waits for itself."""
    if not needed <= {(reference.layer, reference.call) for reference in taken}:
        return False
    order: TopologicalSorter = TopologicalSorter()
    for taker, reference in zip(takers, taken, strict=True):
        order.add(taker, (reference.layer, reference.call))
    try:
        order.prepare()
    except CycleError:
        return False
    return True
