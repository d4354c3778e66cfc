"""The small trained network and the photo that make the first run work offline."""

from pathlib import Path

from convlens.data.images import Photo
from convlens.errors import ImageError

MODEL = Path(__file__).parent / "cats_and_dogs_small.keras"


def photo() -> Photo:
    """The cat Chelsea, from scikit-image.

    Raises:
        ImageError: scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError as error:
        raise ImageError('the photo of the demo is in scikit-image: pip install "convlens[cpu]"') from error
    return Photo(name="chelsea", pixels=data.chelsea(), path=None, note=None)
