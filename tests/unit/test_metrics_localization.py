"""Mosaics, Focus and the pointing game against slow twins and closed forms."""

from collections import Counter
from math import hypot, lcm

import numpy as np
import pytest

from convlens.errors import OptionError
from convlens.techniques.metrics.localization import focus, mask_of, mosaic_image, plan_mosaics, pointing_game

CLASSES = ["cat"] * 5 + ["dog"] * 3 + ["owl"] * 2 + ["lone"]


def test_a_plan_has_two_of_the_class_and_two_of_one_other() -> None:
    plan = plan_mosaics(CLASSES, 300)
    for mosaic in plan:
        names = [CLASSES[number] for number in mosaic.images]
        assert len(set(mosaic.images)) == 4
        assert [name == mosaic.target for name in names] == list(mosaic.hits)
        assert sorted(Counter(names).values()) == [2, 2]
        assert "lone" not in names
    assert Counter(mosaic.target for mosaic in plan) == {"cat": 100, "dog": 100, "owl": 100}
    assert len({mosaic.hits for mosaic in plan}) == 6
    assert {number for mosaic in plan for number in mosaic.images} == set(range(10))


def test_a_plan_is_its_seed() -> None:
    assert plan_mosaics(CLASSES, 20) == plan_mosaics(CLASSES, 50)[:20]
    assert plan_mosaics(CLASSES, 20) != plan_mosaics(CLASSES, 20, seed=1)


@pytest.mark.parametrize("classes", [[], ["a"] * 9, ["a", "a", "b"]])
def test_too_few_images_are_an_error(classes) -> None:
    with pytest.raises(OptionError, match="two classes with two images"):
        plan_mosaics(classes, 1)


def triangles(old: int, new: int):
    """(new, old) weights of a triangle over twice the length that a new pixel covers, at least two old ones."""
    scale = max(old / new, 1)
    middles = (np.arange(new)[:, None] + 0.5) * old / new - 0.5
    weights = np.maximum(1 - np.abs(np.arange(old) - middles) / scale, 0)
    return weights / weights.sum(axis=1, keepdims=True)


def test_tiles_are_resized_into_their_quarters() -> None:
    random = np.random.default_rng(8)
    sizes = ((6, 9), (2, 12), (8, 3), (10, 15))  # larger, smaller and as large as their quarter
    tiles = [random.normal(size=(*size, 3)).astype("float32") for size in sizes]
    whole = mosaic_image(tiles, 5, 7)  # rows of 2 and 3, columns of 3 and 4
    assert whole.dtype == np.float32
    for number, tile in enumerate(tiles):
        rows, columns = (slice(0, 2), slice(2, 5))[number // 2], (slice(0, 3), slice(3, 7))[number % 2]
        quarter = whole[rows, columns]
        down, right = (triangles(old, new) for old, new in zip(tile.shape, quarter.shape[:2], strict=False))
        for channel in range(3):
            np.testing.assert_allclose(quarter[..., channel], down @ tile[..., channel] @ right.T, atol=1e-5)


def test_a_mosaic_of_another_number_is_an_error() -> None:
    with pytest.raises(OptionError, match="expected four"):
        mosaic_image([np.zeros((4, 4, 3))] * 3, 8, 8)


def counted(heatmap, hits, height, width):
    """Each cell cut into pieces that lie in one tile only, and the pieces counted."""
    rows, columns = lcm(heatmap.shape[0], height), lcm(heatmap.shape[1], width)
    inside = total = 0.0
    for y in range(rows):
        for x in range(columns):
            value = max(heatmap[y * heatmap.shape[0] // rows, x * heatmap.shape[1] // columns], 0)
            below, right = y * height // rows >= height // 2, x * width // columns >= width // 2
            total += value
            inside += value * hits[2 * below + right]
    return inside / total


@pytest.mark.parametrize("shape", [(4, 4), (7, 7), (1, 1), (5, 3), (8, 6)])
@pytest.mark.parametrize("size", [(8, 6), (9, 7)])
def test_focus_against_its_twin(shape, size) -> None:
    random = np.random.default_rng(9)
    for hits in ((1, 1, 0, 0), (1, 0, 0, 1), (0, 1, 0, 1)):
        heatmap = random.normal(size=shape) + 0.5
        heatmap[0, 0] = 1
        assert focus(heatmap, hits, *size) == pytest.approx(counted(heatmap, hits, *size), rel=1e-6)


@pytest.mark.parametrize("hits", [(True, True, False, False), (True, False, False, True), (False, True, False, True)])
def test_focus_of_an_oracle_a_constant_and_nothing(hits) -> None:
    oracle = np.repeat(np.repeat(np.reshape(hits, (2, 2)), 4, axis=0), 6, axis=1).astype("float32")
    assert focus(oracle, hits, 8, 12) == 1
    assert focus(1 - oracle, hits, 8, 12) == 0
    assert focus(oracle - 5 * (1 - oracle), hits, 8, 12) == 1  # negative relevance elsewhere takes nothing away
    assert focus(5 * oracle - oracle.sum(), hits, 8, 12) is None
    for shape in ((8, 12), (7, 7), (1, 1), (3, 2)):
        assert focus(np.full(shape, 0.3), hits, 8, 12) == pytest.approx(0.5)
        assert focus(np.zeros(shape), hits, 8, 12) is None


def test_pointing_game_on_and_beside_the_object() -> None:
    heatmap = np.zeros((60, 80), "float32")
    heatmap[10, 20] = 1
    for left, hit in ((21, 1), (25, 1), (35, 1), (36, 0)):
        mask = np.zeros((60, 80), bool)
        mask[5:30, left:50] = True
        assert pointing_game(heatmap, mask, tolerance=15) == hit, left
        assert pointing_game(heatmap, mask, tolerance=0) == 0


def test_the_distance_is_euclidean() -> None:
    heatmap, mask = np.zeros((60, 80), "float32"), np.zeros((60, 80), bool)
    heatmap[10, 20] = 1
    mask[22, 36] = True  # 12 down, 16 right
    assert pointing_game(heatmap, mask, tolerance=hypot(12, 16)) == 1
    assert pointing_game(heatmap, mask, tolerance=19.9) == 0


def test_equal_maxima_count_by_their_share() -> None:
    mask = np.zeros((12, 20), bool)
    mask[:3, :10] = True
    assert pointing_game(np.zeros((12, 20)), mask, tolerance=0) == pytest.approx(30 / 240)
    assert pointing_game(np.full((6, 10), 4.0), mask, tolerance=0) == pytest.approx(sum(mask[1::2, 1::2].ravel()) / 60)
    heatmap = np.full((12, 20), -2.0)
    heatmap[0, 0] = heatmap[11, 19] = heatmap[11, 0] = -1  # the highest of a negative map is its highest
    assert pointing_game(heatmap, mask, tolerance=0) == pytest.approx(1 / 3)


def test_a_coarse_map_points_with_the_middle_of_its_cell() -> None:
    heatmap = np.zeros((2, 2), "float32")
    heatmap[0, 1] = 1
    mask = np.zeros((8, 12), bool)
    mask[2, 9] = True
    assert pointing_game(heatmap, mask, tolerance=0) == 1
    assert pointing_game(heatmap, np.zeros((8, 12), bool)) is None


def test_boxes_are_pixels_whose_middle_they_hold() -> None:
    mask = mask_of([(1, 0, 3, 2), (3.4, 2.6, 5, 4)], 4, 6)
    assert mask.astype(int).tolist() == [[0, 1, 1, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0] * 6, [0, 0, 0, 1, 1, 0]]
    with pytest.raises(OptionError, match="expected left, top, right, bottom"):
        mask_of([(3, 0, 1, 2)], 4, 6)
