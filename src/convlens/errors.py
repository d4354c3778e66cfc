"""The one family of errors: each says what was expected, what came, what there is and what to do next."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, TypeVar

# what frameworks put around the message of the layer or operation that failed
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
OPENING = re.compile(r"^(Exception encountered when calling .*|in user code:|File \".*|Traceback \(most recent .*)$")
CLOSING = re.compile(r"^(Arguments received by |Call arguments received by ).*:$")
INNER = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception): (.+)$")
MARKS = re.compile(r"^(?:\{\{.*?\}\} ?)+|\s*\[Op:\w+\](?: name:.*)?$")


Family = TypeVar("Family", bound="ConvlensError")
SHOWN = 8  # names in a message


class ConvlensError(Exception):
    """Base of every error that a user's input can cause. The command line prints it on one line and exits 2.

    Attributes:
        expected: what would have been right; None where the message alone says it.
        received: what came in its place.
        available: all that there is to choose from.
        advice: what to do next, in words.
    """

    def __init__(
        self,
        message: str = "",
        *,
        expected: Any = None,
        received: Any = None,
        available: Iterable[Any] = (),
        advice: str | None = None,
    ) -> None:
        super().__init__(message)
        self.expected, self.received, self.available, self.advice = expected, received, tuple(available), advice

    @classmethod
    def unknown(cls: type[Family], message: str, received: Any, available: Iterable[str], end: str = "") -> Family:
        """The error about a name that there is not: the message, then the names nearest to it.

        Args:
            end: what follows the names.
        """
        available = tuple(available)
        nearest = near(str(received), available)
        return cls(f"{message}: {nearest}{end}", received=received, available=available)


class ImageError(ConvlensError):
    """An image that cannot be read or does not fit the network."""


class ModelError(ConvlensError):
    """A model that cannot be loaded or cannot be looked into."""


class LayerError(ConvlensError):
    """An unknown layer, or one that cannot do what is asked of it."""


class UnknownLayerError(LayerError, KeyError):
    """A layer that a mapping of layers does not hold; a KeyError too, as of any mapping."""

    __str__ = Exception.__str__  # a KeyError shows its message in quotes


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


class ArgumentError(ConvlensError, TypeError):
    """An argument that a public function does not have."""


class CancelledError(ConvlensError):
    """What was being computed was cancelled by its caller."""


class OptionError(ConvlensError):
    """An option with a value that it does not take."""


def near(name: str, known: Iterable[str], count: int = 3) -> str:
    """The known names nearest to a mistyped one, as words for a message; all of them when none is near."""
    known = list(known)
    lowered = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(name.lower(), lowered, n=count, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(lowered[match] for match in close) + "?"
    return f"available: {listing(known)}"


def listing(parts: Iterable[object], shown: int = SHOWN, separator: str = ", ") -> str:
    """Some names as words for a message: "a, b and 3 more" where there are more than are to be shown."""
    words = [str(part) for part in parts]
    return separator.join(words[:shown]) + (f" and {len(words) - shown} more" if len(words) > shown else "")


def reason(error: BaseException, limit: int = 200, named: bool = False) -> str:
    """Why something failed, from a framework's error, as one line of at most `limit` characters.

    Keras puts the name of the layer before an error's own words and all its arguments behind them, and TensorFlow the
    lines of code that led there: what is given is the innermost message.

    Args:
        named: with the class of the error before its words.
    """
    lines = []
    for line in COLOURS.sub("", str(error)).splitlines():
        line = line.strip()
        if CLOSING.match(line) and lines:
            break
        if line and not OPENING.match(line):
            lines.append(line)
    inner = [match.group(1) for line in lines if (match := INNER.match(line))]
    words = MARKS.sub("", inner[-1] if inner else lines[0] if lines else "")
    if words.endswith(":") and len(lines) > 1:  # what it announces is on the next line
        words = f"{words} {lines[1]}"
    if named or not words or isinstance(error, KeyError):
        words = f"{type(error).__name__}: {words}".rstrip(": ")
    return words if len(words) <= limit else words[: limit - 3] + "..."
