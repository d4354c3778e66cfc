"""Infidelity and maximum sensitivity against closed forms and slow twins."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from convlens.errors import OptionError
from convlens.techniques.metrics.perturbation import gaussian, infidelity, max_sensitivity, square

RANDOM = np.random.default_rng(21)
IMAGE = RANDOM.uniform(-1, 2, (4, 6, 3)).astype("float32")
GRADIENT = RANDOM.normal(size=(4, 6, 3)).astype("float32")


def linear(inputs):
    return (inputs.astype("float64") * GRADIENT).sum(axis=(1, 2, 3)) + 5


@pytest.mark.parametrize("perturbation", [gaussian(0.1), square(0.5, "mean"), square(0.3, np.zeros(3))])
def test_the_gradient_of_a_linear_function_foretells_everything(perturbation) -> None:
    for factor in (1, 0.01, 300):
        result = infidelity(linear, IMAGE, GRADIENT * factor, perturbation=perturbation, samples=30)
        assert result.relative < 1e-10
        assert result.scale == pytest.approx(1 / factor, rel=1e-5)


def test_the_opposite_of_the_gradient_is_no_better_than_nothing() -> None:
    opposite = infidelity(linear, IMAGE, -GRADIENT, perturbation=gaussian(0.1), samples=30)
    nothing = infidelity(linear, IMAGE, np.zeros((4, 6)), perturbation=gaussian(0.1), samples=30)
    assert (opposite.scale, opposite.relative) == (nothing.scale, nothing.relative) == (0, 1)
    assert opposite.value == nothing.value > 0


def test_half_of_a_linear_function_leaves_the_other_half() -> None:
    """y = 3a + 4b, the map knows a alone: 16 of 25 parts of the variance stay unforetold."""
    image = np.array([[[0.0], [1.0]]], "float32")
    result = infidelity(
        lambda inputs: 3 * inputs[:, 0, 0, 0] + 4 * inputs[:, 0, 1, 0],
        image,
        np.array([[1.0, 0.0]]),
        perturbation=gaussian(0.5),
        samples=20_000,
        batch_size=1000,
    )
    assert result.relative == pytest.approx(16 / 25, abs=0.01)
    assert result.scale == pytest.approx(3, abs=0.1)
    assert result.value == pytest.approx(16 * 0.25, rel=0.05)


@pytest.mark.parametrize("perturbation", [gaussian(0.2), square(0.5, "blur")])
@pytest.mark.parametrize("channels", [True, False])
def test_against_its_twin(perturbation, channels: bool) -> None:
    """With the scale searched for instead of solved, on a function that is not linear."""
    seen = []

    def score(inputs):
        seen.extend(inputs.astype("float64"))
        return np.tanh(inputs.sum(axis=(1, 2, 3)) / 5) + inputs[:, 1, 2, 0] ** 2

    heatmap = np.abs(GRADIENT) if channels else np.abs(GRADIENT[..., 0])
    result = infidelity(score, IMAGE, heatmap, perturbation=perturbation, samples=40, batch_size=7)
    assert len(seen) == 41
    before = score(IMAGE[None])[0]

    def error(scale):
        total = 0.0
        for changed in seen[:40]:
            foretold = 0.0
            for place in np.ndindex(4, 6, 3):
                weight = heatmap[place] if channels else heatmap[place[:2]]
                foretold += (IMAGE[place].astype(float) - changed[place]) * weight
            total += (scale * foretold - (before - score(changed[None].astype("float32"))[0])) ** 2
        return total / 40

    best = minimize_scalar(error, bounds=(0, 10), method="bounded", options={"xatol": 1e-6})
    assert result.value == pytest.approx(best.fun, rel=1e-4)
    assert result.scale == pytest.approx(best.x, abs=1e-3)
    assert result.relative == pytest.approx(best.fun / error(0.0), rel=1e-4)


def test_a_score_that_never_changes() -> None:
    result = infidelity(lambda inputs: np.ones(len(inputs)), IMAGE, GRADIENT, perturbation=gaussian(0.1), samples=9)
    assert (result.value, result.relative, result.scale) == (0, None, 0)


def test_a_square_takes_what_lies_in_it() -> None:
    places = set()
    for number in range(60):
        lost = square(0.5, np.full(3, 9.0))(IMAGE, np.random.default_rng(number))
        rows, columns = np.nonzero(lost.any(axis=-1))
        assert (np.ptp(rows), np.ptp(columns), len(rows)) == (1, 1, 4)  # 2 x 2 of the shorter side's 4
        np.testing.assert_allclose((IMAGE - lost)[rows, columns], 9)
        places.add((rows.min(), columns.min()))
    assert places == {(top, left) for top in range(3) for left in range(5)}


def test_the_draws_do_not_depend_on_the_batch() -> None:
    first, second = (
        infidelity(linear, IMAGE, GRADIENT[..., 0], perturbation=gaussian(0.1), samples=10, batch_size=size)
        for size in (3, 100)
    )
    assert first == second
    other = infidelity(linear, IMAGE, GRADIENT[..., 0], perturbation=gaussian(0.1), samples=10, seed=1)
    assert other.value != first.value


def test_maximum_sensitivity_against_its_twin() -> None:
    seen = []

    def maps(inputs):
        seen.extend(inputs)
        return (inputs * GRADIENT).sum(axis=-1)

    clean = maps(IMAGE[None])[0]
    seen.clear()
    result = max_sensitivity(maps, IMAGE, clean, radius=0.02, samples=25, batch_size=4)
    reach = 0.02 * (IMAGE.max() - IMAGE.min())
    changes = []
    for noisy in list(seen):
        assert np.abs(noisy - IMAGE).max() <= reach * 1.001
        changes.append(sum((one - two) ** 2 for one, two in zip(maps(noisy[None]).ravel(), clean.ravel(), strict=True)))
    assert len(changes) == 25
    assert np.abs(np.stack(seen[:25]) - IMAGE).max() > 0.9 * reach
    assert result == pytest.approx(max(changes) ** 0.5 / np.sqrt((clean.astype(float) ** 2).sum()), rel=1e-4)
    scaled = max_sensitivity(lambda inputs: 50 * maps(inputs), IMAGE, 50 * clean, radius=0.02, samples=25)
    assert scaled == pytest.approx(result, rel=1e-5)


def test_maximum_sensitivity_of_maps_that_say_nothing() -> None:
    constant = np.ones((4, 6), "float32")
    assert (
        max_sensitivity(lambda inputs: np.stack([constant] * len(inputs)), IMAGE, constant, radius=0.1, samples=3) == 0
    )
    zero = np.zeros((4, 6), "float32")
    assert max_sensitivity(lambda inputs: np.stack([zero] * len(inputs)), IMAGE, zero, radius=0.1, samples=3) is None


@pytest.mark.parametrize(
    "call",
    [
        lambda: gaussian(0),
        lambda: square(1.5, "mean"),
        lambda: infidelity(linear, IMAGE, GRADIENT, perturbation=gaussian(1), samples=0),
        lambda: infidelity(linear, IMAGE, GRADIENT[:2], perturbation=gaussian(1), samples=2),
        lambda: max_sensitivity(lambda inputs: inputs[..., 0], IMAGE, IMAGE[..., 0], radius=0, samples=2),
        lambda: max_sensitivity(lambda inputs: inputs[..., 0], IMAGE, IMAGE[:2, :, 0], radius=1, samples=2),
        lambda: max_sensitivity(lambda inputs: inputs * np.nan, IMAGE, IMAGE[..., 0], radius=1, samples=2),
    ],
)
def test_what_gives_no_number_is_an_error(call) -> None:
    with pytest.raises(OptionError):
        call()
