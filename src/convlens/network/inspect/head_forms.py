"""How the numbers of an output are made, told by running the network: by a softmax, by a sigmoid, or as they come."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convlens.errors import ModelError
from convlens.network.inspect.head import LOG_PROBABILITIES, PROBABILITIES, RAW
from convlens.network.inspect.head_probes import candidates, probe, probes, sweeps
from convlens.network.inspect.observation import Observation
from convlens.network.layers import POOLING, SIGMOID, SOFTMAX
from convlens.network.passes import Passes

SPREAD = np.linspace(-6, 6, 9)  # logits that are put in place of a layer's output, to see what becomes of them
IDENTITY, LOG_SOFTMAX = "identity", "log_softmax"


@dataclass(frozen=True)
class Form:
    """How an output's numbers are made.

    Attributes:
        shape: of the output for one image, None for sides that follow the image's.
        has_axis: whether the last axis is the units'.
        form, function, layer, source: as in `Head`.
        told: how that was found, in words.
        pooled: whether the numbers come out of a pooling or flattening layer.
        signs: what the values keep to on all probes: "probabilities" (0-1, by a sigmoid), "within 0 and 1",
            "within -1 and 1", "never negative" (and at times 0), "norm 1".
    """

    shape: tuple[int | None, ...]
    has_axis: bool
    form: str = RAW
    function: str | None = None
    layer: str | None = None
    source: str | None = None
    told: str = ""
    pooled: str | None = None
    signs: frozenset[str] = field(default_factory=frozenset)

    @property
    def units(self) -> int:
        return (self.shape[-1] or 1) if self.has_axis else 1

    @property
    def is_map(self) -> bool:
        """Whether there is a value for each of several positions."""
        return any(side != 1 for side in (self.shape[:-1] if self.has_axis else self.shape))


def find_form(passes: Passes, seen: Observation, output: int) -> Form:
    """Compares the output with what the last layers put out, on inputs of several scales and both signs.

    Raises:
        ModelError: the output has no axis for the batch.
    """
    place = seen.outputs[output]
    makers = [path for path, number in seen.same.items() if number == place] if place is not None else []
    quick = next(((path, kind) for path in makers if (kind := passes.final_activation(path))), None)
    inputs = probes(passes)
    if quick:
        inputs = [array[:2] for array in inputs]
        (values,) = probe(passes, inputs, output, [])
        shape, has_axis = _shape(passes, values, output)
        if _is_made_by(quick[1], values):
            return Form(shape, has_axis, RAW, quick[1], quick[0], None, f"{quick[1]} of layer {quick[0]}")
        inputs = probes(passes)
    paths = candidates(seen, output)
    values, *kept = probe(passes, inputs, output, paths)
    shape, has_axis = _shape(passes, values, output)
    _check_images_apart(passes, inputs, output, values)
    values = values if has_axis else values[..., None]
    # what sums over the batch has as many numbers as one image's output, of a batch of one alone
    beside = {path: numbers for path, numbers in zip(paths, kept, strict=True) if numbers.size == values.size}
    return _Search(passes, output, inputs, values, beside, makers, shape, has_axis).form()


def _check_images_apart(passes: Passes, inputs: list[np.ndarray], output: int, values: np.ndarray) -> None:
    """Raises ModelError where what an image comes to depends on the others beside it."""

    def alike(values: np.ndarray, other: np.ndarray) -> bool:
        most = np.abs(np.nan_to_num(other, posinf=0, neginf=0)).max()
        return bool(np.allclose(values, other, rtol=1e-2, atol=1e-3 * most + 1e-6, equal_nan=True))

    (pair,) = probe(passes, [array[:2] for array in inputs], output, [])
    if pair.shape[1:] != values.shape[1:] or alike(pair, values[:2]):
        return
    if alike(probe(passes, inputs, output, [])[0], values):  # else it is random, as dropout is that is always on
        raise ModelError(
            f"output {output} of {passes.source} says other things of an image when others are beside it (a softmax"
            " over the axis of the batch, or statistics of the batch), so that it has no prediction for one image;"
            " give a model that takes images one by one, such as one with softmax over its last axis"
        )


def _shape(passes: Passes, values: np.ndarray, output: int) -> tuple[tuple[int | None, ...], bool]:
    """The shape of an output for one image, and whether its last axis is the units'."""
    batch = passes.input_arrays(2)[0].shape[0]
    if values.ndim == 0 or len(values) < batch:
        raise ModelError(f"output {output} of {passes.source} has shape {values.shape}; expected one entry an image")
    sides: list[int | None] = list(values.shape[1:])
    spec = passes.image_shape if any(taken.is_image for taken in passes.inputs) else ()
    image = passes.input_arrays(1)[passes.image_input].shape[1:3] if spec else ()
    has_axis = len(sides) > 0 and not (len(sides) == 2 and tuple(sides) == image)
    if spec and None in spec[:2] and len(sides) > 1:
        count = len(sides) - has_axis
        sides[:count] = [None] * count
    return tuple(sides), has_axis


def _is_made_by(function: str, values: np.ndarray) -> bool:
    """Whether values can be those of a softmax (its logarithm too) over the last axis, or of a sigmoid."""
    rows = values[np.isfinite(values).reshape(len(values), -1).all(1)]
    if function == SIGMOID:
        return bool(((rows >= 0) & (rows <= 1)).all())
    return values.ndim > 1 and (_sums_to_one(rows) or _log_sums_to_one(rows))


def _sums_to_one(rows: np.ndarray) -> bool:
    return bool(rows.size and rows.min() >= 0 and np.allclose(rows.sum(-1), 1, atol=1e-3))


def _log_sums_to_one(rows: np.ndarray) -> bool:
    return bool(rows.size and rows.max() <= 1e-4 and np.allclose(np.exp(rows.astype("float64")).sum(-1), 1, atol=1e-3))


def _softmax(z: np.ndarray) -> np.ndarray:
    powers = np.exp(z - z.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _log_softmax(z: np.ndarray) -> np.ndarray:
    below = z - z.max(-1, keepdims=True)
    return below - np.log(np.exp(below).sum(-1, keepdims=True))


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return np.where(z >= 0, 1, np.exp(-np.abs(z))) / (1 + np.exp(-np.abs(z)))


FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    IDENTITY: lambda z: z,
    SIGMOID: _sigmoid,
    SOFTMAX: _softmax,
    LOG_SOFTMAX: _log_softmax,
}


@dataclass
class _Search:
    """One output, with what it was on the probes, and what the candidate layers put out."""

    passes: Passes
    output: int
    inputs: list[np.ndarray]
    values: np.ndarray
    kept: dict[str, np.ndarray]
    makers: list[str]
    shape: tuple[int | None, ...]
    has_axis: bool

    def form(self) -> Form:
        """The nearest layer to the output that a softmax or sigmoid lies at or behind, else what the values tell."""
        same: list[str] = []
        other = None
        for path, numbers in self.kept.items():
            relation = self.relation(numbers)
            if relation == IDENTITY:
                same.append(path)
                inside = self.passes.final_activation(path)
                if inside and _is_made_by(inside, self.values):
                    source = None if path in self.makers else path
                    return self.as_form(RAW, inside, path, source, f"{inside} of layer {path}")
            elif relation and self.becomes(path, FUNCTIONS[relation]):
                function = SIGMOID if relation == SIGMOID else SOFTMAX
                return self.as_form(RAW, function, None, path, f"{relation} of what layer {path} puts out")
            elif relation is None and other is None:
                other = path
        return self.by_values(same, other)

    def as_form(
        self, form: str, function: str | None, layer: str | None, source: str | None, told: str, **more: Any
    ) -> Form:
        return Form(self.shape, self.has_axis, form, function, layer, source, told, **more)

    def finite(self) -> np.ndarray:
        return self.values[np.isfinite(self.values).reshape(len(self.values), -1).all(1)]

    def relation(self, numbers: np.ndarray) -> str | None:
        """What makes the output of these numbers, on the probes on which both are finite and not all alike."""
        z = numbers.reshape(self.values.shape).astype("float64")
        finite = np.isfinite(z).reshape(len(z), -1).all(1) & np.isfinite(self.values).reshape(len(z), -1).all(1)
        z, y = z[finite], self.values[finite]
        if not z.size:
            return None
        for name, function in FUNCTIONS.items():
            if (name in (SOFTMAX, LOG_SOFTMAX)) > (self.values.shape[-1] > 1):
                continue  # of a single number it is a constant
            if np.allclose(function(z), y, rtol=1e-3, atol=1e-4 * (1 + np.abs(y).max())):
                return name
        return None

    def becomes(self, path: str, function: Callable) -> bool:
        """Whether numbers that are put in place of a layer's output come out as this function of them."""
        injected = self.injected(np.random.default_rng(1).normal(0, 3, self.values.shape))
        values = self.after(path, injected)
        return values is not None and bool(np.allclose(values, function(injected.astype("float64")), 1e-4, 1e-5))

    def injected(self, numbers: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(numbers, "float32")

    def after(self, path: str, numbers: np.ndarray) -> np.ndarray | None:
        """The output where a layer puts out these numbers, shaped as the output is."""
        values, _ = probe(self.passes, self.inputs[:], self.output, [path], numbers)
        return values.reshape(self.values.shape) if values.size == self.values.size else None

    def is_sigmoidal(self, path: str) -> bool:
        """Whether log(p / (1 - p)) of the output is a straight line over what a layer puts out."""
        line = np.resize(SPREAD, len(self.values)).reshape(-1, *(1,) * (self.values.ndim - 1))
        values = self.after(path, self.injected(np.broadcast_to(line, self.values.shape)))
        if values is None or not ((values > 1e-6) & (values < 1 - 1e-6)).all():
            return False
        logit = (np.log(values.astype("float64")) - np.log1p(-values.astype("float64"))).reshape(len(values), -1)
        slope, offset = np.polyfit(line.ravel(), logit, 1)
        fit = line.reshape(-1, 1) * slope + offset
        return bool((np.abs(slope) > 1e-3).all() and np.abs(fit - logit).max() < 1e-2)

    def fades(self) -> bool:
        """Whether values near 0 or 1 on stronger and stronger inputs, as a sigmoid's, and do not stop there at once."""
        for inputs in sweeps(self.passes):
            chunks = [[array[at : at + 8] for array in inputs] for at in range(0, len(inputs[0]), 8)]
            values = np.concatenate([probe(self.passes, chunk, self.output, [])[0] for chunk in chunks])
            values = values.reshape(len(values), -1)
            between = np.maximum.accumulate((values > 0.02) & (values < 0.98), axis=0)
            near = ((values > 0.98) & (values < 1 - 1e-6)) | ((values > 1e-30) & (values < 1e-6))
            if ((between & near).sum(0) >= 2).any():
                return True
        return False

    def by_values(self, same: list[str], other: str | None) -> Form:
        """No softmax or sigmoid was found: what the values themselves keep to on all probes."""
        rows = self.finite()
        if not rows.size:
            return self.as_form(RAW, None, None, None, "its values are not finite on any probe")
        if self.shape and self.values.shape[-1] > 1:
            if _sums_to_one(rows):
                return self.as_form(PROBABILITIES, None, None, None, "its values are never negative and sum to one")
            if _log_sums_to_one(rows):
                return self.as_form(LOG_PROBABILITIES, None, None, None, "the exponentials of its values sum to one")
        if rows.min() >= 0 and rows.max() <= 1:
            known = (other is not None and self.is_sigmoidal(other)) or self.fades()
            told = "its values stay within 0 and 1, also on strong inputs"
            signs = frozenset({"probabilities"} if known else {"within 0 and 1"})
            return self.as_form(PROBABILITIES, None, None, None, told, signs=signs)
        return self.as_form(RAW, None, None, None, "", pooled=self.pooled(same), signs=_signs(rows))

    def pooled(self, same: list[str]) -> str | None:
        """The pooling or flattening layer that the numbers come out of, if they do."""
        if not same:
            return None
        last = self.passes.describe(same[-1])
        pools = last.role == POOLING or "pool" in last.kind.lower() or "flatten" in last.kind.lower()
        return same[-1] if pools else None


def _signs(rows: np.ndarray) -> frozenset[str]:
    signs = set()
    if rows.shape[-1] > 1:
        lengths = np.sqrt((rows.astype("float64") ** 2).sum(-1))
        if np.allclose(lengths, 1, atol=1e-3):
            signs.add("norm 1")
        lit = rows[(rows > 0).any(-1)]
        if rows.min() >= 0 and (lit == 0).any():  # a few logits may well be positive on all probes, but none is 0
            signs.add("never negative")
    if np.abs(rows).max() <= 1 and np.abs(rows).max() > 0:
        signs.add("within -1 and 1")
    return frozenset(signs)
