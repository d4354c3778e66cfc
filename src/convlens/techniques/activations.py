"""What each layer makes of an image."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from convlens.images import Photo
from convlens.network.base import Network, StopForward
from convlens.network.layers import LayerInfo
from convlens.network.provenance import provenance
from convlens.results.activations import Activations, statistics
from convlens.techniques.batches import chunks, images_at_once


def recorded(network: Network, layers: Sequence[LayerInfo]) -> Callable:
    """A function of the network's inputs that gives the outputs of layers, float32, in one forward pass.

    The pass ends with the last of the layers.
    """
    from keras import ops

    def record(*tensors: Any) -> list[Any]:
        kept: dict[str, Any] = {}

        def keep(path: str) -> Callable:
            def hook(tensor: Any) -> Any:
                kept[path] = ops.copy(ops.cast(tensor, "float32"))  # a later layer may work in place
                if len(kept) == len(layers):
                    raise StopForward
                return tensor

            return hook

        with network.intercept({layer.path: keep(layer.path) for layer in layers}):
            network.forward(tensors)
        return [kept[layer.path] for layer in layers]

    return record


def activations(
    network: Network,
    photos: Sequence[Photo],
    arrays: Sequence[np.ndarray],
    layers: str | Iterable[str] | None = None,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Activations:
    """The outputs of layers for a batch of images, in one forward pass that stops after the last layer wanted.

    Args:
        network: the network to look into.
        photos: the images as they are shown.
        arrays: the network's inputs for them, (batch, height, width, channels) each.
        layers: names or globs; every convolution and pooling layer by default.
        batch_size: images at once; as many as fit the memory budget by default.
        progress: called with the number of images done and their total.

    Returns:
        by layer path, float32 (batch, height, width, channels), or (batch, …, features) where it is not spatial.

    Raises:
        LayerError: a layer is unknown, or there are none to look at.
    """
    from keras import ops

    chosen = network.select(layers)
    run = network.compiled(("activations", *(layer.path for layer in chosen)), recorded(network, chosen))
    parts: dict[str, list[np.ndarray]] = {layer.path: [] for layer in chosen}
    total, size = len(arrays[0]), batch_size or images_at_once(network, arrays)
    with network.reading():
        for chunk in chunks(total, size):
            outputs = run(*network.tensors([array[chunk] for array in arrays]))
            for layer, output in zip(chosen, outputs, strict=True):
                parts[layer.path].append(np.array(ops.convert_to_numpy(output)))
            if progress:
                progress(chunk.stop, total)
    values = {path: np.concatenate(batches) for path, batches in parts.items()}
    measured = {path: tuple(statistics(image) for image in batch) for path, batch in values.items()}
    return Activations(values, tuple(photos), measured, provenance(network, technique="activations"))
