"""Images as people have them: a path, a Pillow image or an array -> a `Photo`, and from there to a network's size."""

from convlens.data.images.arrays import ValueRange
from convlens.data.images.photo import NETWORK, PIXELS, UNDECIDED, Photo, fit
from convlens.data.images.reading import read_image, read_images, read_values
from convlens.data.images.units import checked_range, range_notes, remarks, settled

__all__ = [
    "NETWORK",
    "PIXELS",
    "UNDECIDED",
    "Photo",
    "ValueRange",
    "checked_range",
    "fit",
    "range_notes",
    "read_image",
    "read_images",
    "read_values",
    "remarks",
    "settled",
]
