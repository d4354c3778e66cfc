"""Small pictures of three shapes, to train the examples' networks on in seconds: discs, stripes and checks."""

import numpy as np

CLASSES = ("disc", "stripes", "checks")


def shapes(count: int, side: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and their classes.

    Args:
        count: of pictures.
        side: in pixels.
        seed: of all that is random in them.

    Returns:
        uint8 (count, side, side, 3) and int (count,).
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side] / side
    pictures, classes = [], rng.integers(0, len(CLASSES), count)
    for kind in classes:
        back, front = rng.integers(30, 120, 3), rng.integers(150, 255, 3)
        middle, size = rng.uniform(0.3, 0.7, 2), rng.uniform(0.15, 0.28)
        inside = np.hypot(rows - middle[0], columns - middle[1]) < size
        turn, width = rng.uniform(0, np.pi), rng.uniform(7, 12)
        along, across = rows * np.cos(turn) + columns * np.sin(turn), columns * np.cos(turn) - rows * np.sin(turn)
        stripes = np.sin(along * width * np.pi) > 0
        drawn = (inside, inside & stripes, inside & (stripes ^ (np.sin(across * width * np.pi) > 0)))[kind]
        picture = np.where(drawn[..., None], front, back) + rng.normal(0, 12, (side, side, 3))
        pictures.append(np.clip(picture, 0, 255).astype("uint8"))
    return np.stack(pictures), classes
