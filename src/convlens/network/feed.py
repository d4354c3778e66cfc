"""From the user's images to the arrays that a network takes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from convlens.errors import ImageError
from convlens.images import Photo, fit, read_image, read_images
from convlens.network.base import Network
from convlens.network.head import predictions
from convlens.network.preprocessing import MODES, Preprocessing, preprocessing

LONGEST = 1024  # pixels, for networks that take any size


def read_samples(network: Network, images: Any) -> tuple[list[Photo], list[np.ndarray]]:
    """The photos as they are shown, and the network's inputs for them.

    Args:
        images: one image or a list of them (paths, Pillow images, arrays). For a network with several inputs, a
            sample is a tuple with an entry an input: images, and arrays for inputs that take none.

    Raises:
        ImageError: an image cannot be read or does not fit the network, or a sample lacks an input.
    """
    if len(network.inputs) == 1:
        photos = read_images(images)
        if not photos:
            raise ImageError("no images given; expected at least one")
        return photos, [feed(network, photos)]
    samples = images if isinstance(images, list) else [images]
    expected = ", ".join(spec.name for spec in network.inputs)
    for sample in samples:
        if not isinstance(sample, tuple) or len(sample) != len(network.inputs):
            raise ImageError(
                f"{network.source} takes {len(network.inputs)} inputs ({expected}); give a tuple of them a sample"
            )
    columns = list(zip(*samples, strict=True))
    shown = [read_image(image) for image in columns[network.image_input]]
    arrays = []
    for number, (spec, column) in enumerate(zip(network.inputs, columns, strict=True)):
        if spec.is_image:
            photos = shown if number == network.image_input else [read_image(image) for image in column]
            arrays.append(feed(network, photos, number))
        else:
            arrays.append(_values(column, spec.shape, spec.name))
    return shown, arrays


def _values(column: Sequence[Any], shape: tuple, name: str) -> np.ndarray:
    values = np.stack([np.asarray(value, "float32") for value in column])
    if len(shape) != values.ndim - 1 or any(
        side not in (None, got) for side, got in zip(shape, values.shape[1:], strict=True)
    ):
        raise ImageError(f"input {name}: expected an array of shape {shape}, received {values.shape[1:]}")
    return values


def fitted(network: Network, photos: Sequence[Photo], number: int | None = None) -> np.ndarray:
    """Photos at the size and channels of an input, 0-255, float32 (batch, height, width, channels)."""
    height, width, channels = network.inputs[network.image_input if number is None else number].shape
    if height is None or width is None:
        tall, wide = network.input_size or _common_size(photos)
        height, width = height or tall, width or wide
    return np.stack([fit(photo, height, width, channels or 3) for photo in photos])


def _common_size(photos: Sequence[Photo]) -> tuple[int, int]:
    """The first photo's own size, at most LONGEST a side: a batch has one size."""
    height, width = photos[0].size
    share = min(1.0, LONGEST / max(height, width))
    return max(round(height * share), 1), max(round(width * share), 1)


def feed(network: Network, photos: Sequence[Photo], number: int | None = None) -> np.ndarray:
    """Photos as an input of the network takes them; an unknown preprocessing is guessed, and said to be."""
    images = fitted(network, photos, number)
    if network.preprocessing is None:
        network.preprocessing = guess(network, images)
        network.notes.append(
            f"preprocessing is unknown; guessed {network.preprocessing}: give preprocess= if it is another"
        )
    return network.preprocessing(images)


def guess(network: Network, images: np.ndarray) -> Preprocessing:
    """The usual preprocessing with which the network's predictions on these images are surest, and not all the same."""
    source = "the guess with the surest and most varied predictions on the images given"
    if len(network.inputs) > 1:
        return preprocessing("none", "nothing known", guessed=True)
    score: dict[str, float] = {}
    for name, mode in MODES.items():
        if name in ("caffe", "torch") and images.shape[-1] != 3:
            continue
        score[name] = _informed(predictions(network, [np.ascontiguousarray(mode(images), "float32")]))
    best = max(score, key=lambda name: score[name])
    return preprocessing(best, source, guessed=True)


def _informed(probabilities: np.ndarray) -> float:
    """Entropy of the mean prediction, less twice the predictions' own: in the wrong range a network is sure of one
    class whatever the image. Of a single image, it is only how sure the prediction is."""
    shares = np.nan_to_num(probabilities / np.maximum(probabilities.sum(-1, keepdims=True), 1e-12))

    def entropy(share: np.ndarray) -> np.ndarray:
        return -(share * np.log(share + 1e-12)).sum(-1)

    return float(entropy(shares.mean(0)) - 2 * entropy(shares).mean())


def known_preprocessing(network: Network) -> Preprocessing:
    """The network's preprocessing, or "none" with a note where there is nothing to tell it by."""
    if network.preprocessing is None:
        network.preprocessing = preprocessing("none", "nothing known", guessed=True)
        network.notes.append(
            "preprocessing is unknown; taken as none (RGB 0 to 255): give preprocess= if it is another"
        )
    return network.preprocessing
