"""From pixels to what a network was trained on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from convlens.errors import PreprocessingError, reason

CAFFE_MEAN = np.array([103.939, 116.779, 123.68], "float32")  # blue, green, red
TORCH_MEAN = np.array([0.485, 0.456, 0.406], "float32")
TORCH_STD = np.array([0.229, 0.224, 0.225], "float32")


def _three(images: np.ndarray, name: str) -> np.ndarray:
    if images.shape[-1] != 3:
        raise PreprocessingError(
            f'preprocessing "{name}" is for 3 channels, the network takes {images.shape[-1]};'
            ' use "none", "rescale", "tf" or a function'
        )
    return images


MODES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda images: images,
    "rescale": lambda images: images / np.float32(255),
    "tf": lambda images: images / np.float32(127.5) - np.float32(1),
    "caffe": lambda images: _three(images, "caffe")[..., ::-1] - CAFFE_MEAN,
    "torch": lambda images: (_three(images, "torch") / np.float32(255) - TORCH_MEAN) / TORCH_STD,
}
RANGES = {
    "none": "RGB 0 to 255",
    "rescale": "RGB 0 to 1",
    "tf": "RGB -1 to 1",
    "caffe": "BGR minus the ImageNet mean",
    "torch": "RGB, ImageNet mean and deviation",
}


SURE, WORTH_NAMING = 0.9, 0.02  # shares of confidence


@dataclass(frozen=True)
class Guess:
    """How likely each preprocessing is, of a network that does not tell its own.

    Attributes:
        shares: (name, confidence) of each that is possible, the likeliest first; confidences sum to one.
        evidence: what spoke for the likeliest against the next, in words.
        misfit: what does not go with any of them, not even with the likeliest, in words; empty where one fits.
    """

    shares: tuple[tuple[str, float], ...]
    evidence: tuple[str, ...]
    misfit: str = ""

    @property
    def mode(self) -> str:
        return self.shares[0][0]

    @property
    def confidence(self) -> float:
        return self.shares[0][1]

    @property
    def rival(self) -> str | None:
        """The next likely one, where the likeliest is not sure."""
        return None if self.certainty == "sure" else self.shares[1][0]

    @property
    def certainty(self) -> str:
        """ "sure", "unsure" between the first two, or "unknown"."""
        if self.misfit:
            return "unknown"
        if self.confidence >= SURE:
            return "sure"
        return "unsure" if self.confidence + self.shares[1][1] >= SURE else "unknown"

    def __str__(self) -> str:
        origin = f", from {' and '.join(self.evidence)}" if self.evidence else ""
        if self.certainty == "sure":
            return f"guessed {self.mode} ({RANGES[self.mode]}), confidence {self.confidence:.2f}{origin}"
        if self.misfit:
            return f"none of the known ranges fits {self.misfit}; {self.mode} ({RANGES[self.mode]}) is nearest"
        named = [f"{mode} ({RANGES[mode]}) {share:.2f}" for mode, share in self.shares if share >= WORTH_NAMING]
        if self.certainty == "unsure":
            return f"unsure between {' and '.join(named[:2])}{origin}"
        return f"it cannot be told: {', '.join(named)}"

    def to_json(self) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "confidence": self.confidence,
            "certainty": self.certainty,
            "rival": self.rival,
            "shares": dict(self.shares),
            "evidence": list(self.evidence),
            "misfit": self.misfit,
        }


@dataclass(frozen=True)
class Preprocessing:
    """How pixels become the network's input.

    Attributes:
        name: one of MODES, or the name of the user's function.
        source: where it was found, in words.
        function: float32 (batch, height, width, channels), RGB 0-255 -> the same shape as the network takes it.
        guess: how likely it is, where it is not known.
    """

    name: str
    source: str
    function: Callable[[np.ndarray], np.ndarray]
    guess: Guess | None = None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """
        Raises:
            PreprocessingError: the function fails, or returns other images than it got.
        """
        try:
            outcome = np.ascontiguousarray(self.function(images), "float32")
        except PreprocessingError:
            raise
        except Exception as error:  # whatever a function of the user's raises
            raise PreprocessingError(
                f"preprocessing {self.name} fails on float32 {images.shape} (batch, height, width, channels):"
                f" {reason(error)}; give a function of such an array, one of {', '.join(MODES)}, or torchvision's"
                " transforms"
            ) from error
        if outcome.ndim != 4 or (len(outcome), outcome.shape[-1]) != (len(images), images.shape[-1]):
            raise PreprocessingError(
                f"preprocessing {self.name} makes {outcome.shape} of {images.shape} (batch, height, width, channels);"
                " expected as many images and channels, channels last"
            )
        return outcome

    def __str__(self) -> str:
        if self.guess is not None:
            return f"{self.name}: {self.guess}"
        meaning = f" ({RANGES[self.name]})" if self.name in RANGES else ""
        return f"{self.name}{meaning}, {self.source}"

    @property
    def changes_pixels(self) -> bool:
        """Whether pixels of 0-255 come out as anything else."""
        return self.function is not MODES["none"]

    def affine(self, channels: int) -> tuple[np.ndarray, np.ndarray]:
        """The matrix and the offset with which one pixel is transformed: matrix @ pixel + offset.

        Args:
            channels: of the network's input.

        Returns:
            float32 (channels, channels) and (channels,).

        Raises:
            PreprocessingError: what it does to a pixel depends on other pixels, or is not affine.
        """
        units = np.concatenate([np.zeros((1, channels)), np.eye(channels)]).astype("float32")
        outcomes = [self(np.full((1, 8, 8, channels), 100, "float32") + 50 * unit)[0] for unit in units]
        matrix = np.stack([(outcome[0, 0] - outcomes[0][0, 0]) / 50 for outcome in outcomes[1:]], -1)
        offset = outcomes[0][0, 0] - matrix @ np.full(channels, 100, "float32")
        pixels = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, channels)).astype("float32")
        outcome = self(pixels)
        if outcome.shape != pixels.shape or not np.allclose(outcome, pixels @ matrix.T + offset, rtol=1e-3, atol=1e-3):
            raise PreprocessingError(
                f"preprocessing {self.name} is not the same affine function for every pixel, so a pattern cannot be"
                ' taken back to colours; give preprocess="none" or another of ' + ", ".join(MODES)
            )
        return matrix.astype("float32"), offset.astype("float32")


AS_GIVEN = Preprocessing("no preprocessing", "as the values given are no pixels", MODES["none"])


def preprocessing(value: "str | Callable | Preprocessing", source: str, guess: Guess | None = None) -> Preprocessing:
    """The preprocessing of this name, or the user's function.

    Raises:
        PreprocessingError: unknown name.
    """
    if isinstance(value, Preprocessing):
        return value
    if callable(value):
        return Preprocessing(getattr(value, "__name__", type(value).__name__), source, value)
    if value not in list(MODES):
        raise PreprocessingError.unknown(f"unknown preprocessing {value!r}", value, MODES, " (or a function)")
    return Preprocessing(value, source, MODES[value], guess)
