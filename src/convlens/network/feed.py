"""From the user's images to the arrays that a network takes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convlens.images import (
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
from convlens.network.base import Network
from convlens.network.columns import inputs_apart, values_for
from convlens.network.head import predictions
from convlens.network.preprocessing import AS_GIVEN, MODES, Preprocessing, preprocessing

LONGEST = 1024  # pixels, for networks that take any size


@dataclass(frozen=True, eq=False)
class Samples:
    """Images as they are shown, and as the network takes them.

    Attributes:
        photos: one a sample.
        arrays: one an input of the network, float32 (samples, height, width, channels) where it takes images.
        preprocessing: what the images went through, which may be guessed.
        notes: what was done to them that the user should know, a line each.
    """

    photos: tuple[Photo, ...]
    arrays: tuple[np.ndarray, ...]
    preprocessing: Preprocessing
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, chosen: slice) -> "Samples":
        return replace(self, photos=self.photos[chosen], arrays=tuple(array[chosen] for array in self.arrays))


def read_samples(network: Network, images: Any, value_range: ValueRange = None) -> Samples:
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
    arrays, notes = [], []
    for number, (spec, column) in enumerate(zip(network.inputs, inputs_apart(network, images), strict=True)):
        if spec.is_image:
            photos[number], said = settled(read_images(column, value_range), changes)
            notes += [f"input {spec.name}: {note}" if len(network.inputs) > 1 else note for note in said]
            arrays.append(fitted(network, photos[number], number))
        else:
            arrays.append(values_for(spec, column))
    notes += range_notes([photo for column in photos.values() for photo in column], value_range)
    shown = photos[network.image_input]
    pixels = {number: np.array([photo.unit == PIXELS for photo in column]) for number, column in photos.items()}
    chosen, said = AS_GIVEN, ()
    if any(some.any() for some in pixels.values()):
        to_guess_by = arrays[0][pixels[0]] if len(arrays) == 1 else None
        chosen, said = known_preprocessing(network, to_guess_by)
    ready = tuple(_preprocessed(one, pixels.get(number), chosen) for number, one in enumerate(arrays))
    return Samples(tuple(shown), ready, chosen, (*said, *notes, *remarks(shown)))


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


def fitted(network: Network, photos: Sequence[Photo], number: int | None = None) -> np.ndarray:
    """Photos at the size and channels of an input, in their own units, float32 (batch, height, width, channels)."""
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


def known_preprocessing(network: Network, images: np.ndarray | None = None) -> tuple[Preprocessing, tuple[str, ...]]:
    """The network's preprocessing, or the likeliest where it is unknown, with a note that it is a guess.

    Args:
        images: to guess by, float32 (batch, height, width, channels), RGB 0-255.
    """
    if network.preprocessing is not None:
        return network.preprocessing, ()
    if images is None or 0 in network.untrained.reach(network).outputs:  # predictions say nothing
        guessed, verb = preprocessing("none", "nothing known", guessed=True), "taken as"
    else:
        guessed, verb = guess(network, images), "guessed"
    return guessed, (f"preprocessing is unknown; {verb} {guessed}: give preprocess= if it is another",)
