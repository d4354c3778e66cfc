"""What a network says of images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convlens.backend.arrays import numpy_arrays
from convlens.data.predictions import Prediction, Predictions
from convlens.network.budget import chunks, images_at_once
from convlens.network.inspect.head import Head, read
from convlens.network.inspected import Inspected
from convlens.network.samples import read_samples


@dataclass(frozen=True)
class Scores:
    """What an output says of images, float32 (images, classes) each.

    Attributes:
        logits: what heatmaps explain.
        shown: what is shown, in the head's unit.
        ranked: what orders the classes: the likeliest has the most.
    """

    logits: np.ndarray
    shown: np.ndarray
    ranked: np.ndarray


def scores(
    network: Inspected, arrays: Sequence[np.ndarray], output: int | str = 0, batch_size: int | None = None
) -> Scores:
    """What an output says of inputs as the network takes them.

    Args:
        batch_size: images at once; as many as fit the memory budget by default.

    Raises:
        ModelError: the output runs through layers without weights.
    """
    head = network.head(output)
    network.untrained.check(network, output=head.output)

    def run(*tensors: Any) -> tuple[Any, Any, Any]:
        raw = read(network, head, tensors)
        return head.logits(raw), head.scores(raw), head.ranked(raw)

    compiled, parts = network.compiled(("scores", head.output), run), []
    with network.reading():
        for chunk in chunks(len(arrays[0]), batch_size or images_at_once(network, arrays)):
            parts.append(numpy_arrays(*compiled(*network.tensors([array[chunk] for array in arrays]))))
    return Scores(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def predict(
    network: Inspected, images: Any, output: int | str = 0, top: int | None = 5, batch_size: int | None = None
) -> Predictions:
    """See `Network.predict`."""
    head, samples = network.head(output), read_samples(network, images)
    said = scores(network, samples.arrays, head.output, batch_size)
    return Predictions(
        listed(network, head, said.shown, said.ranked, top),
        tuple(photo.name for photo in samples.photos),
        (*network.notes, *samples.notes, *head.notes),
    )


def listed(
    network: Inspected, head: Head, shown: np.ndarray, ranked: np.ndarray, top: int | None
) -> tuple[tuple[Prediction, ...], ...]:
    """The predictions of each image, with the names of the classes where they are those of this output."""
    names = class_names(network, head)
    return tuple(head.predictions(*row, names, top) for row in zip(shown, ranked, strict=True))


def class_names(network: Inspected, head: Head) -> tuple[str, ...] | None:
    """The names of an output's classes; a network's names are those of its first output."""
    if network.labels is None or head.output != 0 or len(network.labels.names) != head.classes:
        return None
    return network.labels.names
