"""How the colours of photos vary together: the matrix PHOTO_COLOURS of techniques/patterns/images/fourier.py.

python tools/photo_statistics.py FOLDER [COUNT]
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 64  # photos are made this small, which takes no colours away


def colour_matrix(photos: list[np.ndarray]) -> np.ndarray:
    """A root of the covariance of the logits of RGB, its columns by their length, the longest 1.

    Args:
        photos: float (height, width, 3), RGB 0-1.
    """
    pixels = np.concatenate([photo.reshape(-1, 3) for photo in photos]).clip(1 / 512, 1 - 1 / 512)
    variances, axes = np.linalg.eigh(np.cov((np.log(pixels) - np.log1p(-pixels)).T))
    columns = (axes * np.sqrt(variances))[:, ::-1]
    columns = columns * np.where(columns[0] < 0, -1, 1)
    return columns / np.sqrt(variances.max())


def main() -> None:
    """Prints the matrix of the first photos of a folder by name, in all its folders."""
    files = sorted(path for path in Path(sys.argv[1]).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    chosen = files[: int(sys.argv[2]) if len(sys.argv) > 2 else None]
    photos = [np.asarray(Image.open(path).convert("RGB").resize((SIDE, SIDE))) / 255 for path in chosen]
    print(f"{len(photos)} photos")
    print(np.round(colour_matrix(photos), 3).tolist())


if __name__ == "__main__":
    main()
