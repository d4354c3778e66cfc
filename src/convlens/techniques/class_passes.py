"""The passes through a network that a probe is made of: functions to be compiled for what all images share.

Each takes the targets as arrays (batch, count): their indices, int32, and float32 1, or -1 where a value is lowered.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convlens import backend
from convlens.data.predictions import PROBABILITY
from convlens.network.inspect.head import Head, read
from convlens.network.network import Network


@dataclass(frozen=True)
class Question:
    """What is asked of a network, whatever the images.

    Attributes:
        layer: the path of the layer looked at; None where only the images are.
        head: the output.
        score: what is explained, "logit" or "probability".
        count: how many targets an image.
        given: whether the targets are; else they are the likeliest of each image.
        relu: how ReLUs pass gradients back to the images: None for as they do, or a rule of `backend.RELU_RULES`.
    """

    layer: str | None
    head: Head
    score: str
    count: int
    given: bool
    relu: str | None = None


@dataclass(frozen=True)
class Answer:
    """What the images themselves gave, on their way through the network, as tensors.

    Attributes:
        gradients: of each target's score by the layer's output, (targets, batch, height, width, channels); None where
            none were taken.
        max_gradient: the largest of them in size, (targets, batch); None where none were taken.
        features: the layer's output, float32 (batch, height, width, channels); None where no layer is looked at.
        values: the score of each target, negative where it is to be lowered, (targets, batch).
        targets: the indices of the targets, (batch, targets).
        scores, ranked: what is shown of the classes, and what orders them, (batch, classes).
        saturated: where a probability rounds to 0 or 1, float32 (batch, classes).
    """

    gradients: Any | None
    max_gradient: Any | None
    features: Any
    values: Any
    targets: Any
    scores: Any
    ranked: Any
    saturated: Any


def forward(network: Network, question: Question) -> Callable:
    """A function (targets, signs, *inputs) -> (features, values, targets, scores, ranked, saturated) as in `Answer`."""

    def run(targets: Any, signs: Any, *tensors: Any) -> tuple:
        kept: list[Any] = []

        def keep(tensor: Any) -> Any:
            kept.append(_copied(tensor))
            return tensor

        hooks = {question.layer: keep} if question.layer else {}
        answered = _answered(network, question, tensors, hooks, targets, signs)
        return (kept[0] if kept else None, *answered)

    return run


def forward_and_back(network: Network, question: Question) -> Callable:
    """A function (zeros, targets, signs, *inputs) -> (gradients, max_gradient, and what `forward` gives), in one pass.

    The zeros are added to the layer's output, and the gradient is taken by them, so that only the network's tail is
    differentiated.
    """
    from keras import ops

    def scored(zeros: Any, targets: Any, signs: Any, *tensors: Any) -> tuple[Any, tuple]:
        kept: list[Any] = []

        def shift(tensor: Any) -> Any:
            moved = tensor + ops.cast(zeros, tensor.dtype)
            kept.append(_copied(moved))
            return moved

        values, *rest = _answered(network, question, tensors, {str(question.layer): shift}, targets, signs)
        return ops.sum(values, axis=1), (kept[0], values, *rest)

    def run(zeros: Any, targets: Any, signs: Any, *tensors: Any) -> tuple:
        _, rest, grads = backend.current().gradients(scored)(zeros, targets, signs, *tensors)
        grads = ops.cast(grads, "float32")
        return (grads, ops.max(ops.abs(grads), axis=(2, 3, 4)), *rest)

    return run


def image_gradients(network: Network, question: Question) -> Callable:
    """A function (images, targets, signs, *other inputs) -> gradients of the targets' scores by the images,
    (targets, batch, height, width, channels)."""
    from keras import ops

    place = network.image_input

    def scored(images: Any, targets: Any, signs: Any, *others: Any) -> tuple[Any, tuple]:
        tensors = [*others[:place], images, *others[place:]]
        return ops.sum(_answered(network, question, tensors, {}, targets, signs)[0], axis=1), ()

    def run(*arguments: Any) -> Any:
        return ops.cast(backend.current().gradients(scored, question.relu)(*arguments)[-1], "float32")

    return run


def scores(network: Network, question: Question) -> Callable:
    """A function (targets, signs, *inputs) -> scores of the targets, (targets, batch)."""

    def run(targets: Any, signs: Any, *tensors: Any) -> Any:
        return _answered(network, question, tensors, {}, targets, signs)[0]

    return run


def scores_with(network: Network, question: Question) -> Callable:
    """A function (features, targets, signs, *inputs) -> the same with the layer's output replaced."""
    from keras import ops

    def run(features: Any, targets: Any, signs: Any, *tensors: Any) -> Any:
        def replace(tensor: Any) -> Any:
            return ops.copy(ops.cast(features, tensor.dtype))  # what follows may work in place

        return _answered(network, question, tensors, {str(question.layer): replace}, targets, signs)[0]

    return run


def _copied(tensor: Any) -> Any:
    """A layer's output as it is now: what follows may work in place, as a ReLU does."""
    from keras import ops

    return ops.copy(ops.cast(tensor, "float32"))


def _answered(
    network: Network,
    question: Question,
    tensors: Sequence[Any],
    hooks: Mapping[str, Callable],
    targets: Any,
    signs: Any,
) -> tuple[Any, ...]:
    """One forward pass: values, targets, scores, ranked and saturated as in `Answer`."""
    from keras import ops

    head = question.head
    raw = read(network, head, tensors, hooks)
    shown, ranked = head.scores(raw), head.ranked(raw)
    explained = shown if question.score == PROBABILITY else head.logits(raw)
    if not question.given:
        targets = ops.top_k(ops.stop_gradient(ranked), question.count)[1]
    targets = ops.cast(targets, "int32")
    values = ops.take_along_axis(explained, targets, axis=1) * signs
    return ops.transpose(values), targets, shown, ranked, ops.cast(head.saturated(raw), "float32")
