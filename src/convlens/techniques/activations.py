"""What each layer makes of an image."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from convlens.images import Photo
from convlens.network.base import Network, StopForward
from convlens.network.layers import LayerInfo
from convlens.network.provenance import provenance
from convlens.results.activations import Activations, LayerStatistics
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


def summarized(record: Callable) -> Callable:
    """A function as `recorded`, which gives with each output its channels' lowest and highest value, mean and share of
    values above 0, (4, batch, channels): computed where the output is, as the host would take longer over it."""
    from keras import ops

    def run(*tensors: Any) -> list[tuple[Any, Any]]:
        found = []
        for output in record(*tensors):
            flat = ops.reshape(output, (output.shape[0], -1, output.shape[-1] if len(output.shape) > 1 else 1))
            active = ops.mean(ops.cast(flat > 0, "float32"), axis=1)
            parts = [ops.min(flat, axis=1), ops.max(flat, axis=1), ops.mean(flat, axis=1), active]
            found.append((output, ops.stack(parts)))
        return found

    return run


def _statistics(summary: np.ndarray, shape: tuple[int, ...]) -> list[LayerStatistics]:
    """For each image of a batch, from what `summarized` gives and the output's shape."""
    positions = int(np.prod(shape[1:-1]))
    numbers = zip(*summary, strict=True)
    return [LayerStatistics.of_channels(low, high, mean, active, positions) for low, high, mean, active in numbers]


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
    run = network.compiled(("activations", *(layer.path for layer in chosen)), summarized(recorded(network, chosen)))
    parts: dict[str, list[np.ndarray]] = {layer.path: [] for layer in chosen}
    measured: dict[str, list[LayerStatistics]] = {layer.path: [] for layer in chosen}
    total, size = len(arrays[0]), batch_size or images_at_once(network, arrays)
    with network.reading():
        for chunk in chunks(total, size):
            outputs = run(*network.tensors([array[chunk] for array in arrays]))
            for layer, (output, summary) in zip(chosen, outputs, strict=True):
                parts[layer.path].append(np.array(ops.convert_to_numpy(output)))
                measured[layer.path] += _statistics(np.array(ops.convert_to_numpy(summary)), tuple(output.shape))
            if progress:
                progress(chunk.stop, total)
    values = {path: np.concatenate(some) if len(some) > 1 else some[0] for path, some in parts.items()}
    found = {path: tuple(each) for path, each in measured.items()}
    return Activations(values, tuple(photos), found, provenance(network, technique="activations"))
