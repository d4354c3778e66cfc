"""Is the relevance where the class is? Focus on mosaics of four images, and the pointing game."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from convlens.errors import OptionError
from convlens.techniques.metrics.inputs import Array, checked

Box = tuple[float, float, float, float]
TOLERANCE = 15.0  # pixels, as in the paper


@dataclass(frozen=True)
class Mosaic:
    """Which four images make a mosaic, and which of them show the class that is to be explained.

    Attributes:
        target: the class.
        images: four different indices, from top left over top right and bottom left to bottom right.
        hits: four booleans, of which two are true.
    """

    target: Hashable
    images: tuple[int, int, int, int]
    hits: tuple[bool, bool, bool, bool]


def plan_mosaics(classes: Sequence[Hashable], count: int, seed: int = 0) -> tuple[Mosaic, ...]:
    """Which images come together: two of a class, and two others of one other class, at random places.

    All classes are the target about equally often, in the order in which they first appear. A mosaic depends on the
    seed and its own number alone, so that a longer plan begins with the shorter one.

    Args:
        classes: of each image.
        count: of mosaics.

    Raises:
        OptionError: fewer than two classes with two images.
    """
    members: dict[Hashable, list[int]] = {}
    for number, name in enumerate(classes):
        members.setdefault(name, []).append(number)
    usable = [name for name, own in members.items() if len(own) >= 2]
    if len(usable) < 2:
        raise OptionError(f"mosaics need two classes with two images each; received {len(usable)} such")
    plan: list[Mosaic] = []
    for number in range(count):
        random = np.random.default_rng((seed, number))
        target = usable[number % len(usable)]
        rest = [name for name in usable if name != target]
        other = rest[int(random.integers(len(rest)))]
        four = [int(one) for name in (target, other) for one in random.choice(members[name], 2, replace=False)]
        places = random.permutation(4)
        first, second, third, fourth = (four[place] for place in places)
        hits = tuple(bool(place < 2) for place in places)
        plan.append(Mosaic(target, (first, second, third, fourth), (hits[0], hits[1], hits[2], hits[3])))
    return tuple(plan)


def mosaic_image(tiles: Sequence[Array], height: int, width: int) -> Array:
    """Four images in one, each brought to its quarter as photos are: bilinearly, over all pixels that a new one covers.

    Args:
        tiles: four (rows, columns, channels), from top left over top right and bottom left to bottom right.
        height, width: of the mosaic; the upper and the left tiles are the smaller ones where these are odd.

    Returns:
        float32 (height, width, channels).

    Raises:
        OptionError: other than four tiles, or a mosaic of less than 2 x 2 pixels.
    """
    if len(tiles) != 4 or min(height, width) < 2:
        raise OptionError(
            f"a mosaic of {len(tiles)} images and {height} x {width} pixels: expected four, from 2 x 2 on"
        )
    tops, lefts = (slice(0, height // 2), slice(height // 2, height)), (slice(0, width // 2), slice(width // 2, width))
    whole = np.zeros((height, width, tiles[0].shape[2]), dtype=np.float32)
    for number, tile in enumerate(tiles):
        rows, columns = tops[number // 2], lefts[number % 2]
        size = (columns.stop - columns.start, rows.stop - rows.start)
        for channel in range(whole.shape[2]):
            plane = Image.fromarray(np.ascontiguousarray(tile[..., channel], dtype=np.float32))
            whole[rows, columns, channel] = np.asarray(plane.resize(size, Image.Resampling.BILINEAR))
    return whole


def focus(heatmap: Array, hits: Sequence[bool], height: int, width: int) -> float | None:
    """Which share of the positive relevance lies in the two tiles of the class; chance is 0.5, high is good.

    None where nothing is positive. A map coarser than the mosaic is not interpolated: a cell that lies across a border
    counts for both sides by its area.

    Args:
        heatmap: (rows, columns) of any size, over the whole mosaic.
        hits: of the four tiles, see `Mosaic`.
        height, width: of the mosaic in pixels.

    Arias-Duart et al. 2021, arXiv 2109.15035.
    """
    if len(hits) != 4:
        raise OptionError(f"{len(hits)} tiles: expected four")
    positive = np.maximum(checked(heatmap), 0).astype(np.float64)
    total = positive.sum()
    if total == 0:
        return None
    upper = _share_before(positive.shape[0], (height // 2) / height)
    left = _share_before(positive.shape[1], (width // 2) / width)
    quarters = [down @ positive @ right for down in (upper, 1 - upper) for right in (left, 1 - left)]
    return float(sum(part for part, hit in zip(quarters, hits, strict=True) if hit) / sum(quarters))


def _share_before(cells: int, border: float) -> Array:
    """The share of each of several equal cells that lies before a border, which is a share of their whole length."""
    return np.clip(border * cells - np.arange(cells), 0, 1)


def mask_of(boxes: Sequence[Box], height: int, width: int) -> Array:
    """The pixels whose centres lie in any of several boxes, bool (height, width).

    Args:
        boxes: (left, top, right, bottom) in pixels from the image's upper left corner.

    Raises:
        OptionError: a box whose right or bottom does not lie after its left or top.
    """
    mask = np.zeros((height, width), dtype=bool)
    across, down = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    for left, top, right, bottom in boxes:
        if not (left < right and top < bottom):
            raise OptionError(f"box {left:g}, {top:g}, {right:g}, {bottom:g}: expected left, top, right, bottom")
        mask |= (across >= left) & (across < right) & (down >= top) & (down < bottom)
    return mask


def pointing_game(heatmap: Array, mask: Array, *, tolerance: float = TOLERANCE) -> float | None:
    """Does the map's highest value lie on the object, or within a distance of it? 1 for yes, 0 for no.

    Where several places have the highest value it is the share of them that hit, which is what a random choice among
    them would give on average. None where the mask is empty. Its mean over images is the pointing game of Zhang et al.
    2016, arXiv 1608.00507.

    Args:
        heatmap: (rows, columns) of any size; the middle of the highest cell counts.
        mask: bool (height, width), of the image's pixels; `mask_of` makes one of boxes.
        tolerance: pixels from the middle of the nearest pixel of the mask.
    """
    from scipy.ndimage import distance_transform_edt

    mask = np.asarray(mask, dtype=bool)
    if mask.ndim != 2:
        raise OptionError(f"a mask of shape {mask.shape}: expected (height, width)")
    if not mask.any():
        return None
    heatmap = checked(heatmap)
    rows, columns = np.nonzero(heatmap == heatmap.max())
    distances = np.asarray(distance_transform_edt(~mask))
    tops = ((rows + 0.5) * mask.shape[0] / heatmap.shape[0]).astype(int)
    lefts = ((columns + 0.5) * mask.shape[1] / heatmap.shape[1]).astype(int)
    return float(np.mean(distances[tops, lefts] <= tolerance))
