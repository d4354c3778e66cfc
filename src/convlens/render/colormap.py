"""Numbers as colours."""

from functools import lru_cache

import cmap
import numpy as np

from convlens.errors import OptionError

USUAL = ("viridis", "inferno", "magma", "plasma", "cividis", "turbo", "jet", "gray")


@lru_cache(maxsize=16)
def lookup(name: str) -> np.ndarray:
    """A colormap's colours from low to high, uint8 (256, 3).

    Raises:
        OptionError: unknown name.
    """
    try:
        colours = cmap.Colormap(name).lut(256)[:, :3]
    except (ValueError, TypeError, KeyError) as error:
        raise OptionError.unknown(f"unknown colormap {name!r}", name, USUAL) from error
    return np.round(colours * 255).astype("uint8")


def colorize(values: np.ndarray, name: str) -> np.ndarray:
    """Colours of values.

    Args:
        values: uint8, or floats of 0-1, of any shape.
        name: of the colormap.

    Returns:
        uint8 (*shape, 3), RGB.
    """
    places = (
        values if values.dtype == np.uint8 else np.round(np.clip(np.nan_to_num(values), 0, 1) * 255).astype("uint8")
    )
    return lookup(name)[places]
