"""Which call of a layer a reference means: files number calls in several ways, and one version did it wrongly."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from itertools import product
from math import prod
from typing import Any

from convlens.errors import ModelError
from convlens.loading.calls import Call, Reference, map_references

MAX_TRIED = 50_000
Waiting = list[tuple[str, int, Call]]  # a layer's name, the number of its call, and the call
END = ("", 0)  # in place of a call, what takes the outputs


def numbered(waiting: Waiting, outputs: Any) -> tuple[Waiting, Any]:
    """The calls and the outputs of a model with references by the place of a call among its layer's calls.

    Raises:
        ModelError: the file does not say which call is meant.
    """
    found = _renumbering(waiting, outputs)

    def placed(reference: Any) -> Any:
        number = found.get((reference.layer, reference.call), reference.call)
        return replace(reference, call=number)

    waiting, outputs = _changed(waiting, outputs, [placed(reference) for _, reference in _references(waiting, outputs)])
    return _without_dead_ends(waiting, outputs)


def _references(waiting: Waiting, outputs: Any) -> list[tuple[tuple[str, int], Reference]]:
    """Every reference with the call that it stands in, in a fixed order."""
    found = [((name, number), reference) for name, number, call in waiting for reference in call.references()]
    map_references(outputs, lambda reference: found.append((END, reference)), constants=False)
    return found


def _changed(waiting: Waiting, outputs: Any, references: Sequence[Reference]) -> tuple[Waiting, Any]:
    """The same with other references, in the order of `_references`."""
    new = iter(references)

    def change(tree: Any) -> Any:
        return map_references(tree, lambda _: next(new), constants=False)

    calls = []
    for name, number, call in waiting:
        arguments, options = change([call.arguments, call.options])
        calls.append((name, number, Call(arguments, options)))
    return calls, change(outputs)


def _renumbering(waiting: Waiting, outputs: Any) -> dict[tuple[str, int], int]:
    """From the numbers by which calls are referred to, to those they have here.

    Keras counts all calls that a layer ever had, also those outside of the model, so that numbers may start
    anywhere. What is referred to beyond the calls at hand is taken in order, the last one last.
    """
    calls = Counter(name for name, _, _ in waiting)
    used: dict[str, set[int]] = {}
    for _, reference in _references(waiting, outputs):
        used.setdefault(reference.layer, set()).add(reference.call)
    found = {}
    for name, numbers in used.items():
        count = calls[name] or 1
        if max(numbers) >= count:
            ordered = sorted(numbers)
            found |= {(name, number): max(0, count - len(ordered)) + place for place, number in enumerate(ordered)}
    return found


def _without_dead_ends(waiting: Waiting, outputs: Any) -> tuple[Waiting, Any]:
    """The same where every call is for something, as in all that Keras writes, save Keras 3.2.

    That version refers to the first call of a layer whichever was meant. Where only one reading has no circle and
    uses every call, it is that.
    """
    references = _references(waiting, outputs)
    used = {(reference.layer, reference.call) for _, reference in references}
    calls = Counter(name for name, _, _ in waiting)
    lost = {name for name, number, _ in waiting if calls[name] > 1 and (name, number) not in used}
    if not lost:
        return waiting, outputs
    choices = [range(calls[one.layer]) if one.layer in lost else (one.call,) for _, one in references]
    readings = []
    if prod(map(len, choices)) <= MAX_TRIED:
        for chosen in product(*choices):
            changed = [replace(one, call=call) for (_, one), call in zip(references, chosen, strict=True)]
            if _makes_sense([place for place, _ in references], changed, {(n, k) for n, k, _ in waiting if n in lost}):
                readings.append(changed)
    if len(readings) != 1:
        raise ModelError(
            f"the architecture does not say which call of {', '.join(sorted(lost)[:4])} goes where, as Keras 3.2 wrote"
            " them; save the model again with another version"
        )
    return _changed(waiting, outputs, readings[0])


def _makes_sense(takers: list[tuple[str, int]], taken: list[Reference], needed: set[tuple[str, int]]) -> bool:
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
