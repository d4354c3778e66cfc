"""ROAD against a dense twin and closed forms."""

import numpy as np
import pytest

from convlens.errors import OptionError
from convlens.techniques.metrics.road import imputed, road


def dense(image, missing):
    """Each missing pixel equal to the weighted mean of its neighbours, written out pixel by pixel."""
    height, width = missing.shape
    places = [place for place in np.ndindex(height, width) if missing[place]]
    matrix, right = np.zeros((len(places), len(places))), np.zeros((len(places), image.shape[2]))
    for row, (top, left) in enumerate(places):
        weights = {}
        for y in range(max(top - 1, 0), min(top + 2, height)):
            for x in range(max(left - 1, 0), min(left + 2, width)):
                if (y, x) != (top, left):
                    weights[y, x] = 1 / 6 if y == top or x == left else 1 / 12
        matrix[row, row] = 1
        for place, weight in weights.items():
            share = weight / sum(weights.values())
            if missing[place]:
                matrix[row, places.index(place)] -= share
            else:
                right[row] += share * image[place]
    result = image.astype(float)
    for place, values in zip(places, np.linalg.solve(matrix, right), strict=True):
        result[place] = values
    return result


@pytest.mark.parametrize("shape", [(7, 11), (11, 4), (1, 9), (2, 2)])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1])
def test_imputation_against_its_twin(shape, share: float) -> None:
    random = np.random.default_rng(7)
    image = random.normal(size=(*shape, 3)).astype("float32")
    missing = random.uniform(size=shape) < share
    missing[shape[0] // 2, 0] = False  # with a share of 1, this pixel alone is known
    np.testing.assert_allclose(imputed(image, missing, noise=0), dense(image, missing), atol=1e-5)
    if share == 1:
        np.testing.assert_allclose(
            imputed(image, missing, noise=0), image[shape[0] // 2, 0] * np.ones_like(image), 1e-4
        )


def test_a_slope_is_continued_through_a_hole() -> None:
    down, right = np.mgrid[:20, :30].astype("float32")
    image = np.stack([down, right, 2 * down - right], axis=-1)
    missing = np.zeros((20, 30), bool)
    missing[5:15, 8:25] = True
    np.testing.assert_allclose(imputed(image, missing, noise=0), image, atol=1e-4)


def test_noise_is_a_share_of_the_range_and_on_missing_pixels_alone() -> None:
    image = np.zeros((60, 60, 3), "float32")
    image[0, 0] = 255
    missing = np.ones((60, 60), bool)
    missing[:, 0] = False
    clean, noisy = imputed(image, missing, noise=0), imputed(image, missing, noise=0.01)
    assert (noisy[~missing] == image[~missing]).all()
    assert (noisy - clean)[missing].std() == pytest.approx(2.55, rel=0.03)
    assert (noisy == imputed(image, missing, noise=0.01)).all()
    assert (noisy != imputed(image, missing, noise=0.01, seed=1)).any()


def test_nothing_missing_and_everything_missing() -> None:
    image = np.ones((2, 3, 1), "float32")
    assert (imputed(image, np.zeros((2, 3), bool)) == image).all()
    with pytest.raises(OptionError, match="nothing is left"):
        imputed(image, np.ones((2, 3), bool))


def half_zero():
    heatmap = np.zeros((10, 20), "float32")
    heatmap[:, 10:] = np.random.default_rng(1).uniform(0.1, 1, (10, 10))
    return heatmap


@pytest.mark.parametrize("heatmap", [half_zero(), np.zeros((10, 20)), np.ones((10, 20)), -half_zero()])
def test_exactly_the_share_is_removed(heatmap) -> None:
    """A mask of all values up to a percentile would take half of the map at once, or all of it."""
    image = np.random.default_rng(2).uniform(size=(10, 20, 3)).astype("float32")
    result = road(
        lambda inputs: (inputs == image).all(axis=-1).mean(axis=(1, 2)),
        image,
        heatmap,
        shares=np.array([0, 0.1, 0.3, 0.7, 0.9]),
    )
    assert result.morf == result.lerf == pytest.approx((1, 0.9, 0.7, 0.3, 0.1))
    assert result.shares == (0, 0.1, 0.3, 0.7, 0.9)


def test_the_most_relevant_go_first() -> None:
    image = np.zeros((16, 16, 1), "float32")
    image[4:8, 4:8] = 1
    heatmap = image[..., 0] + np.float32(0.5)

    def score(inputs):
        return inputs[:, 4:8, 4:8, 0].mean(axis=(1, 2))

    result = road(score, image, heatmap, shares=(1 / 16, 0.5), noise=0)
    assert result.morf == pytest.approx((0, 0), abs=1e-6)
    assert result.lerf == (1, 1)
    assert result.gap == pytest.approx(1)
    turned = road(score, image, -heatmap, shares=(1 / 16, 0.5), noise=0)
    assert turned.gap == pytest.approx(-1)


def test_a_map_that_knows_nothing_has_no_gap_on_a_plain_image() -> None:
    image = np.full((9, 5, 2), 3.0, "float32")
    result = road(lambda inputs: inputs.mean(axis=(1, 2, 3)), image, np.random.default_rng(0).normal(size=(9, 5)))
    assert result.morf == result.lerf == pytest.approx((3,) * 5)
    assert result.gap == pytest.approx(0, abs=1e-6)


def test_one_pixel_is_never_removed() -> None:
    image = np.ones((1, 1, 1), "float32")
    assert road(lambda inputs: inputs[:, 0, 0, 0], image, np.ones((1, 1)), shares=(0.9,)).morf == (1,)


def test_a_whole_image_in_one_factorization_is_bounded() -> None:
    seen = []
    image = np.random.default_rng(3).uniform(size=(64, 48, 3)).astype("float32")

    def score(inputs):
        seen.append(len(inputs))
        return inputs.mean(axis=(1, 2, 3))

    road(score, image, image[..., 0], batch_size=3)
    assert seen == [3, 3, 3, 1]


@pytest.mark.parametrize("shares", [(), (1.0,), (-0.1, 0.5)])
def test_shares_that_leave_nothing_are_an_error(shares) -> None:
    with pytest.raises(OptionError, match="from 0 to below 1"):
        road(lambda inputs: inputs[:, 0, 0, 0], np.ones((2, 2, 1)), np.ones((2, 2)), shares=shares)
