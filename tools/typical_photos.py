"""Make the sheet of typical photos that the guess of an unknown preprocessing looks at.

    python tools/typical_photos.py src/convlens/network/inspect/typical_photos.jpg

Four views of each of four photos that come with scikit-image without restrictions (chelsea and coffee: CC0; rocket:
public domain, SpaceX; astronaut: public domain, NASA). Each view gets a mean and a contrast of its own, so that all
together have those of photos in general: the mean colours of ImageNet, and how much photos differ in brightness, warmth
and contrast. The sheet has 4 x 4 views of 128 x 128 pixels.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

NAMES = ("chelsea", "astronaut", "coffee", "rocket")
SIDE = 128
MEAN = np.array([123.7, 116.3, 103.5])  # red, green and blue of ImageNet
LEVELS = np.array([-1.9, -1.3, -1.0, -0.7, -0.5, -0.3, -0.2, -0.05, 0.05, 0.2, 0.3, 0.5, 0.7, 1.0, 1.3, 1.9])
BRIGHTNESS, WARMTH = 28, 10  # deviations over photos: of grey; of red from grey, and of grey from blue
CONTRASTS = (38, 50, 62, 74)


def views() -> np.ndarray:
    """Crops of the photos, every second one mirrored: (16, SIDE, SIDE, 3)."""
    rng, found = np.random.default_rng(0), []
    for name in NAMES:
        photo = Image.fromarray(getattr(data, name)())
        width, height = photo.size
        side = min(width, height)
        boxes = [(0, 0, side, side), (width - side, height - side, width, height)]
        for share in (0.6, 0.35):
            near = int(side * share)
            left, top = rng.integers(0, width - near + 1), rng.integers(0, height - near + 1)
            boxes.append((left, top, left + near, top + near))
        for number, box in enumerate(boxes):
            view = photo.crop(box).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            found.append(view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if number % 2 else view)
    return np.stack([np.asarray(view, "float64") for view in found])


def typical(photos: np.ndarray) -> np.ndarray:
    """The same with the colours, brightness and contrast of photos in general."""
    number = np.arange(len(photos))
    grey, warm = BRIGHTNESS * LEVELS[(number * 7 + 3) % 16], WARMTH * LEVELS[(number * 5 + 1) % 16]
    mean = MEAN + grey[:, None] + warm[:, None] * np.array([1, 0, -1])
    contrast = np.array(CONTRASTS)[(number * 3) % 4]
    standard = (photos - photos.mean((1, 2), keepdims=True)) / photos.std((1, 2), keepdims=True)
    return np.clip(standard * contrast[:, None, None, None] + mean[:, None, None], 0, 255)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    tiles = typical(views()).round().astype("uint8").reshape(4, 4, SIDE, SIDE, 3)
    sheet = Image.fromarray(tiles.swapaxes(1, 2).reshape(4 * SIDE, 4 * SIDE, 3))
    sheet.save(out, quality=85, subsampling=0)


if __name__ == "__main__":
    main()
