"""Images that stand for "nothing to see": made in pixels, then taken through the network's own preprocessing."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from convlens.backend.arrays import numpy_arrays
from convlens.data.images import PIXELS, fit
from convlens.data.preprocessing import AS_GIVEN
from convlens.network.network import Network
from convlens.network.samples import Samples, fitted
from convlens.techniques.attributions.blurring import bell, blurred
from convlens.techniques.attributions.settings import checked_name

BLUR = 0.1  # deviation, as a share of the longer side: no thing is left to see, the colours of the places are
EVEN = {"black": 0.0, "grey": 127.5, "white": 255.0}  # pixels


def _blurred(images: np.ndarray, seed: int) -> np.ndarray:
    from keras import ops

    sides = images.shape[1:3]
    rows, columns = (bell(side, BLUR * max(sides)) for side in sides)
    return numpy_arrays(blurred(ops.convert_to_tensor(images), rows, columns))[0]


def _noise(images: np.ndarray, seed: int) -> np.ndarray:
    """Every pixel drawn from 0 to 255; the same for all images."""
    drawn = np.random.default_rng([seed, 1]).uniform(0, 255, images.shape[1:]).astype("float32")
    return np.broadcast_to(drawn, images.shape)


def _even(pixel: float) -> Callable[[np.ndarray, int], np.ndarray]:
    return lambda images, seed: np.full(images.shape, pixel, "float32")


BASELINES: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    **{name: _even(pixel) for name, pixel in EVEN.items()},
    "blur": _blurred,
    "noise": _noise,
}


def baselines(network: Network, samples: Samples, names: Sequence[str], seed: int) -> dict[str, np.ndarray]:
    """Baselines of images as the network takes them, float32 (batch, height, width, channels) each.

    Of images that came as the network takes them, the blurred one is made of what came, and the others of pixels
    through the preprocessing that the network has, or is guessed to have.

    Args:
        names: of BASELINES.
        seed: of the noise.

    Raises:
        OptionError: unknown name.
        PreprocessingError: as `Preprocessing` raises it.
    """
    pixels = fitted(network, samples.photos)
    preprocessing = samples.preprocessing
    if preprocessing is AS_GIVEN and names:
        preprocessing = network.known_preprocessing()[0]
    as_given = np.array([photo.unit != PIXELS for photo in samples.photos])
    found = {}
    for name in names:
        made = BASELINES[checked_name("baseline", name, BASELINES)](pixels, seed)
        found[name] = preprocessing(np.ascontiguousarray(made))
        if name == "blur" and as_given.any():
            found[name][as_given] = made[as_given]
    return found


def looked_at(samples: Samples, height: int, width: int) -> np.ndarray:
    """The images as they are shown, at a network's size, float32 0-1 (batch, height, width, 3)."""
    shown = [replace(photo, data=None, unit=PIXELS) for photo in samples.photos]
    return np.stack([fit(photo, height, width, 3) for photo in shown]) / np.float32(255)
