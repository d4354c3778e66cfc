"""From the user's images to the arrays that a network takes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convlens.data.images import (
    PIXELS,
    Photo,
    ValueRange,
    checked_range,
    fit,
    range_notes,
    read_images,
    remarks,
    settled,
)
from convlens.data.preprocessing import AS_GIVEN, Preprocessing, preprocessing
from convlens.network.columns import inputs_apart, values_for
from convlens.network.inspected import Inspected
from convlens.network.origins import origins

LONGEST = 1024  # pixels, for networks that take any size


@dataclass(frozen=True, eq=False)
class Samples:
    """Images as they are shown, and as the network takes them.

    Attributes:
        photos: one a sample.
        arrays: one an input of the network, float32 (samples, height, width, channels) where it takes images.
        preprocessing: what the images went through, which may be guessed.
        notes: what was done to them that the user should know, a line each.
        origins: where each sample comes from, as a manifest says it.
        rival: the same images with the preprocessing that is the next likely, where the guess is not sure.
    """

    photos: tuple[Photo, ...]
    arrays: tuple[np.ndarray, ...]
    preprocessing: Preprocessing
    notes: tuple[str, ...] = ()
    origins: tuple[dict[str, Any], ...] = ()
    rival: "Samples | None" = None

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, chosen: slice) -> "Samples":
        arrays = tuple(array[chosen] for array in self.arrays)
        rival = self.rival and self.rival[chosen]
        return replace(self, photos=self.photos[chosen], arrays=arrays, origins=self.origins[chosen], rival=rival)


def read_samples(network: Inspected, images: Any, value_range: ValueRange = None) -> Samples:
    """The user's images for a network, which is not changed by it.

    Args:
        images: one image or a list of them (paths, Pillow images, arrays). For a network with several inputs, a
            sample is a tuple with an entry an input, or a dict by their names: images, and arrays for inputs that
            take none.
        value_range: (low, high), the values of black and white in arrays and in files of more than 8 bits, or
            "network" where they are as the network takes them.

    Raises:
        ImageError: an image cannot be read or does not fit the network, or a sample lacks an input.
        OptionError: the value range is none.
    """
    value_range = checked_range(value_range)
    changes = network.preprocessing.changes_pixels if network.preprocessing else None
    photos: dict[int, list[Photo]] = {}
    values: dict[int, tuple[Sequence[Any], np.ndarray]] = {}
    arrays, notes = [], []
    for number, (spec, column) in enumerate(zip(network.inputs, inputs_apart(network, images), strict=True)):
        if spec.is_image:
            photos[number], remarked = settled(read_images(column, value_range), changes)
            notes += [f"input {spec.name}: {note}" if len(network.inputs) > 1 else note for note in remarked]
            arrays.append(fitted(network, photos[number], number))
        else:
            arrays.append(values_for(spec, column))
            values[number] = column, arrays[-1]
    notes += range_notes([photo for column in photos.values() for photo in column], value_range)
    shown = photos[network.image_input]
    pixels = {number: np.array([photo.unit == PIXELS for photo in column]) for number, column in photos.items()}
    chosen, unknown, rival = AS_GIVEN, (), None
    if any(which.any() for which in pixels.values()):
        chosen, unknown = network.known_preprocessing()

    def through(mode: Preprocessing) -> tuple[np.ndarray, ...]:
        return tuple(_preprocessed(array, pixels.get(number), mode) for number, array in enumerate(arrays))

    if chosen.guess and chosen.guess.rival:
        other = preprocessing(chosen.guess.rival, f"the rival of {chosen.name}")
        rival = Samples(tuple(shown), through(other), other)
    listed = origins(network.inputs, network.image_input, photos, values, value_range)
    return Samples(tuple(shown), through(chosen), chosen, (*unknown, *notes, *remarks(shown)), listed, rival)


def _preprocessed(array: np.ndarray, pixels: np.ndarray | None, chosen: Preprocessing) -> np.ndarray:
    """An input as the network takes it: what are pixels goes through the preprocessing, the rest is so already.

    Args:
        pixels: for each of the images, whether it is in pixels; None where they are no images.
    """
    if pixels is None or not pixels.any():
        return array
    if pixels.all():
        return chosen(array)
    changed = array.copy()
    changed[pixels] = chosen(array[pixels])
    return changed


def fitted(network: Inspected, photos: Sequence[Photo], number: int | None = None) -> np.ndarray:
    """Photos at the size and channels of an input, in their own units, float32 (batch, height, width, channels)."""
    height, width, channels = network.inputs[network.image_input if number is None else number].shape
    if height is None or width is None:
        any_size = network.input_size or _common_size(photos)
        height, width = height or any_size[0], width or any_size[1]
    return np.stack([fit(photo, height, width, channels or 3) for photo in photos])


def _common_size(photos: Sequence[Photo]) -> tuple[int, int]:
    """The first photo's own size, at most LONGEST a side: a batch has one size."""
    height, width = photos[0].size
    share = min(1.0, LONGEST / max(height, width))
    return max(round(height * share), 1), max(round(width * share), 1)
