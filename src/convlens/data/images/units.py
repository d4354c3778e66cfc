"""What values without a declared range are: pixels, or the network's own. All images of a call decide it together."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from convlens.data.images.arrays import ValueRange, extremes
from convlens.data.images.photo import IMAGE_CHANNELS, NETWORK, UNDECIDED, Photo, from_pixels, from_values
from convlens.errors import ImageError, OptionError, listing

SAY = 'give value_range=(low, high), of black and white, or value_range="network" if the network takes them as they are'


def checked_range(value: Any) -> ValueRange:
    """The caller's range of values, if it is one.

    Raises:
        OptionError: neither two finite numbers, the lower first, nor "network".
    """
    if value is None or value == NETWORK:
        return value
    try:
        low, high = (float(side) for side in value)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        expected = 'two numbers, the lower first, or "network"'
        raise OptionError(f"value range {value!r}: expected {expected}", expected=expected, received=value)
    return low, high


def settled(photos: Sequence[Photo], changes: bool | None) -> tuple[list[Photo], tuple[str, ...]]:
    """The photos, none of them undecided any more, and notes on what was decided.

    Floats within 0 to 1, in all the photos, are pixels of 0 to 1; others are as the network takes them. The same goes
    for arrays of other than 1, 3 or 4 channels.

    Args:
        changes: whether the network's preprocessing changes pixels of 0-255; None where it is unknown.

    Raises:
        ImageError: floats that can be pixels of 0-255 as well as the network's own values, or many channels that a
            preprocessing may be for or not.
    """
    waiting = [photo for photo in photos if photo.unit == UNDECIDED and photo.data is not None]
    few = [photo for photo in waiting if _channels(photo) in IMAGE_CHANNELS]
    many = [photo for photo in waiting if _channels(photo) not in IMAGE_CHANNELS]
    decided: dict[int, Photo] = {}
    notes = []
    for group, decide in ((few, _floats), (many, _many)):
        if group:
            convert, note = decide(group, changes)
            decided |= {id(photo): convert(photo) for photo in group}
            notes.append(note if len(group) == len(photos) else f"{_listed(group)}: {note}")
    return [decided.get(id(photo), photo) for photo in photos], tuple(notes)


def range_notes(photos: Sequence[Photo], value_range: ValueRange) -> list[str]:
    """What came of the caller's range of values.

    Args:
        photos: all that the caller gave.
        value_range: as `checked_range` gives it.

    Raises:
        ImageError: there is none among the photos that it says anything of.
    """
    if value_range is None:
        return []
    told = [photo for photo in photos if photo.data is not None]
    if not told:
        raise ImageError(
            "value_range is for arrays and for files of more than 8 bits a channel; the images given have 8 bits or"
            " are bool, and go from 0 to 255"
        )
    which = "values" if len(told) == len(photos) else f"{_listed(told)}: values"
    if isinstance(value_range, str):
        return [f"{which} go in as they are, without preprocessing, as value_range says"]
    low, high = value_range
    return [f"{which} of {low:g} to {high:g} taken as pixels of 0 to 255, as value_range says"]


def remarks(photos: Sequence[Photo]) -> list[str]:
    """The photos' own notes, each once, with the names of those that it is about."""
    about: dict[str, list[Photo]] = {}
    for photo in photos:
        if photo.note:
            about.setdefault(photo.note, []).append(photo)
    return [f"{_listed(group)}: {note}" for note, group in about.items()]


Converter = Callable[[Photo], Photo]


def _floats(group: list[Photo], changes: bool | None) -> tuple[Converter, str]:
    low, high = extremes([_data(photo) for photo in group])
    ran = f"floats from {low:.4g} to {high:.4g}"
    if 0 <= low <= high <= 1:
        words = f'{ran} taken as pixels of 0 to 1; give value_range="network" if the network takes them as they are'
        return (lambda photo: from_pixels(photo, _data(photo) * np.float32(255))), words
    if 0 <= low <= high <= 255:
        if changes is False:
            return (lambda photo: from_pixels(photo, _data(photo))), f"{ran} taken as pixels of 0 to 255"
        raise ImageError(
            f"{ran} can be pixels of 0 to 255 or the network's own values, and nothing tells which: give"
            ' value_range=(0, 255) for pixels, or value_range="network"'
        )
    return _as_they_are, _said(ran if low <= high else "floats without a finite number")


def _many(group: list[Photo], changes: bool | None) -> tuple[Converter, str]:
    low, high = extremes([_data(photo) for photo in group])
    ran = f"values of {_channels(group[0])} channels from {low:.4g} to {high:.4g}"
    if changes:
        raise ImageError(f"{ran} may be for the network's preprocessing or not, and nothing tells which: {SAY}")
    return _as_they_are, _said(ran)


def _as_they_are(photo: Photo) -> Photo:
    return from_values(photo, _data(photo), NETWORK)


def _said(ran: str) -> str:
    return f"{ran} go in as they are, without preprocessing; value_range=(low, high) makes pixels of them"


def _data(photo: Photo) -> np.ndarray:
    assert photo.data is not None
    return photo.data


def _channels(photo: Photo) -> int:
    return _data(photo).shape[-1]


def _listed(group: list[Photo]) -> str:
    return listing((photo.name for photo in group), 3)
