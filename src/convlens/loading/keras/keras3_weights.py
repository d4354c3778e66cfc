"""Weights of Keras's own format (`model.weights.h5`), put into a model by the rule of the version that wrote them.

Which rule that is, the file's version says; where there is none, it is the one that explains every group of the file
and every layer of the model. Where groups carry the names of layers (Keras 3.6 and later), these come first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import h5py
import numpy as np

from convlens.errors import ModelError
from convlens.loading.hdf5.safe import attribute, damaged, text
from convlens.loading.keras.keras3_layout import OLD_CONTAINER, Listed, places, rules
from convlens.loading.loaded import Filling

# what belongs to training, not to the network
STATES = ("optimizer", "metrics", "loss", "compile_metrics", "compiled_metrics", "compiled_loss")


@dataclass(frozen=True)
class Stored:
    """The variables in a file, by the paths of the groups that they belong to.

    Attributes:
        values: group -> key -> dataset.
        labels: group -> the name of its layer, where the file says it.
        filled: the groups with weights in them, at any depth.
    """

    values: dict[str, dict[str, h5py.Dataset]]
    labels: dict[str, str]
    filled: frozenset[str]


@dataclass(frozen=True)
class Pair:
    """A layer, the path of its group in the file, and the datasets in it by their keys."""

    layer: Any
    path: str
    values: dict[str, h5py.Dataset]


@dataclass(frozen=True)
class Match:
    """How a rule reads a file.

    Attributes:
        pairs: layers with what the file has for them.
        bare: layers whose weights, or some of them, the file lacks.
        unused: paths of groups that no layer takes.
        misfit: the first layer whose weights have another shape, in words.
    """

    pairs: tuple[Pair, ...]
    bare: tuple[Any, ...]
    unused: tuple[str, ...]
    misfit: str | None

    @property
    def perfect(self) -> bool:
        return not (self.bare or self.unused or self.misfit)

    @property
    def targets(self) -> frozenset[tuple[int, str]]:
        return frozenset((id(pair.layer), pair.path) for pair in self.pairs)


def is_keras3_layout(file: h5py.File) -> bool:
    """Whether the weights lie in Keras 3's layout: groups `layers/.../vars`."""
    return any(
        _canonical(key).startswith(("layers/", "vars")) or key in ("layers", OLD_CONTAINER) for key in map(str, file)
    )


def _canonical(path: str) -> str:
    """Windows' tf.keras wrote one group with backslashes in its name for a path."""
    return path.replace("\\", "/").replace(OLD_CONTAINER, "layers")


def stored(file: h5py.File, name: str) -> Stored:
    """What a file has, by names and shapes."""
    values: dict[str, dict[str, h5py.Dataset]] = {}
    labels: dict[str, str] = {}

    def visit(path: str, entry: Any) -> None:
        owner, _, last = f"/{_canonical(path)}".rpartition("/vars")
        owner, last = owner.strip("/"), last.strip("/")
        if isinstance(entry, h5py.Dataset):
            values.setdefault(owner, {})[last] = entry
        elif not last and (label := attribute(entry, "name", name)) is not None:
            labels[owner] = text(label)

    file.visititems(visit)
    filled = set()
    for path in [path for path in values if not _is_state(path, values[path])]:
        filled |= {path[:end] for end in range(len(path) + 1) if path[end : end + 1] in ("", "/")}
    return Stored(values, labels, frozenset(filled))


def load_weights(
    model: Any,
    file: h5py.File,
    name: str,
    version: str | None,
    listed: Mapping[int, Listed],
    originals: Mapping[str, str],
) -> Filling:
    """Puts the weights of a file into a built model.

    Args:
        name: of the file, for messages.
        version: of the Keras that wrote the file; None where it is not known.
        listed: the layers of models in the order of the architecture in the file, by the models' ids.
        originals: a layer's name in the model -> its name in the file, where they differ.

    Raises:
        ModelError: nothing fits, weights have another shape than the model's, or no rule of any version explains
            why weights are left over while layers go without.
    """
    try:
        content = stored(file, name)
        old = any(OLD_CONTAINER in str(key) for key in file)
        readings = (
            _match(content, name, places(model, rule, listed, partial(_by_name, content, originals), content.filled))
            for rule in rules(version, old)
        )
        match = _chosen(readings, name, version is not None)
        arrays = [{key: _array(value, pair.path) for key, value in pair.values.items()} for pair in match.pairs]
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        raise damaged(name, error) from error
    bare = tuple((originals.get(str(layer.name), str(layer.name)), layer) for layer in match.bare)
    filling = Filling(name, bare, tuple(content.labels.get(path, path) for path in match.unused))
    for pair, values in zip(match.pairs, arrays, strict=True):
        pair.layer.load_own_variables(values)
    return filling


def _chosen(readings: Iterator[Match], name: str, known: bool) -> Match:
    """The reading of the file that explains all of it, else that of the likeliest rule."""
    first = next(readings)
    if known and first.perfect:
        return first
    perfect = [match for match in (first, *readings) if match.perfect]
    if len({match.targets for match in perfect}) > 1:
        raise ModelError(
            f"the weights in {name} fit the architecture in more than one way; give the whole model as a .keras file"
        )
    match = perfect[0] if perfect else first
    if match.misfit:
        raise ModelError(match.misfit)
    if not match.pairs:
        theirs = ", ".join(list(match.unused)[:3]) or "nothing"
        raise ModelError(
            f"no layer of the architecture is in {name} (it has {theirs}); give the architecture that the weights are"
            " of"
        )
    return match


def _match(content: Stored, name: str, walk: list[tuple[str, Any]]) -> Match:
    """What a rule makes of a file; nothing is read but names and shapes."""
    pairs, bare, misfits, taken = [], [], [], set()
    for path, layer in walk:
        wanted: dict[str, Any] = {}
        layer.save_own_variables(wanted)
        values = content.values.get(path, {})
        if not wanted:
            continue
        taken.add(path)
        ours, theirs = ({key: tuple(array.shape) for key, array in side.items()} for side in (wanted, values))
        if any(theirs.get(key, shape) != shape for key, shape in ours.items()) or any(
            theirs[key] for key in theirs.keys() - ours
        ):
            misfits.append(
                f"the weights do not fit: layer {layer.name} takes {_shapes(ours)}, {name} has {_shapes(theirs)} at"
                f" {path}; give the architecture that the weights are of"
            )
        elif ours.keys() <= theirs.keys():
            pairs.append(Pair(layer, path, {key: values[key] for key in wanted}))
        else:
            bare.append(layer)
    unused = [path for path, values in content.values.items() if path not in taken and not _is_state(path, values)]
    return Match(tuple(pairs), tuple(bare), tuple(unused), misfits[0] if misfits else None)


def _shapes(shapes: dict[str, tuple]) -> str:
    return ", ".join(str(shape) for shape in list(shapes.values())[:4])


def _by_name(content: Stored, originals: Mapping[str, str], path: str, entries: Listed) -> dict[int, str] | None:
    """The groups of a list's layers by the names in the file: if all are in both, or all of one side in the other."""
    prefix = f"{path}/"
    inside = [key for key in content.filled if key.startswith(prefix) and "/" not in key[len(prefix) :]]
    theirs = {content.labels.get(key): key[len(prefix) :] for key in inside}
    ours = {
        originals.get(str(entry.name), str(entry.name)): place
        for place, (_, entry) in enumerate(entries)
        if getattr(entry, "weights", None)
    }
    if None in theirs or not theirs or not (set(theirs) <= set(ours) or set(ours) <= set(theirs)):
        return None
    return {place: theirs[label] for label, place in ours.items() if label in theirs}


def _is_state(path: str, values: dict[str, h5py.Dataset]) -> bool:
    """Whether variables are no weights: an optimizer's or a metric's, or whole numbers, as random generators have."""
    first = path.split("/")[0].strip("_")
    whole = all(np.issubdtype(value.dtype, np.integer) for value in values.values())
    return first in STATES or first.endswith(("_tracker", "_metric")) or whole


def _array(value: h5py.Dataset, place: str) -> np.ndarray:
    array = np.asarray(value[()])
    if array.dtype.kind == "V" and array.dtype.itemsize == 2:  # bfloat16: the upper half of a float32
        array = (array.view("uint16").astype("uint32") << 16).view("float32")
    if array.dtype.kind not in "fiub":
        raise ModelError(f"damaged weights: {place} holds no numbers")
    return array
