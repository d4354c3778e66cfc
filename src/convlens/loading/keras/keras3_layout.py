"""Where the writers of Keras's own format put the weights of each layer: their walks through a model, done again.

A writer goes through a model depth first and gives every layer that it comes upon for the first time a group. A layer
in a list is called by its class and counted; one that is an attribute of another is called by the attribute. How lists
are counted, and in which order attributes come, differs between versions.
"""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import keras

from convlens.network.keras.inputs import has_graph

OLD_CONTAINER = "_layer_checkpoint_dependencies"  # what tf.keras 2.12 to 2.14 called `layers`
Listed = Sequence[tuple[str, Any]]  # classes and layers; None in place of what is no layer here
Pick = Callable[[str, Listed], Mapping[int, str] | None]


@dataclass(frozen=True)
class Rule:
    """How a range of versions names groups.

    Attributes:
        versions: in words.
        twice: layers with weights are counted twice in a model, because its list had them under two keys.
        again: layers that were saved before are counted again.
        order: the key by which the attributes of a layer are sorted.
        backwards: whether they are taken from the end.
        within: lists in lists are gone through, too.
    """

    versions: str
    twice: bool = False
    again: bool = True
    order: Callable[[str], str] = str
    backwards: bool = False
    within: bool = False


def _private_last(name: str) -> str:
    return f"~{name}" if name.startswith("_") else name


TF_2_12 = Rule("tf.keras 2.12 and 2.13", twice=True)
TF_2_14 = Rule("tf.keras 2.14", again=False)
TF_2_15 = Rule("tf.keras from 2.15 on", again=False, backwards=True)
KERAS_3 = Rule("Keras 3", order=_private_last)
KERAS_3_15 = Rule("Keras from 3.15.1 on", order=_private_last, within=True)


def rules(version: str | None, old_container: bool) -> list[Rule]:
    """The rules that a file may have been written by, the likeliest first.

    Args:
        version: of the Keras that wrote it, where the file says it.
        old_container: whether it has the name for lists of layers that tf.keras gave up with 2.15.
    """
    numbers = tuple(int(part) for part in re.findall(r"\d+", version or "3")[:3])
    since = {(2,): TF_2_12, (2, 14): TF_2_14, (2, 15): TF_2_15, (3,): KERAS_3, (3, 15, 1): KERAS_3_15}
    first = next((rule for start, rule in reversed(since.items()) if numbers >= start), KERAS_3)
    possible = [rule for rule in since.values() if not old_container or rule in (TF_2_12, TF_2_14)]
    return sorted(possible, key=lambda rule: rule is not first)


def places(
    model: Any, rule: Rule, listed: Mapping[int, Listed], pick: Pick, filled: Container[str]
) -> list[tuple[str, Any]]:
    """Every layer of a model, with the path of the group that a writer puts its weights into.

    Args:
        listed: the layers of models in the order of the architecture in the file, by the models' ids.
        pick: from the path of a list and what is in it, to the names of the groups by place in the list; None where
            the rule names them.
        filled: the groups that the file has; of two attributes that are the same layer, versions know but one.

    Returns:
        pairs of a path, with lists of layers called `layers` whatever the version, and a layer; the model itself has
        the path "".
    """
    visited: dict[int, tuple[str, Any]] = {}

    def visit(layer: Any, path: str) -> None:
        if id(layer) in visited:
            return
        visited[id(layer)] = path, layer
        prefix = f"{path}/" if path else ""
        children = list(_children(layer, rule, listed))
        for name, child in children:
            if isinstance(child, keras.layers.Layer):
                names = [other for other, same in children if same is child and prefix + other in filled]
                visit(child, prefix + (names[0] if names else name))
            else:
                visit_list(child, prefix + name, rule.twice and _has_graph(layer))

    def visit_list(entries: Listed, path: str, twice: bool) -> None:
        names = pick(path, entries) or {}
        counts: Counter[str] = Counter()
        for place, (kind, entry) in enumerate(entries):
            if not rule.again and id(entry) in visited:
                continue
            name = snake_case(kind)
            number = counts[name]
            counts[name] += 1 + (twice and bool(getattr(entry, "weights", ())))
            group = f"{path}/{names.get(place) or (f'{name}_{number}' if number else name)}"
            if isinstance(entry, keras.layers.Layer):
                visit(entry, group)
            elif entry is not None:
                visit_list(entry, group, False)

    visit(model, "")
    return list(visited.values())


def snake_case(kind: str) -> str:
    """The name of a class as it is in paths: "SeparableConv2D" -> "separable_conv2d"."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _has_graph(layer: Any) -> bool:
    return isinstance(layer, keras.Model) and has_graph(layer)


def _children(layer: Any, rule: Rule, listed: Mapping[int, Listed]) -> Iterator[tuple[str, Any]]:
    """The attributes of a layer that are layers or lists of them, in the writer's order."""
    graph = _has_graph(layer)
    if graph:
        yield "layers", listed.get(id(layer)) or [(type(inner).__name__, inner) for inner in layer.layers]
    skipped = _usual_attributes(graph)
    for name in sorted(dir(layer), key=rule.order, reverse=rule.backwards):
        if name.startswith(("__", "_self_")) or name in skipped:  # _self_: TensorFlow's own bookkeeping
            continue
        try:
            value = getattr(layer, name)
        except Exception:  # a property that cannot be had yet; writers pass it over, too
            continue
        if isinstance(value, keras.layers.Layer):
            yield name, value
        elif isinstance(value, list | tuple | dict):
            yield name, _entries(value, rule.within)


def _entries(container: Any, within: bool, depth: int = 0) -> list[tuple[str, Any]]:
    values = container.values() if isinstance(container, dict) else container
    entries: list[tuple[str, Any]] = []
    for value in values:
        if isinstance(value, keras.layers.Layer):
            entries.append((type(value).__name__, value))
        elif within and depth < 20 and isinstance(value, list | tuple | dict):
            entries.append(("container", _entries(value, within, depth + 1)))
    return entries


@cache
def _usual_attributes(graph: bool) -> frozenset[str]:
    """The attributes that every layer has, or every model with a graph."""
    names = set(dir(keras.layers.Layer()))
    if graph:
        start = keras.Input((1,))
        for model in (keras.Sequential([start]), keras.Model(start, start)):
            names |= set(dir(model))
    return frozenset(names)
