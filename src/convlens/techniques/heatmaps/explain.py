"""Where in an image a class comes from: heatmaps of any method of the table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convlens.backend.arrays import numpy_arrays
from convlens.data.predictions import LOGIT, PROBABILITY
from convlens.errors import LayerError, OptionError
from convlens.network.budget import chunks, images_at_once
from convlens.network.inspect.head import Head
from convlens.network.network import Network
from convlens.network.predicting import class_names, listed
from convlens.network.provenance import provenance
from convlens.network.samples import Samples
from convlens.results.heatmaps import Heatmap
from convlens.techniques.class_passes import Question
from convlens.techniques.heatmaps.status import SATURATED, first_non_finite, status_of
from convlens.techniques.heatmaps.table import Method, find_method
from convlens.techniques.precision import precision_of
from convlens.techniques.probe import ClassProbe, probing
from convlens.techniques.request import PLAIN, Compute, HeatmapRequest
from convlens.techniques.rivals import rival_note, rival_predictions, with_rivals
from convlens.techniques.targets import Target, find_targets

SCORES = (LOGIT, PROBABILITY)
SHOWN = 5  # predictions an image


@dataclass(frozen=True)
class Plan:
    """A request as it is understood for a network.

    Attributes:
        method: the method.
        question: where to look, and what is explained.
        targets: the targets; None for the likeliest of each image.
        precision: in which the network is computed.
    """

    method: Method
    question: Question
    targets: list[Target] | None
    precision: str


@dataclass(frozen=True)
class Explained:
    """What the passes over images gave.

    Attributes:
        signed: maps before the ReLU, float32 (targets, images, height, width).
        max_gradient: the largest gradients in size, (targets, images); None where the method takes none.
        targets: the classes or units explained, (images, targets).
        scores, ranked: what is shown of the classes, and what orders them, (images, classes).
        saturated: where a probability rounds to 0 or 1, (images, classes).
        notes: what the method says of its maps, a line each.
    """

    signed: np.ndarray
    max_gradient: np.ndarray | None
    targets: np.ndarray
    scores: np.ndarray
    ranked: np.ndarray
    saturated: np.ndarray
    notes: tuple[str, ...]

    @classmethod
    def of(cls, method: Method, probe: ClassProbe) -> "Explained":
        """What a method makes of the images of a probe."""
        from keras import ops

        signed, answer = ops.cast(method.maps(probe), "float32"), probe.answer
        gradients = None if answer.max_gradient is None else numpy_arrays(answer.max_gradient)[0]
        signed, *rest = numpy_arrays(signed, answer.targets, answer.scores, answer.ranked, answer.saturated)
        return cls(signed, gradients, *rest, notes=tuple(probe.notes))

    @classmethod
    def joined(cls, parts: Sequence["Explained"]) -> "Explained":
        """All images of several parts."""
        gradients = [part.max_gradient for part in parts if part.max_gradient is not None]
        return cls(
            signed=np.concatenate([part.signed for part in parts], axis=1),
            max_gradient=np.concatenate(gradients, axis=1) if gradients else None,
            targets=np.concatenate([part.targets for part in parts]),
            scores=np.concatenate([part.scores for part in parts]),
            ranked=np.concatenate([part.ranked for part in parts]),
            saturated=np.concatenate([part.saturated for part in parts]),
            notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        )


def heatmaps(
    network: Network, samples: Samples, request: HeatmapRequest, compute: Compute = PLAIN
) -> tuple[Heatmap, ...]:
    """One heatmap a target, for a batch of images.

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
        OptionError: unknown method, score, precision or output, or a method that explains probabilities, of which the
            output has none.
        ModelError: the output runs through layers without weights.
        CancelledError: the caller cancelled it.
    """
    plan = planned(network, request)
    explained = explain(network, samples.arrays, plan, compute)
    method, head, score = plan.method, plan.question.head, None if plan.method.class_free else plan.question.score
    rivals = rival_predictions(network, head, samples, compute.batch_size, SHOWN)
    origin = {"technique": request.technique, "method": method.name, "score": score, "class_free": method.class_free}
    origin |= {"head": head.to_json(), "precision": plan.precision, "images": samples.origins}
    origin |= {"request": request.to_json()}
    notes = [*samples.notes, *rival_note(samples, rivals), *head.notes, *explained.notes]
    shared = {
        "layer": plan.question.layer,
        "predictions": listed(network, head, explained.scores, explained.ranked, SHOWN),
        "rival_predictions": rivals,
        "score": score,
        "method": method.name,
        "photos": samples.photos,
        "provenance": with_rivals(provenance(network, samples.preprocessing, notes, **origin), rivals),
    }
    return tuple(
        _heatmap(network, plan, samples.arrays, explained, number, shared) for number in range(plan.question.count)
    )


def planned(network: Network, request: HeatmapRequest) -> Plan:
    """What a request means for a network.

    Raises:
        as `heatmaps` does.
    """
    method, precision = find_method(request.method), precision_of(network, request.precision)
    head = network.head(request.output)
    network.untrained.check(network, output=head.output)
    score = score_of(network, head, method, request.score)
    count = len(request.targets) if request.targets is not None else 1 if request.top is None else request.top
    targets = find_targets(network, head, request.targets, count)
    layer = spatial_layer(network, request.layer)
    return Plan(method, Question(layer, head, score, count, targets is not None), targets, precision)


def explain(network: Network, arrays: Sequence[np.ndarray], plan: Plan, compute: Compute = PLAIN) -> Explained:
    """A method's maps before the ReLU, and what else the passes gave.

    Args:
        arrays: the images, one array an input, as the network takes them.
        plan: what `planned` gave.
        compute: how.

    Raises:
        CancelledError: the caller cancelled it.
    """
    total, parts = len(arrays[0]), []
    with probing(network, plan.method, plan.precision):
        for chunk in chunks(total, compute.batch_size or images_at_once(network, arrays)):
            part = [array[chunk] for array in arrays]
            probe = ClassProbe(network, plan.question, plan.method, part, plan.targets, plan.precision, compute)
            parts.append(Explained.of(plan.method, probe))
            compute.report(chunk.stop, total)
    return Explained.joined(parts)


def _heatmap(
    network: Network,
    plan: Plan,
    arrays: Sequence[np.ndarray],
    explained: Explained,
    number: int,
    shared: dict[str, Any],
) -> Heatmap:
    """The heatmaps of one target for all images."""
    head, targets = plan.question.head, plan.targets
    chosen = tuple(int(index) for index in explained.targets[:, number])
    names = class_names(network, head)
    return Heatmap(
        values=np.maximum(explained.signed[number], 0),
        target=chosen[0] if targets is not None or len(chosen) == 1 else chosen,
        names=tuple(names[index] if names else None for index in chosen),
        status=tuple(
            _status(network, plan, [array[image : image + 1] for array in arrays], explained, number, image)
            for image in range(len(chosen))
        ),
        contrast=tuple(contrast_of(head, explained.scores[i], index) for i, index in enumerate(chosen)),
        direction=targets[number].direction if targets is not None else None,
        **shared,
    )


def _status(
    network: Network, plan: Plan, arrays: Sequence[np.ndarray], explained: Explained, number: int, image: int
) -> str:
    """What the map of a target and an image says, in words."""
    signed = explained.signed[number, image]
    gradients = explained.max_gradient
    max_gradient = None if gradients is None else float(gradients[number, image])
    if not np.isfinite(signed).all():
        return f"non-finite at {first_non_finite(network, arrays, max_gradient)}"
    lost = explained.saturated[image, explained.targets[image, number]]
    if lost and plan.question.score == LOGIT and not plan.method.class_free:
        return SATURATED
    return status_of(signed, max_gradient, plan.method.class_free)


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


def score_of(network: Network, head: Head, method: Method, asked: str) -> str:
    """Which score is explained.

    Raises:
        OptionError: there is no such score, or the output does not have it.
    """
    if asked not in SCORES:
        raise OptionError.unknown(f"unknown score {asked!r}", asked, SCORES)
    score = method.score or asked
    if score == PROBABILITY and head.unit != PROBABILITY:
        who = f"method {method.name}, which weighs by probabilities" if method.score else f"score={PROBABILITY!r}"
        instead = "give another method" if method.score else "explain the logit (the default)"
        raise OptionError(
            f"{who}: output {head.name or head.output} of {network.source} has no probabilities, as it is taken as"
            f" {head.kind} ({head.reason}); {instead}, or give head="
        )
    return score


def contrast_of(head: Head, scores: np.ndarray, index: int) -> dict[str, float | int | str] | None:
    """The likeliest other class, and how much likelier than it the class is; None of an output without classes."""
    if len(scores) < 2 or not head.has_classes:
        return None
    others = scores.copy()
    others[index] = -np.inf
    rival = int(others.argmax())
    if not np.isfinite(scores[[index, rival]]).all():
        return None
    return {"runner_up": rival, "difference": float(scores[index] - scores[rival]), "unit": head.unit}
