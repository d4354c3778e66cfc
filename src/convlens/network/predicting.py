"""What a network says of images."""

from typing import Any

import numpy as np

from convlens.data.predictions import Prediction, Predictions
from convlens.network.budget import chunks, images_at_once
from convlens.network.inspect.head import Head, computed
from convlens.network.network import Network
from convlens.network.samples import read_samples


def predict(
    network: Network, images: Any, output: int | str = 0, top: int | None = 5, batch_size: int | None = None
) -> Predictions:
    """The likeliest classes of images, or the values that an output has for them.

    Args:
        images: as `convlens.heatmap` takes them.
        output: which of the network's outputs, by number or name.
        top: how many a picture; None for all.
        batch_size: images at once; as many as fit the memory budget by default.

    Raises:
        ImageError: an image cannot be read or does not fit the network.
        OptionError: the network has no such output.
    """
    head, samples = network.head(output), read_samples(network, images)
    parts = [
        computed(network, samples[chunk].arrays, head.output)[1:]
        for chunk in chunks(len(samples), batch_size or images_at_once(network, samples.arrays))
    ]
    scores, ranked = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Predictions(
        listed(network, head, scores, ranked, top),
        tuple(photo.name for photo in samples.photos),
        (*network.notes, *samples.notes, *head.notes),
    )


def listed(
    network: Network, head: Head, scores: np.ndarray, ranked: np.ndarray, top: int | None
) -> tuple[tuple[Prediction, ...], ...]:
    """The predictions of each image, with the names of the classes where they are those of this output."""
    names = class_names(network, head)
    return tuple(head.predictions(*row, names, top) for row in zip(scores, ranked, strict=True))


def class_names(network: Network, head: Head) -> tuple[str, ...] | None:
    """The names of an output's classes; a network's names are those of its first output."""
    if network.labels is None or head.output != 0 or len(network.labels.names) != head.classes:
        return None
    return network.labels.names
