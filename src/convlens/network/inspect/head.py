"""How classes or values are read from a network's output, with the softmax or sigmoid bypassed."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from convlens.data.predictions import LOGIT, PROBABILITY, VALUE, Prediction
from convlens.network.layers import SIGMOID, SOFTMAX
from convlens.network.passes import Hook, Passes

CLASSES, INDEPENDENT, BINARY, SCORE, MAP, EMBEDDING = "classes", "independent", "binary", "score", "map", "embedding"
KINDS = (CLASSES, INDEPENDENT, BINARY, SCORE, MAP, EMBEDDING)
RAW, PROBABILITIES, LOG_PROBABILITIES = "raw", "probabilities", "log-probabilities"
SMALLEST, NEAR_ONE = 1e-37, 1e-5  # float32 tells a probability and its rest apart down to these
ROUNDING = 6e-8  # the step of float32 below 1
MEANING = {
    CLASSES: "classes that exclude one another",
    INDEPENDENT: "classes that are independent of one another",
    BINARY: "class 1 against class 0",
    SCORE: "values in their own unit",
    EMBEDDING: "features, which have no classes",
}


@dataclass(frozen=True)
class Head:
    """One output of a network: what its numbers mean, and where they are read.

    Attributes:
        output: its number.
        name: its name, None if it has none.
        each: the kind, of each position where the output is a map: one of KINDS but "map".
        sure: whether the kind is known; else it is the likeliest, and nothing is called a probability.
        reason: what tells the kind, or why it is not known.
        form: what is read: "raw" (logits, or numbers as they come), "probabilities" or "log-probabilities".
        function: the "softmax" or "sigmoid" that the network applies to what is read, None if none.
        layer: the path of the layer whose softmax or sigmoid is left out.
        source: the path of the layer whose output is read; None where the network's own output is.
        shape: of the output for one image, channels last; None for a side that follows the image's.
        has_axis: whether the last axis is the units'; without it each number is a unit of its own.
        fitting: the kinds that an output of this form can be.
    """

    output: int
    name: str | None
    each: str
    sure: bool
    reason: str
    form: str
    function: str | None
    layer: str | None
    source: str | None
    shape: tuple[int | None, ...]
    has_axis: bool
    fitting: tuple[str, ...]

    @property
    def is_map(self) -> bool:
        """Whether the output has a value for each of several positions."""
        return any(side != 1 for side in self.positions)

    @property
    def kind(self) -> str:
        """One of KINDS."""
        return MAP if self.is_map and self.has_classes else self.each

    @property
    def units(self) -> int:
        """Size of the output's last axis."""
        return (self.shape[-1] or 1) if self.has_axis else 1

    @property
    def has_classes(self) -> bool:
        return self.each in (CLASSES, INDEPENDENT, BINARY)

    @property
    def classes(self) -> int:
        """How many targets there are: one unit stands for two classes if it is binary."""
        return 2 if self.each == BINARY else self.units

    @property
    def unit(self) -> str:
        """What the numbers shown are: "probability", "logit" or "value"."""
        if not self.has_classes:
            return VALUE
        return PROBABILITY if self.sure else LOGIT

    @property
    def scored(self) -> str:
        """What heatmaps explain, in words."""
        if self.function and self.layer:
            words = f"logits before the {self.function} of layer {self.layer}"
        elif self.function:
            words = f"logits that layer {self.source} puts out, before the {self.function}"
        elif self.has_classes and self.form == PROBABILITIES:
            logarithm = "logarithm of the probabilities"
            what = logarithm if self.each == CLASSES else "log(p / (1 - p)) of the probabilities p"
            words = f"{what} that the network puts out"
        elif self.has_classes and self.form == LOG_PROBABILITIES:
            words = "log-probabilities as the network puts them out"
        else:
            words = f"{'logits' if self.has_classes else 'values'} as the network puts them out"
        return f"{words}, averaged over the positions" if self.is_map else words

    def __str__(self) -> str:
        of = f" at each of {' x '.join('any' if side is None else str(side) for side in self.positions)} positions"
        what = f"{self.kind}: {MEANING[self.each]}{of if self.is_map else ''}"
        return f"{what} ({self.reason})" if self.sure else f"{what}; unsure ({self.reason})"

    @property
    def positions(self) -> tuple[int | None, ...]:
        return self.shape[:-1] if self.has_axis else self.shape

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know where the kind is not known, a line."""
        if self.sure:
            return ()
        which = f"output {self.name or self.output}"
        shown = {CLASSES: ": shown as raw scores", EMBEDDING: ""}.get(self.each, ": shown as values")
        others = ", ".join(kind for kind in self.fitting if kind != self.kind)
        return (f"{which} is taken as {self.kind} ({self.reason}){shown}; give head= if it is {others}",)

    def to_json(self) -> dict[str, Any]:
        """Kind, reason and what is explained and shown."""
        return {
            "output": self.output,
            "name": self.name,
            "kind": self.kind,
            "each": self.each,
            "sure": self.sure,
            "reason": self.reason,
            "units": self.units,
            "scored": self.scored,
            "unit": self.unit,
        }

    def logits(self, raw: Any) -> Any:
        """What is explained, float32 (batch, classes), from what `read` gives; maps are averaged over positions."""
        return self._averaged(self._logits(raw))

    def scores(self, raw: Any) -> Any:
        """What is shown, in `unit`, float32 (batch, classes), from what `read` gives; maps are averaged."""
        from keras import ops

        if self.each == BINARY:
            on = self._shown(raw)
            off = ops.sigmoid(-raw) if self.form == RAW else 1 - on
            return self._averaged(ops.concatenate([off, on], axis=-1))
        return self._averaged(self._shown(raw))

    def ranked(self, raw: Any) -> Any:
        """What orders the classes, (batch, classes): the likeliest has the most. Values have no order of their own."""
        return self.scores(raw) if self.is_map else self.logits(raw)

    def saturated(self, raw: Any) -> Any:
        """Where a probability rounds to 0 or 1, so that the logit cannot be had of it: bool (batch, classes)."""
        from keras import ops

        if self.form == RAW or not self.has_classes:
            return ops.zeros_like(self.logits(raw)) > 1
        chance = ops.exp(raw) if self.form == LOG_PROBABILITIES else raw
        lost: Any = chance > 1 - NEAR_ONE
        if self.form == PROBABILITIES:
            lost = ops.logical_or(lost, chance < SMALLEST)
        if self.each == BINARY:
            lost = ops.concatenate([lost, lost], axis=-1)
        return ops.any(lost, axis=tuple(range(1, len(lost.shape) - 1))) if len(lost.shape) > 2 else lost

    def _logits(self, raw: Any) -> Any:
        from keras import ops

        if not self.has_classes or self.form == LOG_PROBABILITIES:
            return raw
        if self.form == PROBABILITIES:
            chance = ops.clip(raw, SMALLEST, 1 - ROUNDING)
            raw = ops.log(chance) if self.each == CLASSES else ops.log(chance) - ops.log1p(-chance)
        return ops.concatenate([-raw, raw], axis=-1) if self.each == BINARY else raw

    def _shown(self, raw: Any) -> Any:
        """The numbers of the units before averaging: the network's own output, or the probability that is meant."""
        from keras import ops

        if self.form != RAW:
            return ops.exp(raw) if self.has_classes and self.form == LOG_PROBABILITIES else raw
        meant = {CLASSES: SOFTMAX, INDEPENDENT: SIGMOID, BINARY: SIGMOID}.get(self.each) if self.sure else None
        function = self.function or meant
        if function is None:
            return raw
        return ops.softmax(raw, axis=-1) if function == SOFTMAX else ops.sigmoid(raw)

    def _averaged(self, numbers: Any) -> Any:
        from keras import ops

        return ops.mean(numbers, axis=tuple(range(1, len(numbers.shape) - 1))) if len(numbers.shape) > 2 else numbers

    def predictions(
        self, scores: np.ndarray, ranked: np.ndarray, names: Sequence[str] | None, top: int | None
    ) -> tuple[Prediction, ...]:
        """The likeliest classes of one image, or the values in their order; none of an embedding.

        Args:
            scores, ranked: (classes,).
            top: how many; None for all.
        """
        if self.each == EMBEDDING:
            return ()
        order = np.argsort(-ranked, kind="stable") if self.has_classes else np.arange(len(scores))
        named = names if names is not None and len(names) == self.classes else None
        return tuple(
            Prediction(int(i), named[int(i)] if named else None, float(scores[i]), self.unit) for i in order[:top]
        )


def read(passes: Passes, head: Head, tensors: Sequence[Any], hooks: Mapping[str, Hook] | None = None) -> Any:
    """One forward pass: the head's numbers before the softmax or sigmoid, float32 (batch, ..., units).

    Args:
        tensors: one an input, channels last.
        hooks: as `intercept` takes them.
    """
    from keras import ops

    kept: list[Any] = []

    def keep(tensor: Any) -> Any:
        kept.append(ops.copy(tensor))  # what follows may work in place
        return tensor

    last = passes.intercept({head.source: keep}) if head.source else nullcontext()
    linear = passes.linear_head(head.layer) if head.layer else nullcontext()
    with linear, passes.intercept(hooks or {}), last:
        outputs = passes.forward(tensors)
    assert outputs is not None
    batch, output = tensors[0].shape[0], outputs[head.output]
    whole = batched(passes, output, batch, head.shape)
    numbers = ops.reshape(kept[-1], whole.shape) if head.source else whole
    numbers = ops.cast(numbers, "float32")
    return numbers if head.has_axis else ops.expand_dims(numbers, -1)


def batched(passes: Passes, output: Any, batch: int, shape: Sequence[int | None]) -> Any:
    """An output with its axis for the batch, which `squeeze()` takes away for a single image."""
    from keras import ops

    if len(output.shape) == len(shape) + 1 or batch != 1:
        return output
    if len(output.shape) == len(shape):
        return passes.to_last(ops.expand_dims(output, 0))
    return ops.reshape(output, (1, *(side or 1 for side in shape)))
