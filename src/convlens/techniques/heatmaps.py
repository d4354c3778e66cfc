"""Where in an image a class comes from: class activation maps by gradients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convlens import backend
from convlens.backend.arrays import numpy_arrays
from convlens.errors import LayerError, OptionError, TargetError, near
from convlens.network.base import Network
from convlens.network.feed import Samples
from convlens.network.head import Head
from convlens.network.provenance import provenance
from convlens.results.heatmaps import Heatmap
from convlens.techniques.activations import recorded
from convlens.techniques.batches import chunks, images_at_once
from convlens.techniques.cam import METHODS
from convlens.techniques.precision import precision_of
from convlens.techniques.predictions import likeliest, rival_note, rival_predictions, with_rivals
from convlens.techniques.targets import class_name

SCORES = ("logit", "probability")


@dataclass(frozen=True)
class Explained:
    """What the passes over all images gave.

    Attributes:
        signed: maps before the ReLU, (targets, images, height, width).
        steepest: the largest gradients, (targets, images).
        found: the classes explained, (images, targets).
        logits, probabilities: (images, classes).
    """

    signed: np.ndarray
    steepest: np.ndarray
    found: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray


def class_maps(network: Network, layer: str, head: Head, method: str, score: str, count: int, given: bool) -> Callable:
    """A function (zeros, targets, *inputs) -> (maps, steepest, targets, logits, probabilities), all of one pass.

    The zeros are added to the layer's output, and the gradient is taken by them, so that only the network's
    tail is differentiated. Targets are (batch, count), read only where they are given; else the top `count` are taken.
    """
    from keras import ops

    def scored(zeros: Any, targets: Any, *tensors: Any) -> tuple[Any, tuple]:
        kept = []

        def shift(tensor: Any) -> Any:
            moved = tensor + ops.cast(zeros, tensor.dtype)
            kept.append(ops.cast(moved, "float32"))
            return moved

        with network.linear_head(head), network.intercept({layer: shift}):
            outputs = network.forward(tensors)
        assert outputs is not None
        values = head.scores(outputs[head.output], score)
        logits = head.scores(outputs[head.output], "logit")
        probabilities = head.scores(outputs[head.output], "probability")
        if not given:
            targets = ops.top_k(ops.stop_gradient(logits), count)[1]
        chosen = ops.take_along_axis(values, ops.cast(targets, "int32"), axis=1)
        # kept copies: what follows may work in place
        return ops.sum(chosen, axis=0), (ops.copy(kept[0]), targets, logits, probabilities)

    def run(zeros: Any, targets: Any, *tensors: Any) -> tuple:
        _, (features, found, logits, probabilities), grads = backend.current().gradients(scored)(
            zeros, targets, *tensors
        )
        maps = [METHODS[method](features, ops.cast(grads[number], "float32")) for number in range(count)]
        steepest = ops.max(ops.abs(grads), axis=(2, 3, 4))
        return ops.stack(maps), steepest, found, logits, probabilities

    return run


def heatmaps(
    network: Network,
    samples: Samples,
    targets: Sequence[int] | None = None,
    layer: str | None = None,
    method: str = "grad-cam",
    score: str = "logit",
    top: int = 1,
    output: int = 0,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    precision: str = "float32",
) -> tuple[Heatmap, ...]:
    """One heatmap a target, for a batch of images, from one forward pass for all targets.

    Args:
        network: the network to explain.
        samples: the images.
        targets: class indices; the top classes of each image by default.
        layer: where to look; the last spatial tensor that every path to the output crosses by default.
        method: one of METHODS.
        score: "logit", the score before the softmax or sigmoid (the paper's), or "probability", the one after it.
        top: how many of the likeliest classes, without targets.
        output: which of the network's outputs.
        batch_size: images at once; as many as fit the memory budget by default.
        progress: called with the number of images done and their total.
        precision: of the network's computing, as for patterns; the maps themselves are computed in float32 always.

    Returns:
        heatmaps with values float32 (batch, height, width) after the ReLU, and a status an image.

    Raises:
        LayerError: unknown, or not spatial.
        TargetError: the network has no such class.
        OptionError: unknown method, score or precision.
    """
    precision = precision_of(network, precision)
    head = network.head(output)
    _check(network, head, targets, method, score, top)
    place = spatial_layer(network, layer)
    count = len(targets) if targets is not None else top
    key = ("heatmap", place, output, method, score, count, targets is not None, precision)
    run = network.compiled(key, class_maps(network, place, head, method, score, count, targets is not None))
    wanted = np.tile(np.array(targets if targets is not None else [0] * count, "int32"), (len(samples), 1))
    explained = _explain(network, run, place, samples.arrays, wanted, batch_size, progress, precision)
    rivals = rival_predictions(network, head, samples, batch_size)
    notes = (*samples.notes, *rival_note(samples, rivals))
    said = {"method": method, "score": score, "scored": str(head), "precision": precision}
    origin = provenance(network, samples.preprocessing, notes, technique="heatmap", **said)
    shared = {
        "layer": place,
        "predictions": likeliest(network, head, explained.logits, explained.probabilities),
        "rival_predictions": rivals,
        "score": score,
        "method": method,
        "photos": samples.photos,
        "provenance": with_rivals(origin, rivals),
    }
    return tuple(_heatmap(network, samples.arrays, explained, number, targets, shared) for number in range(count))


def _explain(
    network: Network,
    run: Callable,
    layer: str,
    arrays: Sequence[np.ndarray],
    wanted: np.ndarray,
    batch_size: int | None,
    progress: Callable[[int, int], None] | None,
    precision: str,
) -> Explained:

    total, parts = len(wanted), []
    shape = network.observe(arrays).shapes[layer][1:]
    with network.differentiating(precision):
        for chunk in chunks(total, batch_size or images_at_once(network, arrays)):
            zeros = np.zeros((chunk.stop - chunk.start, *shape), "float32")
            batch = run(*network.tensors([zeros, wanted[chunk], *(array[chunk] for array in arrays)]))
            parts.append(numpy_arrays(*batch))
            if progress:
                progress(chunk.stop, total)
    return Explained(*(np.concatenate([part[i] for part in parts], axis) for i, axis in enumerate((1, 1, 0, 0, 0))))


def _heatmap(
    network: Network,
    arrays: Sequence[np.ndarray],
    explained: Explained,
    number: int,
    targets: Sequence[int] | None,
    shared: dict[str, Any],
) -> Heatmap:
    """The heatmaps of one target for all images."""
    chosen = tuple(int(index) for index in explained.found[:, number])
    status = []
    for image, (signed, steepest) in enumerate(zip(explained.signed[number], explained.steepest[number], strict=True)):
        if np.isfinite(signed).all():
            status.append(status_of(signed, float(steepest)))
        else:
            status.append(f"non-finite at {first_non_finite(network, [array[image : image + 1] for array in arrays])}")
    return Heatmap(
        values=np.maximum(explained.signed[number], 0).astype("float32"),
        target=chosen[0] if targets is not None or len(chosen) == 1 else chosen,
        names=tuple(class_name(network, index) for index in chosen),
        status=tuple(status),
        contrast=tuple(_contrast(explained.probabilities[i], index) for i, index in enumerate(chosen)),
        **shared,
    )


def status_of(signed: np.ndarray, steepest: float) -> str:
    """What a finite map says, in words.

    Args:
        signed: (height, width), before the ReLU.
        steepest: the largest absolute gradient that went into it.
    """
    if steepest == 0:
        return "zero gradient"
    if signed.max() <= 0:
        return "no positive evidence"
    return "constant" if signed.max() == signed.min() else "ok"


def first_non_finite(network: Network, arrays: Sequence[np.ndarray]) -> str:
    """The path of the first layer whose output has values that are not finite; "the gradient" if all are."""

    layers = network.select("*")
    with network.reading(), network.computing("float32"):
        outputs = recorded(network, layers)(*network.tensors(arrays))
    for layer, output in zip(layers, outputs, strict=True):
        if not np.isfinite(numpy_arrays(output)[0]).all():
            return layer.path
    return "the gradient"


def spatial_layer(network: Network, name: str | None) -> str:
    """The path of the layer to look at: the one named, or the default one.

    Raises:
        LayerError: it is unknown or has no spatial output; three that have one are named.
    """
    if name is None:
        return network.default_layer
    layer = network.layer(name)
    if not layer.is_spatial:
        others = [other.path for other in network.layers if other.is_spatial]
        default = [other.path for other in network.layers if other.default]
        shown = dict.fromkeys(default + others[::-1])
        raise LayerError(
            f"layer {layer.path!r} has output {layer.output_shape}; a heatmap needs a spatial one (batch, height,"
            f" width, channels) larger than 1x1, such as {', '.join(list(shown)[:3])}"
        )
    return layer.path


def _check(network: Network, head: Head, targets: Sequence[int] | None, method: str, score: str, top: int) -> None:
    if method not in METHODS:
        raise OptionError(f"unknown method {method!r}: {near(method, METHODS)}")
    if score not in SCORES:
        raise OptionError(f"unknown score {score!r}: {near(score, SCORES)}")
    for index in targets if targets is not None else []:
        if not 0 <= index < head.classes:
            raise TargetError(
                f"class {index} is out of range: {network.source} has {head.classes}, 0 to {head.classes - 1}"
            )
    if not 1 <= top <= head.classes:
        raise TargetError(f"top {top} is out of range: {network.source} has {head.classes} classes")


def _contrast(probabilities: np.ndarray, index: int) -> dict[str, float | int] | None:
    """The likeliest other class, and how much likelier than it the class is."""
    if len(probabilities) < 2:
        return None
    others = probabilities.copy()
    others[index] = -np.inf
    rival = int(others.argmax())
    return {"runner_up": rival, "difference": float(probabilities[index] - probabilities[rival])}


def correlation(first: Heatmap, second: Heatmap) -> list[float | None]:
    """How alike two classes' maps are: Pearson's correlation an image, None where a map is constant."""
    alike: list[float | None] = []
    for a, b in zip(first.values, second.values, strict=True):
        spread = float(a.std() * b.std())
        finite = np.isfinite(spread) and spread > 0
        alike.append(float(((a - a.mean()) * (b - b.mean())).mean() / spread) if finite else None)
    return alike
