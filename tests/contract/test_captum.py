"""captum as a second witness: its attributions of a PyTorch module are ours."""

from typing import Any

import keras
import numpy as np
import pytest

import convlens
from tests.contract import kinds, twin

TORCH = keras.backend.backend() == "torch"
pytestmark = pytest.mark.skipif(not TORCH, reason="captum is for PyTorch")
RULES = {
    "midpoint": "riemann_middle",
    "left": "riemann_left",
    "right": "riemann_right",
    "trapezoid": "riemann_trapezoid",
    "gauss-legendre": "gausslegendre",
}


@pytest.fixture
def captum() -> Any:
    return pytest.importorskip("captum.attr")


def module() -> Any:
    return type(kinds.KINDS["module"]().model)(softmax=False).eval()


def images() -> np.ndarray:
    return twin.images() * np.float32(6)


def ours(method: str, **options: Any) -> np.ndarray:
    network = convlens.load(module(), preprocess="none", input_shape=(*twin.SIDES, 3))
    found = convlens.attribution(network, list(images()), 2, method, value_range="network", **options)
    return found.values


def theirs(attributed: Any) -> np.ndarray:
    return attributed.detach().numpy().sum(1)


def tensor() -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(images().transpose(0, 3, 1, 2)))


def same(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.filterwarnings("ignore::UserWarning")  # captum tells what it changes
def test_gradients_are_captums(captum: Any) -> None:
    same(ours("gradient"), theirs(captum.Saliency(module()).attribute(tensor(), 2, abs=False)))
    same(ours("gradient-x-input"), theirs(captum.InputXGradient(module()).attribute(tensor(), 2)))
    same(ours("guided-backprop"), theirs(captum.GuidedBackprop(module()).attribute(tensor(), 2)))
    same(ours("deconvnet"), theirs(captum.Deconvolution(module()).attribute(tensor(), 2)))


@pytest.mark.parametrize("rule", RULES)
def test_integrated_gradients_are_captums(captum: Any, rule: str) -> None:
    expected = captum.IntegratedGradients(module()).attribute(
        tensor(), baselines=0.0, target=2, n_steps=9, method=RULES[rule]
    )
    # the weights of captum's trapezoids sum to 8/9 for 9 steps: theirs is not the integral
    lost = 9 / 8 if rule == "trapezoid" else 1
    same(ours("integrated-gradients", steps=9, rule=rule), theirs(expected) * lost)


def test_occlusion_is_captums(captum: Any) -> None:
    # captum moves its last patch over the border where they do not fit; here they do
    expected = captum.Occlusion(module()).attribute(
        tensor(), sliding_window_shapes=(3, 5, 5), strides=(3, 2, 2), target=2, baselines=255.0
    )
    same(ours("occlusion", patch=5, stride=2, baselines="white"), expected.detach().numpy()[:, 0])
