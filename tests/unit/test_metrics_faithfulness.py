"""Deletion, insertion, drop, gain and ADCC against closed forms and slow twins."""

import math

import numpy as np
import pytest

from convlens.errors import OptionError
from convlens.techniques.metrics import faithfulness
from convlens.techniques.metrics.baselines import baseline_image
from convlens.techniques.metrics.inputs import fitted, order, unit

RANDOM = np.random.default_rng(20)
IMAGE = RANDOM.uniform(0.1, 1, (3, 5, 2)).astype("float32")  # not square, two channels
WEIGHTS = RANDOM.uniform(0.1, 1, (3, 5, 2))
BLACK = np.zeros(2, "float32")


def linear(inputs):
    return (inputs * WEIGHTS).sum(axis=(1, 2, 3))


def unchanged(image):
    """A score that counts: which share of pixels is as in the image."""
    return lambda inputs: (inputs == image).all(axis=-1).mean(axis=(1, 2))


def trapezoids(shares, values):
    return sum((values[k] + values[k + 1]) / 2 * (shares[k + 1] - shares[k]) for k in range(len(shares) - 1))


def bilinear(heatmap, height, width):
    """With the middles of cells as their places, and the edge's value beyond the outermost middles."""
    rows, columns = heatmap.shape
    result = np.zeros((height, width))
    for top in range(height):
        for left in range(width):
            y = min(max((top + 0.5) * rows / height - 0.5, 0), rows - 1)
            x = min(max((left + 0.5) * columns / width - 0.5, 0), columns - 1)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, rows - 1), min(x0 + 1, columns - 1)
            upper = heatmap[y0, x0] * (1 - x + x0) + heatmap[y0, x1] * (x - x0)
            lower = heatmap[y1, x0] * (1 - x + x0) + heatmap[y1, x1] * (x - x0)
            result[top, left] = upper * (1 - y + y0) + lower * (y - y0)
    return result


def test_deletion_of_a_linear_network_loses_the_largest_parts_first() -> None:
    parts = (WEIGHTS * IMAGE).sum(axis=-1)
    curve = faithfulness.deletion(linear, IMAGE, parts.astype("float32"), baseline=BLACK, steps=15)
    left = sorted(parts.ravel())  # the smallest stay longest
    expected = [sum(left[: 15 - k]) for k in range(16)]
    assert curve.scores == pytest.approx(expected, rel=1e-5)
    assert curve.shares == pytest.approx([k / 15 for k in range(16)])
    assert curve.area == pytest.approx(trapezoids(curve.shares, expected), rel=1e-5)
    assert (curve.steps, curve.baseline) == (15, "the given array")


def test_insertion_of_a_linear_network_gains_the_largest_parts_first() -> None:
    parts = (WEIGHTS * IMAGE).sum(axis=-1)
    curve = faithfulness.insertion(linear, IMAGE, parts.astype("float32"), baseline=BLACK, steps=15)
    largest = sorted(parts.ravel(), reverse=True)
    assert curve.scores == pytest.approx([sum(largest[:k]) for k in range(16)], rel=1e-5, abs=1e-6)


def test_the_sign_of_relevance_decides_who_goes_first() -> None:
    heatmap = np.array([[-5.0, 1.0, 0.0]], "float32")
    image = np.array([[[1.0], [2.0], [4.0]]], "float32")
    total = faithfulness.deletion(
        lambda inputs: inputs.sum(axis=(1, 2, 3)), image, heatmap, baseline=np.zeros(1), steps=3
    )
    assert total.scores == (7, 5, 1, 0)  # absolute values would give 7, 6, 4, 0


@pytest.mark.parametrize(("steps", "counts"), [(1, [0, 15]), (4, [0, 4, 8, 11, 15]), (99, list(range(16)))])
def test_a_map_of_zeros_is_removed_step_by_step(steps: int, counts: list[int]) -> None:
    curve = faithfulness.deletion(
        unchanged(IMAGE), IMAGE, np.zeros((3, 5), "float32"), baseline=np.full(2, 9.0), steps=steps
    )
    assert curve.shares == pytest.approx([count / 15 for count in counts])
    assert curve.scores == pytest.approx([1 - count / 15 for count in counts])
    assert curve.steps == len(counts) - 1


def test_equal_values_do_not_go_from_the_top_downwards() -> None:
    ranked = order(np.zeros((20, 30), "float32"))
    upper = np.mean(ranked[:300] < 300)
    assert 0.4 < upper < 0.6  # in raster order 1
    assert sorted(ranked.tolist()) == list(range(600))
    assert (ranked == order(np.ones((20, 30), "float32"))).all()
    assert (ranked != order(np.zeros((20, 30), "float32"), seed=1)).any()


def test_ties_keep_the_higher_values_first() -> None:
    heatmap = np.repeat([[0.0, 2.0, -1.0, 2.0]], 3, axis=0).astype("float32")
    values = heatmap.ravel()[order(heatmap)]
    assert (np.diff(values) <= 0).all()


def test_one_pixel() -> None:
    image = np.full((1, 1, 3), 2.0, "float32")
    curve = faithfulness.deletion(
        lambda inputs: inputs.sum(axis=(1, 2, 3)), image, np.ones((1, 1), "float32"), baseline=np.zeros(3), steps=10
    )
    assert (curve.shares, curve.scores, curve.area, curve.steps) == ((0.0, 1.0), (6.0, 0.0), 3.0, 1)


def test_inputs_are_made_in_chunks() -> None:
    seen: list[int] = []

    def score(inputs):
        seen.append(len(inputs))
        assert inputs.dtype == np.float32
        return linear(inputs)

    small = faithfulness.deletion(score, IMAGE, unit(IMAGE[..., 0]), baseline="mean", steps=10, batch_size=4)
    assert seen == [4, 4, 3]
    assert small == faithfulness.deletion(score, IMAGE, unit(IMAGE[..., 0]), baseline="mean", steps=10)


@pytest.mark.parametrize(
    ("shape", "target"), [((2, 2), (4, 6)), ((7, 5), (28, 33)), ((1, 1), (3, 4)), ((1, 3), (2, 7))]
)
def test_a_coarse_map_is_brought_to_the_image_bilinearly(shape, target) -> None:
    heatmap = np.random.default_rng(3).normal(size=shape).astype("float32")
    result = fitted(heatmap, np.zeros((*target, 3), "float32"))
    np.testing.assert_allclose(result, bilinear(heatmap, *target), atol=1e-5)
    assert result.min() < 0 or heatmap.min() >= 0


def test_the_mean_and_the_blur() -> None:
    image = np.random.default_rng(4).uniform(size=(24, 40, 2)).astype("float32")
    mean, words = baseline_image(image, "mean")
    assert words == "the image's mean colour"
    for channel in range(2):
        assert np.ptp(mean[..., channel]) == 0
        assert mean[0, 0, channel] == pytest.approx(sum(image[..., channel].ravel().tolist()) / 960, rel=1e-6)
    blurred, words = baseline_image(image, "blur")
    assert words == "the image blurred by 2 pixels"
    for top, left in ((0, 0), (12, 20), (23, 1)):
        total, weights = np.zeros(2), 0.0
        for down in range(-8, 9):
            for right in range(-8, 9):
                weight = math.exp(-(down**2 + right**2) / 8)
                weights += weight
                total += weight * image[min(max(top + down, 0), 23), min(max(left + right, 0), 39)]
        np.testing.assert_allclose(blurred[top, left], total / weights, atol=1e-5)


def test_a_baseline_that_is_none_is_told() -> None:
    with pytest.raises(OptionError, match="did you mean blur"):
        faithfulness.deletion(linear, IMAGE, IMAGE[..., 0], baseline="blurr", steps=2)
    with pytest.raises(OptionError, match=r"a baseline of shape \(3,\) for an image of shape \(3, 5, 2\)"):
        faithfulness.deletion(linear, IMAGE, IMAGE[..., 0], baseline=np.zeros(3), steps=2)


@pytest.mark.parametrize(
    ("score", "heatmap", "words"),
    [
        (lambda inputs: np.full(len(inputs), np.nan), np.ones((3, 5)), "a score that is not finite"),
        (lambda inputs: np.zeros((len(inputs), 1)), np.ones((3, 5)), r"shape \(3, 1\): expected \(3,\)"),
        (linear, np.full((3, 5), np.inf), "a map with values that are not finite"),
        (linear, np.ones((3, 5, 1)), r"a map of shape \(3, 5, 1\)"),
    ],
)
def test_what_gives_no_number_is_an_error(score, heatmap, words) -> None:
    with pytest.raises(OptionError, match=words):
        faithfulness.deletion(score, IMAGE, heatmap, baseline="mean", steps=2)


def test_what_a_map_keeps() -> None:
    heatmap = np.array([[-4.0, 0.0, 1.0, 2.0]], "float32")
    image = np.full((1, 4, 1), 10.0, "float32")
    remaining = faithfulness.kept(image, heatmap, baseline=np.full(1, 2.0))
    assert remaining.ravel().tolist() == [2, 2, 6, 10]
    assert faithfulness.kept(image, np.full((1, 4), 3.0), baseline=np.zeros(1)).ravel().tolist() == [10] * 4
    assert faithfulness.kept(image, np.zeros((1, 4)), baseline=np.zeros(1)).ravel().tolist() == [0] * 4
    assert faithfulness.kept(image, np.full((1, 4), -3.0), baseline=np.zeros(1)).ravel().tolist() == [0] * 4


def test_the_drop_of_a_linear_network() -> None:
    """p = w.x / 100: what the map keeps of the sum is what is left of p."""
    image, weights = IMAGE, WEIGHTS / 100
    heatmap = np.zeros((3, 5), "float32")
    heatmap[1, 2], heatmap[2, 4] = 4, 1
    before, after = faithfulness.before_and_after(
        lambda inputs: (inputs * weights).sum(axis=(1, 2, 3)), image, heatmap, baseline=BLACK
    )
    left = (weights[1, 2] * image[1, 2]).sum() + (weights[2, 4] * image[2, 4]).sum() / 4
    assert faithfulness.drop(before, after) == pytest.approx(1 - left / (weights * image).sum(), rel=1e-5)


@pytest.mark.parametrize(
    ("before", "after", "drop", "increase", "gain"),
    [
        (0.8, 0.2, 0.75, 0, 0),
        (0.2, 0.8, 0, 1, 0.75),
        (0.5, 0.5, 0, 0, 0),
        (0.0, 0.4, None, 1, 0.4),
        (1.0, 0.4, 0.6, 0, None),
        (1 + 1e-7, 0.4, 0.6, 0, None),  # as float32 sums it up
    ],
)
def test_drop_increase_and_gain(before, after, drop, increase, gain) -> None:
    assert faithfulness.drop(before, after) == (None if drop is None else pytest.approx(drop))
    assert faithfulness.increase(before, after) == increase
    assert faithfulness.gain(before, after) == (None if gain is None else pytest.approx(gain))


def test_an_image_of_whole_numbers_is_no_other_image() -> None:
    image = np.array([[[10], [20]]], "uint8")
    heatmap, baseline = np.array([[1, 0]]), np.full(1, 2.5)
    for measure, expected in ((faithfulness.deletion, (30, 22.5, 5)), (faithfulness.insertion, (5, 12.5, 30))):
        curve = measure(lambda inputs: inputs.sum(axis=(1, 2, 3)), image, heatmap, baseline=baseline, steps=2)
        assert curve.scores == expected


@pytest.mark.parametrize("measure", [faithfulness.drop, faithfulness.increase, faithfulness.gain])
def test_logits_are_no_probabilities(measure) -> None:
    for before, after in ((3.2, 0.1), (0.5, -1.0)):
        with pytest.raises(OptionError, match="expected probabilities of 0 to 1, not logits"):
            measure(before, after)


def test_adcc_in_closed_form() -> None:
    """Half of the map is 1: complexity 1/2; the map of what is kept is the same; nothing drops."""
    heatmap = np.zeros((2, 4), "float32")
    heatmap[:, :2] = 7
    result = faithfulness.adcc(
        lambda inputs: np.full(len(inputs), 0.6),
        lambda inputs: np.repeat(heatmap[None], len(inputs), axis=0),
        np.ones((2, 4, 1), "float32"),
        heatmap,
        baseline=np.zeros(1),
    )
    assert (result.coherency, result.complexity, result.drop) == (pytest.approx(1), 0.5, 0)
    assert result.value == pytest.approx(3 / (1 + 2 + 1))


def test_adcc_against_its_twin() -> None:
    random = np.random.default_rng(5)
    for _ in range(20):
        heatmap, again = random.normal(size=(2, 4, 6)).astype("float32")
        before, after = random.uniform(0.3, 0.9), random.uniform(0.05, 0.9)
        result = faithfulness.adcc_of(heatmap, again, before, after)
        flat, other = heatmap.ravel().astype(float), again.ravel().astype(float)
        covariance = sum((one - flat.mean()) * (two - other.mean()) for one, two in zip(flat, other, strict=True)) / 24
        coherency = (covariance / (flat.std() * other.std()) + 1) / 2
        complexity = sum(max(value, 0) for value in flat) / max(flat) / 24
        drop = max(0, before - after) / before
        expected = 3 / (1 / coherency + 1 / (1 - complexity) + 1 / (1 - drop))
        assert result.value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("constant", [0.0, 2.0, -1.0])
def test_adcc_of_a_constant_map_is_zero(constant: float) -> None:
    flat, other = np.full((3, 3), constant), np.arange(9.0).reshape(3, 3)
    for heatmap, again in ((flat, other), (other, flat), (flat, flat)):
        result = faithfulness.adcc_of(heatmap, again, 0.5, 0.5)
        assert (result.value, result.coherency) == (0, None)
    assert faithfulness.adcc_of(flat, flat, 0.5, 0.5).complexity == (1 if constant > 0 else 0)


def test_adcc_is_undefined_where_the_drop_is_and_zero_where_all_is_lost() -> None:
    heatmap = np.arange(9.0).reshape(3, 3)
    assert faithfulness.adcc_of(heatmap, heatmap, 0.0, 0.5).value is None
    assert faithfulness.adcc_of(heatmap, heatmap, 0.5, 0.0).value == 0
    assert faithfulness.adcc_of(heatmap, -heatmap, 0.5, 0.5).value == pytest.approx(0, abs=1e-9)
