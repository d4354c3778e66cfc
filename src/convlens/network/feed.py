"""From the user's images to the arrays that a network takes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convlens.errors import ImageError
from convlens.images import Photo, fit, read_image, read_images
from convlens.network.base import Network
from convlens.network.guess import known_preprocessing
from convlens.network.preprocessing import Preprocessing, preprocessing

LONGEST = 1024  # pixels, for networks that take any size


@dataclass(frozen=True, eq=False)
class Samples:
    """Images as they are shown, and as the network takes them.

    Attributes:
        photos: one a sample.
        arrays: one an input of the network, float32 (samples, height, width, channels) where it takes images.
        preprocessing: what the images went through, which may be guessed.
        notes: what was done to them that the user should know, a line each.
        rival: the same images with the preprocessing that is the next likely, where the guess is not sure.
    """

    photos: tuple[Photo, ...]
    arrays: tuple[np.ndarray, ...]
    preprocessing: Preprocessing
    notes: tuple[str, ...] = ()
    rival: "Samples | None" = None

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, chosen: slice) -> "Samples":
        arrays = tuple(array[chosen] for array in self.arrays)
        return replace(self, photos=self.photos[chosen], arrays=arrays, rival=self.rival and self.rival[chosen])


def read_samples(network: Network, images: Any) -> Samples:
    """The user's images for a network, which is not changed by it.

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
        fitted_images, shown = fitted(network, photos), tuple(photos)
        chosen, notes = known_preprocessing(network)
        rival = None
        if chosen.guess and chosen.guess.rival:
            other = preprocessing(chosen.guess.rival, f"the rival of {chosen.name}")
            rival = Samples(shown, (other(fitted_images),), other)
        return Samples(shown, (chosen(fitted_images),), chosen, notes, rival)
    return _read_several(network, images if isinstance(images, list) else [images])


def _read_several(network: Network, samples: list[Any]) -> Samples:
    """Samples of a network with several inputs."""
    expected = ", ".join(spec.name for spec in network.inputs)
    for sample in samples:
        if not isinstance(sample, tuple) or len(sample) != len(network.inputs):
            raise ImageError(
                f"{network.source} takes {len(network.inputs)} inputs ({expected}); give a tuple of them a sample"
            )
    columns = list(zip(*samples, strict=True))
    shown = tuple(read_image(image) for image in columns[network.image_input])
    chosen, notes = known_preprocessing(network)
    arrays = []
    for number, (spec, column) in enumerate(zip(network.inputs, columns, strict=True)):
        if spec.is_image:
            photos = shown if number == network.image_input else [read_image(image) for image in column]
            arrays.append(chosen(fitted(network, photos, number)))
        else:
            arrays.append(_values(column, spec.shape, spec.name))
    return Samples(shown, tuple(arrays), chosen, notes)


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
