"""Where in an image a class comes from: class activation maps by gradients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convlens import backend
from convlens.backend.arrays import numpy_arrays
from convlens.data.predictions import PROBABILITY
from convlens.errors import LayerError, OptionError, near
from convlens.network.budget import chunks, images_at_once
from convlens.network.inspect.head import Head, read
from convlens.network.network import Network
from convlens.network.predicting import class_names, listed
from convlens.network.provenance import provenance
from convlens.network.samples import Samples
from convlens.results.heatmaps import Heatmap
from convlens.techniques.activations import recorded
from convlens.techniques.cam import METHODS
from convlens.techniques.precision import precision_of
from convlens.techniques.request import PLAIN, Compute, HeatmapRequest
from convlens.techniques.rivals import rival_note, rival_predictions, with_rivals
from convlens.techniques.targets import Target, find_targets

SCORES = ("logit", "probability")
SHOWN = 5  # predictions an image
SATURATED = "saturated"


@dataclass(frozen=True)
class Explained:
    """What the passes over all images gave.

    Attributes:
        signed: maps before the ReLU, (targets, images, height, width).
        steepest: the largest gradients, (targets, images).
        found: the classes explained, (images, targets).
        scores, ranked: what is shown of the classes, and what orders them, (images, classes).
        saturated: where a probability rounds to 0 or 1, (images, classes).
    """

    signed: np.ndarray
    steepest: np.ndarray
    found: np.ndarray
    scores: np.ndarray
    ranked: np.ndarray
    saturated: np.ndarray


def class_maps(network: Network, layer: str, head: Head, method: str, score: str, count: int, given: bool) -> Callable:
    """A function (zeros, targets, signs, *inputs) -> what `Explained` holds, all of one pass.

    The zeros are added to the layer's output, and the gradient is taken by them, so that only the network's
    tail is differentiated. Targets are (batch, count), read only where they are given; else the top `count` are taken.
    """
    from keras import ops

    def scored(zeros: Any, targets: Any, signs: Any, *tensors: Any) -> tuple[Any, tuple]:
        kept = []

        def shift(tensor: Any) -> Any:
            moved = tensor + ops.cast(zeros, tensor.dtype)
            kept.append(ops.cast(moved, "float32"))
            return moved

        raw = read(network, head, tensors, {layer: shift})
        scores, ranked = head.scores(raw), head.ranked(raw)
        values = head.logits(raw) if score == "logit" else scores
        if not given:
            targets = ops.top_k(ops.stop_gradient(ranked), count)[1]
        chosen = ops.take_along_axis(values, ops.cast(targets, "int32"), axis=1) * signs
        saturated = ops.cast(head.saturated(raw), "float32")
        # kept copies: what follows may work in place
        return ops.sum(chosen, axis=0), (ops.copy(kept[0]), targets, scores, ranked, saturated)

    def run(zeros: Any, targets: Any, signs: Any, *tensors: Any) -> tuple:
        _, (features, *rest), grads = backend.current().gradients(scored)(zeros, targets, signs, *tensors)
        maps = [METHODS[method](features, ops.cast(grads[number], "float32")) for number in range(count)]
        steepest = ops.max(ops.abs(grads), axis=(2, 3, 4))
        return (ops.stack(maps), steepest, *rest)

    return run


def heatmaps(
    network: Network, samples: Samples, request: HeatmapRequest, compute: Compute = PLAIN
) -> tuple[Heatmap, ...]:
    """One heatmap a target, for a batch of images, from one forward pass for all targets.

    Args:
        network: the network to explain.
        samples: the images.
        request: the targets, which are the likeliest class of each image by default, the layer, by default the last
            spatial tensor that every path to the output crosses, and the method.
        compute: how.

    Returns:
        heatmaps with values float32 (batch, height, width) after the ReLU, and a status an image.

    Raises:
        LayerError: unknown, or not spatial.
        TargetError: the output has no classes, or fewer.
        OptionError: unknown method, score, precision or output.
        ModelError: the output runs through layers without weights.
        CancelledError: the caller cancelled it.
    """
    precision = precision_of(network, request.precision)
    head = network.head(request.output)
    _check(network, head, request.method, request.score)
    count = len(request.targets) if request.targets is not None else 1 if request.top is None else request.top
    given = find_targets(network, head, request.targets, count)
    place = spatial_layer(network, request.layer)
    how = request.method, request.score, count, given is not None
    run = network.compiled(("heatmap", place, head.output, precision, *how), class_maps(network, place, head, *how))
    explained = _explain(network, run, place, samples.arrays, given, count, precision, compute)
    rivals = rival_predictions(network, head, samples, compute.batch_size, SHOWN)
    origin = {name: getattr(request, name) for name in ("technique", "method", "score")}
    origin |= {"head": head.to_json(), "precision": precision, "images": samples.origins}
    origin |= {"request": request.to_json()}
    notes = [*samples.notes, *rival_note(samples, rivals), *head.notes]
    shared = {
        "layer": place,
        "predictions": listed(network, head, explained.scores, explained.ranked, SHOWN),
        "rival_predictions": rivals,
        "score": request.score,
        "method": request.method,
        "photos": samples.photos,
        "provenance": with_rivals(provenance(network, samples.preprocessing, notes, **origin), rivals),
    }
    return tuple(_heatmap(network, head, samples.arrays, explained, number, given, shared) for number in range(count))


def _explain(
    network: Network,
    run: Callable,
    layer: str,
    arrays: Sequence[np.ndarray],
    given: Sequence[Target] | None,
    count: int,
    precision: str,
    compute: Compute,
) -> Explained:
    total, parts = len(arrays[0]), []
    wanted = np.tile(np.array([one.index for one in given or [Target(0)] * count], "int32"), (total, 1))
    signs = np.tile(np.array([one.sign for one in given or [Target(0)] * count], "float32"), (total, 1))
    shape = network.observe(arrays).shapes[layer][1:]
    with network.differentiating(precision):
        for chunk in chunks(total, compute.batch_size or images_at_once(network, arrays)):
            compute.check()
            zeros = np.zeros((chunk.stop - chunk.start, *shape), "float32")
            batch = run(*network.tensors([zeros, wanted[chunk], signs[chunk], *(array[chunk] for array in arrays)]))
            parts.append(numpy_arrays(*batch))
            compute.report(chunk.stop, total)
    return Explained(*(np.concatenate([part[i] for part in parts], axis) for i, axis in enumerate((1, 1, 0, 0, 0, 0))))


def _heatmap(
    network: Network,
    head: Head,
    arrays: Sequence[np.ndarray],
    explained: Explained,
    number: int,
    given: Sequence[Target] | None,
    shared: dict[str, Any],
) -> Heatmap:
    """The heatmaps of one target for all images."""
    chosen = tuple(int(index) for index in explained.found[:, number])
    names, status = class_names(network, head), []
    for image, (signed, steepest) in enumerate(zip(explained.signed[number], explained.steepest[number], strict=True)):
        if not np.isfinite(signed).all():
            status.append(f"non-finite at {first_non_finite(network, [array[image : image + 1] for array in arrays])}")
        elif shared["score"] == "logit" and explained.saturated[image, chosen[image]]:
            status.append(SATURATED)
        else:
            status.append(status_of(signed, float(steepest)))
    return Heatmap(
        values=np.maximum(explained.signed[number], 0).astype("float32"),
        target=chosen[0] if given is not None or len(chosen) == 1 else chosen,
        names=tuple(names[index] if names else None for index in chosen),
        status=tuple(status),
        contrast=tuple(_contrast(head, explained.scores[i], index) for i, index in enumerate(chosen)),
        direction=given[number].direction if given is not None else None,
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


def _check(network: Network, head: Head, method: str, score: str) -> None:
    network.untrained.check(network, output=head.output)
    if method not in METHODS:
        raise OptionError(f"unknown method {method!r}: {near(method, METHODS)}")
    if score not in SCORES:
        raise OptionError(f"unknown score {score!r}: {near(score, SCORES)}")
    if score == PROBABILITY and head.unit != PROBABILITY:
        raise OptionError(
            f"score='probability': output {head.name or head.output} of {network.source} has no probabilities, as it"
            f" is taken as {head.kind} ({head.reason}); explain the logit (the default), or give head="
        )


def _contrast(head: Head, scores: np.ndarray, index: int) -> dict[str, float | int | str] | None:
    """The likeliest other class, and how much likelier than it the class is; None of an output without classes."""
    if len(scores) < 2 or not head.has_classes:
        return None
    others = scores.copy()
    others[index] = -np.inf
    rival = int(others.argmax())
    if not np.isfinite(scores[[index, rival]]).all():
        return None
    return {"runner_up": rival, "difference": float(scores[index] - scores[rival]), "unit": head.unit}
