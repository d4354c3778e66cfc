"""Transforms of torchvision and timm, which take one picture, as a preprocessing of arrays."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from convlens.data.preprocessing import MODES
from convlens.errors import PreprocessingError, reason

SIZING = ("Resize", "CenterCrop")  # where an image goes is convlens's own: the whole photo, at the network's size
LIBRARIES = ("torchvision", "timm")
Sides = tuple[int, int]


@dataclass(frozen=True)
class Transforms:
    """What transforms say.

    Attributes:
        preprocessing: the name of one, or a function from float32 (batch, height, width, channels), RGB 0-255.
        size: height and width that come out, where they say it.
        labels: class names, where they belong to weights.
    """

    preprocessing: str | Callable[[np.ndarray], np.ndarray]
    size: Sides | None = None
    labels: tuple[str, ...] | None = None


def categories(value: Any) -> tuple[str, ...] | None:
    """The class names of one of torchvision's weights; None for anything else."""
    meta = getattr(value, "meta", None)
    names = meta.get("categories") if isinstance(meta, dict) and callable(getattr(value, "transforms", None)) else None
    return tuple(names) if names else None


def read_transforms(value: Any) -> Transforms | None:
    """What transforms, or weights of torchvision that know theirs, say; None where it is neither.

    Args:
        value: a Compose, a single transform, a list of them, the transforms of a torchvision model, or a member of one
            of its Weights.

    Raises:
        PreprocessingError: it is one, but does what a preprocessing cannot do.
    """
    if isinstance(getattr(value, "meta", None), dict) and callable(getattr(value, "transforms", None)):
        inner = read_transforms(value.transforms())
        return None if inner is None else Transforms(inner.preprocessing, inner.size, categories(value))
    if isinstance(value, type) and hasattr(value, "DEFAULT"):
        raise PreprocessingError(f"preprocess={value.__name__}: give one of its members, such as .DEFAULT")
    if preset := scaling(value):
        return preset
    if not _is_pipeline(value):
        return None
    size, steps = None, []
    for step in _flat(value):
        name = type(step).__name__
        if name.startswith("Random") or name in ("ColorJitter", "AutoAugment", "AugMix"):
            raise PreprocessingError(f"preprocess=: {name} is random, for training; give the transforms of evaluation")
        if name == "Normalize" and not steps:
            raise PreprocessingError(
                "preprocess=: Normalize comes first, and does not say in which range pixels enter it; give"
                " Compose([ToTensor(), Normalize(...)]), or a function"
            )
        if name in SIZING:
            size = sides_of(getattr(step, "size", None)) or size
        else:
            steps.append(step)
    return Transforms(named(Pipeline(steps)), size)


def scaling(transforms: Any) -> Transforms | None:
    """What the transforms that come with a torchvision model say: a size, a mean and a deviation."""
    mean, deviation = getattr(transforms, "mean", None), getattr(transforms, "std", None)
    sized = [side for side in ("crop_size", "resize_size") if hasattr(transforms, side)]
    if mean is None or deviation is None or not sized:
        return None
    size = next((sides for name in sized if (sides := sides_of(getattr(transforms, name)))), None)
    return Transforms(normalization(mean, deviation), size)


def sides_of(size: Any) -> Sides | None:
    """Height and width from a side, or from one or two of them in a sequence."""
    if size is None:
        return None
    sides = [int(side) for side in (size if isinstance(size, Iterable) else [size])]
    return (sides[0], sides[-1]) if sides else None


def normalization(mean: Any, deviation: Any) -> str | Callable[[np.ndarray], np.ndarray]:
    """Images / 255, minus a mean, over a deviation, by its name where it has one."""
    mean, deviation = np.asarray(mean, "float32"), np.asarray(deviation, "float32")
    return named(partial(_normalized, mean=mean, deviation=deviation))


def _normalized(images: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    if mean.size not in (1, images.shape[-1]):
        raise PreprocessingError(
            f"the mean and the deviation are of {mean.size} channels, the network takes {images.shape[-1]}; give"
            " preprocess= for these"
        )
    return (images / np.float32(255) - mean) / deviation


def named(preprocess: Callable) -> str | Callable:
    """The name of the preprocessing that does what this function does; the function itself if none does."""
    probe = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3)).astype("float32")
    try:
        outcome = np.asarray(preprocess(probe.copy()))
    except PreprocessingError:  # of other channels
        return preprocess
    for mode, function in MODES.items():
        if np.allclose(outcome, function(probe), rtol=1e-4, atol=1e-3 * max(1e-3, np.abs(outcome).max())):
            return mode
    return preprocess


def _is_pipeline(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(callable(part) for part in value)
    if isinstance(getattr(value, "transforms", None), Iterable):
        return True
    libraries = {base.__module__.partition(".")[0] for base in type(value).__mro__}
    within = type(value).__name__ == "Sequential" and any(_is_pipeline(part) for part in value)
    return within or (callable(value) and bool(libraries & set(LIBRARIES)) and not isinstance(value, type))


def _flat(value: Any) -> Iterator[Any]:
    inside = getattr(value, "transforms", None)
    if inside is None and (isinstance(value, list | tuple) or type(value).__name__ == "Sequential"):
        inside = value
    if isinstance(inside, Iterable):
        for part in inside:
            yield from _flat(part)
    else:
        yield value


class Pipeline:
    """Transforms of one picture after another, as a function of float32 (batch, height, width, channels), 0-255.

    Where they do the same affine thing to every pixel, as ToTensor and Normalize do, that is computed; else each
    image goes through them by itself, in whole grey levels.
    """

    def __init__(self, steps: list[Callable]) -> None:
        self._steps = steps
        self.__name__ = ", ".join(getattr(step, "__name__", type(step).__name__) for step in steps) or "none"
        self._affine: dict[int, tuple[np.ndarray, np.ndarray] | None] = {}

    def __call__(self, images: np.ndarray) -> np.ndarray:
        channels = images.shape[-1]
        if channels not in self._affine:
            self._affine[channels] = self._as_affine(channels)
        affine = self._affine[channels]
        if affine is not None:
            return images @ affine[0] + affine[1]
        return np.stack([self._one(image.clip(0, 255).round().astype("uint8")) for image in images])

    def _as_affine(self, channels: int) -> tuple[np.ndarray, np.ndarray] | None:
        pixels = np.random.default_rng(0).integers(0, 256, (16, 16, channels)).astype("uint8")
        outcome = self._one(pixels).reshape(-1, channels).astype("float64")
        entered = np.append(pixels.reshape(-1, channels), np.ones((256, 1)), 1)
        solved = np.linalg.lstsq(entered, outcome, rcond=None)[0]
        if np.abs(entered @ solved - outcome).max() > 1e-5 * max(np.abs(outcome).max(), 1e-3):
            return None
        return solved[:-1].astype("float32"), solved[-1].astype("float32")

    def _one(self, pixels: np.ndarray) -> np.ndarray:
        """One picture, uint8 (height, width, channels), as what comes out of the transforms, channels last."""
        import torch

        picture = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
        tensor = torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)))
        problems = []
        for make in (lambda: Image.fromarray(picture), tensor.clone):
            try:
                outcome = make()
                for step in self._steps:
                    outcome = step(outcome)
                values = _channels_last(outcome)
            except Exception as error:  # whatever transforms raise at the form that they do not take
                problems.append(reason(error))
                continue
            if values.shape == pixels.shape:
                return values
            problems.append(f"{pixels.shape} (height, width, channels) comes out as {values.shape}")
        raise PreprocessingError(
            f"the transforms {self.__name__} cannot be used as preprocess= for {pixels.shape[-1]} channels: on a Pillow"
            f" image, {problems[0]}; on a tensor, {problems[1]}; give a function of arrays (batch, height, width,"
            " channels) instead"
        )


def _channels_last(value: Any) -> np.ndarray:
    if isinstance(value, Image.Image):
        array = np.asarray(value)
        return array.reshape(*array.shape[:2], -1)
    return np.moveaxis(value.detach().cpu().numpy(), 0, -1)
