"""What each layer makes of an image."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from convlens.backend.arrays import numpy_arrays
from convlens.network.budget import chunks, images_at_once
from convlens.network.network import Network
from convlens.network.provenance import provenance
from convlens.network.samples import Samples
from convlens.results.activations import Activations, LayerStatistics, LazyArrays
from convlens.techniques.recording import recorded
from convlens.techniques.request import PLAIN, ActivationsRequest, Compute


def summarized(record: Callable) -> Callable:
    """A function as `recorded`, which gives with each output its channels' highest value, mean and share of values
    above 0, (3, batch, channels): computed where the output is, as the host would take longer over it."""
    from keras import ops

    def along(reduce: Callable, output: Any) -> Any:
        # one axis after the other: several times as fast as all at once on TensorFlow's CPU kernels
        while len(output.shape) > 2:
            output = reduce(output, axis=-2)
        return output

    def run(*tensors: Any) -> list[tuple[Any, Any]]:
        found = []
        for output in record(*tensors):
            channels = ops.expand_dims(output, -1) if len(output.shape) == 1 else output
            active = along(ops.mean, ops.cast(channels > 0, "float32"))
            found.append((output, ops.stack([along(ops.max, channels), along(ops.mean, channels), active])))
        return found

    return run


def _statistics(output: Any, summary: np.ndarray) -> list[LayerStatistics]:
    """For each image of a batch, from what `summarized` gives."""
    from keras import ops

    highest, mean, active = summary
    blank = (highest == 0) & (mean == 0)
    if np.prod(output.shape[1:-1]) == 1:
        blank = highest == 0
    # the same value everywhere is the highest and the mean: only such channels need be looked at
    elif len(alike := np.flatnonzero((np.isclose(highest, mean, rtol=1e-4) & ~blank).any(0))):
        (values,) = numpy_arrays(ops.take(output, alike, axis=-1))
        values = values.reshape(len(values), -1, len(alike))
        blank[:, alike] |= values.max(1) == values.min(1)
    return [LayerStatistics.of_channels(*row) for row in zip(blank, highest, mean, active, strict=True)]


def activations(
    network: Network, samples: Samples, request: ActivationsRequest, compute: Compute = PLAIN
) -> Activations:
    """The outputs of layers for a batch of images, in one forward pass that stops after the last layer wanted.

    Args:
        network: the network to look into.
        samples: the images.
        request: the layers, which by default are those that have weights for all that they run through.
        compute: how.

    Returns:
        by layer path, float32 (batch, height, width, channels), or (batch, …, features) where it is not spatial.

    Raises:
        LayerError: a layer is unknown, or there are none to look at.
        ModelError: a layer runs through layers without weights.
    """
    listed = network.select(request.layers)
    chosen = (network.untrained.trained(network, listed) or listed) if request.layers is None else listed
    left = [layer.path for layer in listed if layer not in chosen]
    notes = [f"left out, as they run through layers without weights: {', '.join(left)}"] if left else []
    network.untrained.check(network, [layer.path for layer in chosen])
    run = network.compiled(("activations", *(layer.path for layer in chosen)), summarized(recorded(network, chosen)))
    parts: dict[str, list[Any]] = {layer.path: [] for layer in chosen}
    measured: dict[str, list[LayerStatistics]] = {layer.path: [] for layer in chosen}
    total, size = len(samples), compute.batch_size or images_at_once(network, samples.arrays)
    with network.reading():
        for chunk in chunks(total, size):
            compute.check()
            outputs = run(*network.tensors(samples[chunk].arrays))
            for layer, (output, summary) in zip(chosen, outputs, strict=True):
                # what one batch makes fits the budget and may stay on the device until somebody asks for it
                parts[layer.path].append(output if size >= total else numpy_arrays(output)[0])
                measured[layer.path] += _statistics(output, *numpy_arrays(summary))
            compute.report(chunk.stop, total)
    found = {path: tuple(each) for path, each in measured.items()}
    fetch = {path: partial(_joined, some) for path, some in parts.items()}
    how = {"technique": request.technique, "images": samples.origins, "request": request.to_json()}
    origin = provenance(network, samples.preprocessing, [*samples.notes, *notes], **how)
    return Activations(LazyArrays(fetch), samples.photos, found, origin)


def _joined(parts: list[Any]) -> np.ndarray:
    return numpy_arrays(parts[0])[0] if len(parts) == 1 else np.concatenate(parts)
