"""What users hand over."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from PIL import Image as PillowImage

from convlens.data.images import Photo, ValueRange
from convlens.techniques.request import Progress

__all__ = ["Cancelled", "Images", "Progress", "ValueRange"]


class ArrayLike(Protocol):
    """A NumPy array, or a tensor of any framework."""

    def __array__(self) -> Any: ...


Image = str | os.PathLike[str] | Photo | PillowImage.Image | ArrayLike
Sample = Image | tuple[Image, ...] | Mapping[str, Image]
Images = Sample | Sequence[Sample]
Cancelled = Callable[[], bool]
