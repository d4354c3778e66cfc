"""The one family of errors: each says what was expected, what came, what there is and what to do next."""

from collections.abc import Iterable
from difflib import get_close_matches


class ConvlensError(Exception):
    """Base of every error that a user's input can cause. The command line prints it on one line and exits 2."""


class ImageError(ConvlensError):
    """An image that cannot be read or does not fit the network."""


class ModelError(ConvlensError):
    """A model that cannot be loaded or cannot be looked into."""


class LayerError(ConvlensError):
    """An unknown layer, or one that cannot do what is asked of it."""


class FilterError(ConvlensError):
    """A filter index or range that the layer does not have."""


class TargetError(ConvlensError):
    """A class index or name that the network does not have."""


class LabelsError(ConvlensError):
    """Class names that do not fit the network's output."""


class PreprocessingError(ConvlensError):
    """An unknown preprocessing."""


class BackendError(ConvlensError):
    """No usable backend, or another one than the model needs."""


class OutputError(ConvlensError):
    """A folder that cannot be written to."""


class OptionError(ConvlensError):
    """An option with a value that it does not take."""


def near(name: str, known: Iterable[str], count: int = 3) -> str:
    """The known names nearest to a mistyped one, as words for a message; all of them when none is near."""
    known = list(known)
    lowered = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(name.lower(), lowered, n=count, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(lowered[match] for match in close) + "?"
    shown = ", ".join(known[:8])
    return f"available: {shown}" + (f" and {len(known) - 8} more" if len(known) > 8 else "")
