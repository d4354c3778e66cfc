"""Pixel attributions of every kind of network on every backend, against NumPy."""

from dataclasses import fields
from typing import Any

import keras
import ml_dtypes  # noqa: F401  NumPy's bfloat16
import numpy as np
import pytest

import convlens
from convlens.techniques.attributions.table import METHODS
from tests.contract import twin
from tests.contract.kinds import KINDS, Kind
from tests.contract.test_contract import kind as kind
from tests.contract.test_contract import opened, samples, state

# where what a method asks of the probe may go wrong; that each answer is right is tested on all kinds
SOME = [name for name in ("two inputs", "mixed bfloat16", "frozen", "shared", "module in place", "module under no_grad",
                          "module under inference_mode") if name in KINDS]  # fmt: skip
TARGETS, SHARE = (1, 3), np.float32(1 / 40)
FEW = {"steps": 6, "samples": 10, "segments": 4}


def images(kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """The twin's images as `samples` takes them, and as the network does."""
    drawn = twin.images(channels=kind.channels) * SHARE
    return drawn, (drawn * np.float32(255)).astype("float64")


def attributed(kind: Kind, network: Any, method: str, **options: Any) -> Any:
    drawn, _ = images(kind)
    return convlens.attribution(network, samples(kind, drawn), list(TARGETS), method, **options)


def weights(kind: Kind) -> twin.Weights:
    """The twin's weights as the model stores them: those of lower precision are rounded."""
    exact = twin.weights(kind.channels)
    if isinstance(kind.model, keras.Model):
        one, *_, last = (np.dtype(weight.dtype) for weight in kind.model.weights)
    else:
        one = last = np.dtype(str(next(kind.model.parameters()).dtype).removeprefix("torch."))
    types = {field.name: last if "dense" in field.name else one for field in fields(exact)}
    return twin.Weights(*(getattr(exact, name).astype(dtype).astype("float32") for name, dtype in types.items()))


def logit(kind: Kind, x: np.ndarray, target: int) -> np.ndarray:
    return twin.forward(x, weights(kind))["logits"][:, target]


def close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


RULES = {"gradient": "plain", "guided-backprop": "guided", "deconvnet": "deconvnet"}


def test_gradients_equal_the_twins(kind: Kind) -> None:
    network, (_, x) = opened(kind), images(kind)
    for method, rule in RULES.items():
        for found, target in zip(attributed(kind, network, method), TARGETS, strict=True):
            expected = twin.input_gradient(x, weights(kind), target, rule)
            close(found.values, expected.sum(-1))
            if kind.channels > 1:
                close(found.channels, expected)
            assert found.status == ("ok", "ok")


def test_integrated_gradients_occlusion_and_rise_equal_the_twins(kind: Kind) -> None:
    network, (_, x) = opened(kind), images(kind)
    w = weights(kind)
    paths = attributed(kind, network, "integrated-gradients", steps=5, baselines=("black", "white"))
    hidden = attributed(kind, network, "occlusion", patch=4, stride=3, baselines="white")
    masked = attributed(kind, network, "rise", samples=12, seed=3)
    for number, target in enumerate(TARGETS):
        expected = np.zeros(x.shape)
        for base in (0.0, 255.0):
            for step in range(5):
                at = base + (step + 0.5) / 5 * (x - base)
                expected += twin.input_gradient(at, w, target) / 10 * (x - base)
        close(paths[number].values, expected.sum(-1))
        close(hidden[number].values, occluded(kind, x, target, 4, 3, 255.0))
        close(masked[number].values, risen(kind, x, target, 12, 3))
        gain = logit(kind, x, target) - sum(logit(kind, np.full_like(x, base), target) for base in (0, 255)) / 2
        close(np.array([each.wanted for each in paths[number].completeness]), gain)


def occluded(kind: Kind, x: np.ndarray, target: int, patch: int, stride: int, base: float) -> np.ndarray:
    """Patch after patch, the last ones flush with the border."""
    height, width = x.shape[1:3]
    sums, counts = np.zeros(x.shape[:3]), np.zeros(x.shape[:3])
    for top in sorted({*range(0, height - patch, stride), height - patch}):
        for left in sorted({*range(0, width - patch, stride), width - patch}):
            changed = x.copy()
            changed[:, top : top + patch, left : left + patch] = base
            drop = logit(kind, x, target) - logit(kind, changed, target)
            sums[:, top : top + patch, left : left + patch] += drop[:, None, None]
            counts[:, top : top + patch, left : left + patch] += 1
    return sums / counts


def risen(kind: Kind, x: np.ndarray, target: int, count: int, seed: int) -> np.ndarray:
    """Equation 6 of the paper with the same masks, minus the mean score, mask after mask and pixel after pixel."""
    height, width = x.shape[1:3]
    masks, scores = [], []
    for number in range(count):
        rng = np.random.default_rng([seed, number, *b"mask"])
        cells = (rng.random((8, 8)) < 0.5).astype("float64")
        sizes = [8 * -(-side // 7) for side in (height, width)]
        shifts = [int(rng.integers(0, large - side + 1)) for large, side in zip(sizes, (height, width), strict=True)]
        mask = np.zeros((height, width))
        for row in range(height):
            for column in range(width):
                y, x_ = ((at + shift + 0.5) * 8 / size - 0.5 for at, shift, size in
                         zip((row, column), shifts, sizes, strict=True))  # fmt: skip
                y, x_ = min(max(y, 0), 7), min(max(x_, 0), 7)
                up, left = min(int(y), 6), min(int(x_), 6)
                a, b = y - up, x_ - left
                mask[row, column] = (1 - a) * ((1 - b) * cells[up, left] + b * cells[up, left + 1]) + a * (
                    (1 - b) * cells[up + 1, left] + b * cells[up + 1, left + 1]
                )
        masks.append(mask)
        scores.append(logit(kind, x * mask[None, ..., None], target))
    masks, scores = np.array(masks), np.array(scores)
    return np.einsum("nhw,nb->bhw", masks, scores) / masks.sum(0) - scores.mean(0)[:, None, None]


@pytest.mark.parametrize("kind", SOME, indirect=True)
def test_every_method_runs_says_what_it_is_and_leaves_nothing_changed(kind: Kind) -> None:
    network = opened(kind)
    network.observe()
    before = state(kind.model)
    for name, row in METHODS.items():
        options = {parameter: value for parameter, value in FEW.items() if parameter in row.defaults}
        if "layer" in row.defaults:
            options["layer"] = kind.paths["two"]
        for found in attributed(kind, network, name, **options):
            assert found.values.dtype == np.float32
            assert found.values.shape == (2, *twin.SIDES)
            assert np.isfinite(found.values).all()
            for status, values in zip(found.status, found.values, strict=True):
                assert status in ("ok", "constant", "incomplete"), name
                assert (status == "constant") <= (values.max() == values.min())
            if found.channels is not None:
                np.testing.assert_allclose(found.channels.sum(-1), found.values, rtol=1e-5, atol=1e-6)
    assert state(kind.model) == before


@pytest.mark.parametrize("kind", SOME[:1] + SOME[4:5], indirect=True)
def test_an_image_has_the_same_map_alone_and_in_a_batch(kind: Kind) -> None:
    network, (drawn, _) = opened(kind), images(kind)
    for method in ("smoothgrad", "gradient-shap", "rise", "guided-ig"):
        options = {name: value for name, value in FEW.items() if name in METHODS[method].defaults}
        both = attributed(kind, network, method, **options)[0].values
        alone = convlens.attribution(network, samples(kind, drawn[1:]), TARGETS[0], method, batch_size=3, **options)
        close(alone.values[0], both[1])
