"""Which pixels a class comes from: attributions of any method of the table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convlens.backend.arrays import numpy_arrays
from convlens.errors import OptionError
from convlens.network.budget import chunks, images_at_once
from convlens.network.network import Network
from convlens.network.predicting import class_names, listed
from convlens.network.provenance import provenance
from convlens.network.samples import Samples
from convlens.results.attributions import Attribution, Completeness
from convlens.techniques.attributions.baselines import baselines, looked_at
from convlens.techniques.attributions.settings import Settings, parameters_of
from convlens.techniques.attributions.status import completeness_of, status_of
from convlens.techniques.attributions.table import AttributionMethod, find_attribution
from convlens.techniques.class_passes import Question
from convlens.techniques.heatmaps.explain import SHOWN, contrast_of, score_of, spatial_layer
from convlens.techniques.precision import precision_of
from convlens.techniques.probe import ClassProbe, probing
from convlens.techniques.request import PLAIN, AttributionRequest, Compute
from convlens.techniques.rivals import rival_note, rival_predictions, with_rivals
from convlens.techniques.targets import Target, find_targets


@dataclass(frozen=True)
class Plan:
    """A request as it is understood for a network.

    Attributes:
        method, parameters: the method, and what it works with.
        question: what is explained, and where to look for those that look at a layer.
        targets: the targets; None for the likeliest of each image.
        precision: in which the network is computed.
        seed: of what is drawn.
    """

    method: AttributionMethod
    parameters: dict[str, Any]
    question: Question
    targets: list[Target] | None
    precision: str
    seed: int


@dataclass(frozen=True)
class Attributed:
    """What the passes over images gave.

    Attributes:
        values: float32 (targets, images, height, width, channels).
        total: what each map should sum to, (targets, images); None where the method does not say.
        max_gradient: the largest gradients in size, (targets, images); None where the method takes none.
        targets: the classes or units explained, (images, targets).
        scores, ranked: what is shown of the classes, and what orders them, (images, classes).
        saturated: where a probability rounds to 0 or 1, (images, classes).
        notes: what the method says of its maps, a line each.
    """

    values: np.ndarray
    total: np.ndarray | None
    max_gradient: np.ndarray | None
    targets: np.ndarray
    scores: np.ndarray
    ranked: np.ndarray
    saturated: np.ndarray
    notes: tuple[str, ...]

    @classmethod
    def joined(cls, parts: Sequence["Attributed"]) -> "Attributed":
        """All images of several parts."""

        def together(name: str, axis: int) -> Any:
            arrays = [getattr(part, name) for part in parts if getattr(part, name) is not None]
            return np.concatenate(arrays, axis=axis) if arrays else None

        by_target = {name: together(name, 1) for name in ("values", "total", "max_gradient")}
        by_image = {name: together(name, 0) for name in ("targets", "scores", "ranked", "saturated")}
        notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
        return cls(**by_target, **by_image, notes=notes)


def attributions(
    network: Network, samples: Samples, request: AttributionRequest, compute: Compute = PLAIN
) -> tuple[Attribution, ...]:
    """One attribution a target, for a batch of images.

    Args:
        network: the network to explain.
        samples: the images.
        request: the targets, which are the likeliest class of each image by default, the method and its parameters.
        compute: how.

    Raises:
        LayerError: unknown, or not spatial.
        TargetError: the output has no classes, or fewer.
        OptionError: unknown method, baseline, rule, score, precision or output, or a parameter that the method has not.
        PreprocessingError: no baseline can be made.
        ModelError: the output runs through layers without weights, or has no ReLUs for a method that changes them.
        CancelledError: the caller cancelled it.
    """
    plan = planned(network, request)
    attributed = attribute(network, samples, plan, compute)
    method, head = plan.method, plan.question.head
    rivals = rival_predictions(network, head, samples, compute.batch_size, SHOWN)
    origin = {"technique": request.technique, "method": method.name, "score": plan.question.score}
    origin |= {"parameters": plan.parameters, "seed": plan.seed, "head": head.to_json(), "precision": plan.precision}
    notes = [*samples.notes, *rival_note(samples, rivals), *head.notes, *attributed.notes]
    notes += [method.warning] if method.warning else []
    shared = {
        "method": method.name,
        "predictions": listed(network, head, attributed.scores, attributed.ranked, SHOWN),
        "rival_predictions": rivals,
        "score": plan.question.score,
        "photos": samples.photos,
    }
    origin |= {"images": samples.origins, "request": request.to_json()}
    return tuple(
        _attribution(network, plan, samples, attributed, number, shared, notes, origin, rivals)
        for number in range(plan.question.count)
    )


def planned(network: Network, request: AttributionRequest) -> Plan:
    """What a request means for a network.

    Raises:
        as `attributions` does.
    """
    method, precision = find_attribution(request.method), precision_of(network, request.precision)
    parameters = parameters_of(method, request)
    if request.baselines == ():
        raise OptionError("no baseline given; expected the name of one, or several")
    head = network.head(request.output)
    network.untrained.check(network, output=head.output)
    score = score_of(network, head, method, request.score)
    count = len(request.targets) if request.targets is not None else 1 if request.top is None else request.top
    targets = find_targets(network, head, request.targets, count)
    layer = None
    if "layer" in method.defaults:
        layer = parameters["layer"] = spatial_layer(network, request.layer)
    question = Question(layer, head, score, count, targets is not None)
    return Plan(method, parameters, question, targets, precision, request.seed)


def attribute(network: Network, samples: Samples, plan: Plan, compute: Compute = PLAIN) -> Attributed:
    """A method's maps, and what else the passes gave.

    Raises:
        as `attributions` does.
    """
    parts, arrays = [], samples.arrays
    for chunk in chunks(len(samples), compute.batch_size or images_at_once(network, arrays)):
        part = samples[chunk]
        names = plan.parameters.get("baselines", ())
        made = baselines(network, part, names, plan.seed)
        pixels = looked_at(part, *part.arrays[network.image_input].shape[1:3])
        with probing(network, plan.method, plan.precision):
            probe = ClassProbe(network, plan.question, plan.method, part.arrays, plan.targets, plan.precision, compute)
            tensors = dict(zip(made, network.tensors(list(made.values())), strict=True))
            parts.append(_run(plan, probe, Settings(plan.parameters, tensors, pixels, plan.seed)))
        compute.report(chunk.stop, len(samples))
    return Attributed.joined(parts)


def _run(plan: Plan, probe: ClassProbe, settings: Settings) -> Attributed:
    maps, answer = plan.method.maps(probe, settings), probe.answer
    total = None if maps.total is None else numpy_arrays(maps.total)[0]
    values, *rest = numpy_arrays(maps.values, answer.targets, answer.scores, answer.ranked, answer.saturated)
    return Attributed(values.astype("float32"), total, probe.max_input_gradient, *rest, notes=tuple(probe.notes))


def _attribution(
    network: Network,
    plan: Plan,
    samples: Samples,
    attributed: Attributed,
    number: int,
    shared: dict[str, Any],
    notes: list[str],
    origin: dict[str, Any],
    rivals: Any,
) -> Attribution:
    """The attributions of one target for all images."""
    head, targets = plan.question.head, plan.targets
    chosen = tuple(int(index) for index in attributed.targets[:, number])
    names, channels = class_names(network, head), attributed.values[number]
    values = channels.sum(-1, dtype="float32")
    complete = completeness_of(values, None if attributed.total is None else attributed.total[number])
    return Attribution(
        values=values,
        channels=channels if channels.shape[-1] > 1 else None,
        target=chosen[0] if targets is not None or len(chosen) == 1 else chosen,
        names=tuple(names[index] if names else None for index in chosen),
        status=tuple(
            _status(network, plan, samples, attributed, number, image, complete) for image in range(len(chosen))
        ),
        completeness=complete,
        contrast=tuple(contrast_of(head, attributed.scores[i], index) for i, index in enumerate(chosen)),
        direction=targets[number].direction if targets is not None else None,
        provenance=with_rivals(
            provenance(network, samples.preprocessing, [*notes, *_said(plan, samples, complete)], **origin), rivals
        ),
        **shared,
    )


def _status(
    network: Network,
    plan: Plan,
    samples: Samples,
    attributed: Attributed,
    number: int,
    image: int,
    complete: tuple[Completeness, ...] | None,
) -> str:
    """What the map of a target and an image says, in words."""
    gradients = attributed.max_gradient
    return status_of(
        network,
        [array[image : image + 1] for array in samples.arrays],
        attributed.values[number, image].sum(-1),
        None if gradients is None else float(gradients[number, image]),
        bool(attributed.saturated[image, attributed.targets[image, number]]) and plan.question.score == "logit",
        None if complete is None else complete[image],
    )


def _said(plan: Plan, samples: Samples, complete: tuple[Completeness, ...] | None) -> list[str]:
    """How far the maps are from what they should sum to, in a line."""
    if complete is None:
        return []
    worst = max(range(len(complete)), key=lambda image: complete[image].share)
    of = f" on {samples.photos[worst].name}" if len(complete) > 1 else ""
    return [f"{plan.method.name}: {complete[worst]}{of}"]
