"""What tells the range of pixels that a network was trained on: its answers to typical photos, and its weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from convlens.backend.arrays import numpy_arrays
from convlens.data.images import Photo, fit
from convlens.data.preprocessing import MODES
from convlens.network.inspect.head import RAW, Head, read
from convlens.network.inspect.observation import Observation
from convlens.network.layers import base_path
from convlens.network.passes import Passes, flat

SHEET = Path(__file__).parent / "typical_photos.jpg"  # made by tools/typical_photos.py
GRID = 4  # photos a side of the sheet
LARGE = 160  # pixels a side from which on half of the photos do
NORMALIZATIONS = 3  # layers of batch normalization, from the input on, that are looked at
USUAL_SPREAD = 1.7  # of the logits of trained networks around their mean
USUAL_LOSS = 0.2  # by how much the logarithm of a variance over typical photos lies below that over the training data
FAR = 3.0  # nothing is further off than this: wrong is wrong
FEW = 8.0  # filters of the first layer that are half trusted


@dataclass(frozen=True)
class Evidence:
    """What speaks for and against one range of pixels.

    Attributes:
        spread: how far the logarithm of the logits' spread is from that of trained networks, squared.
        shift: how far the mean logits are from equal, in spreads over photos; its logarithm.
        first: distance of the inputs of the first batch normalization from its running statistics.
        later: the same, the mean of the first few.
        bias: correlation of the first layer's bias with the sums of its kernels, which depends on whether the inputs'
            mean was 0; the same for all ranges.

    All are 0 where the network has nothing of the kind.
    """

    spread: float
    shift: float
    first: float
    later: float
    bias: float


@cache
def typical_photos() -> tuple[Photo, ...]:
    """16 photos with the colours, brightness and contrast that photos have on average."""
    with Image.open(SHEET) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    side = len(pixels) // GRID
    tiles = pixels.reshape(GRID, side, GRID, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    return tuple(Photo(f"typical-{number}", tile) for number, tile in enumerate(tiles))


def possible_modes(passes: Passes) -> list[str]:
    """The ranges that an input of so many channels may have; none for what takes no photos."""
    channels = passes.image_shape[2] if len(passes.inputs) == 1 and passes.inputs[0].is_image else None
    return {3: list(MODES), 1: ["none", "rescale", "tf"]}.get(channels or 0, [])


def evidence(passes: Passes, seen: Observation, head: Head | None) -> dict[str, Evidence]:
    """For each range of pixels that is possible, what speaks for and against it.

    Args:
        head: of the first output; None where it cannot be read.
    """
    height, width, channels = passes.image_shape
    any_size = passes.input_size or passes.probe_size()
    height, width = height or any_size[0], width or any_size[1]
    photos = typical_photos()[:: 1 if max(height, width) <= LARGE else 2]
    images = np.stack([fit(photo, height, width, channels or 3) for photo in photos])
    leaves = _leaves(passes, seen)
    bias, statistics = _bias(passes, leaves), _running_statistics(passes, leaves)
    by_mode = {}
    for name in possible_modes(passes):
        pixels = np.ascontiguousarray(MODES[name](images), "float32")
        logits, distances = _answers(passes, head, pixels, statistics)
        spread, shift = _spread_and_shift(logits) if logits is not None else (0.0, 0.0)
        first, later = (distances[0], float(np.mean(distances))) if distances else (0.0, 0.0)
        by_mode[name] = Evidence(spread, shift, first, later, bias)
    return by_mode


def _leaves(passes: Passes, seen: Observation) -> list[str]:
    """The layers that hold no others, in the order in which they are first called."""
    called = dict.fromkeys(base_path(call, passes.paths) for call in seen.shapes)
    return [path for path in called if not passes.describe(path).container]


def _running_statistics(passes: Passes, leaves: list[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Mean and variance that the first layers of batch normalization keep."""
    kept = {}
    for path in leaves:
        weights = passes.weights(path)
        mean = weights.get("moving_mean", weights.get("running_mean"))
        variance = weights.get("moving_variance", weights.get("running_var"))
        if mean is not None and variance is not None and len(kept) < NORMALIZATIONS:
            kept[path] = mean, variance
    return kept


def _bias(passes: Passes, leaves: list[str]) -> float:
    """Correlation about 0 of the first convolution's bias with the sums of its kernels, less where filters are few.

    Where inputs are positive a kernel with a positive sum is met by a negative bias while training.
    """
    weighted = (weights for path in leaves if (weights := passes.weights(path)))
    weights = next(weighted, {})
    kernel, bias = weights.get("kernel", weights.get("weight")), weights.get("bias")
    if kernel is None or bias is None or kernel.ndim != 4:
        return 0.0
    sums = kernel.sum((0, 1, 2) if passes.framework == "keras" else (1, 2, 3))
    length = np.sqrt((sums**2).sum() * (bias**2).sum())
    if len(sums) != len(bias) or not length:
        return 0.0
    return float((sums * bias).sum() / length * len(sums) / (len(sums) + FEW))


def _answers(
    passes: Passes, head: Head | None, images: np.ndarray, statistics: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray | None, list[float]]:
    """The logits, and the distances of the inputs of batch normalizations from what they were in training."""
    from keras import ops

    moments: dict[str, Sequence[Any]] = {}

    def note(path: str, arguments: tuple, raw: Any) -> Any:
        if path not in moments and arguments:
            inputs: Any = ops.cast(passes.to_last(flat(arguments)[0], path), "float32")
            both: Any = ops.moments(inputs, axes=tuple(range(len(inputs.shape) - 1)))
            moments[path] = both
        return raw

    with passes.reading(), passes.tap(statistics, note):
        if head is None:
            passes.forward(passes.tensors([images]))
            logits = None
        else:
            raw = read(passes, head, passes.tensors([images]))
            logits = _comparable(head, numpy_arrays(head.logits(raw))[0].astype("float64"))
    order = [path for path in statistics if path in moments]
    return logits, [_distance(numpy_arrays(*moments[path]), statistics[path]) for path in order]


def _comparable(head: Head, logits: np.ndarray) -> np.ndarray | None:
    """Logits of two classes and more, whose spread has a usual scale; None for maps that nothing turns into classes."""
    if head.is_map and head.function is None and head.form == RAW:
        return None
    if head.units == 1:
        return np.concatenate([-logits[:, -1:], logits[:, -1:]], -1) / 2
    return logits


def _distance(seen: Sequence[np.ndarray], kept: Sequence[np.ndarray]) -> float:
    """Of mean and variance of a layer's inputs from those kept: in deviations and logarithms, median over channels."""
    (mean, variance), (kept_mean, kept_variance) = seen, kept
    if mean.shape != kept_mean.shape:
        return 0.0
    tiny = np.float32(1e-12)
    away = np.abs(mean - kept_mean) / np.sqrt(kept_variance + tiny)
    wider = np.abs(np.log((variance + tiny) / (kept_variance + tiny)) + USUAL_LOSS)
    total = np.nan_to_num(np.median(away) + np.median(wider), nan=FAR, posinf=FAR)
    return float(min(total, FAR))


def _spread_and_shift(logits: np.ndarray) -> tuple[float, float]:
    """See `Evidence`.

    Args:
        logits: (photos, classes).
    """
    centred = logits - logits.mean(1, keepdims=True)
    if not np.isfinite(centred).all():
        return FAR**2, FAR
    size, over_photos = np.sqrt((centred**2).mean()), centred.std(0).mean()
    mean = np.sqrt((centred.mean(0) ** 2).mean())
    spread = np.log(max(size, 1e-6) / USUAL_SPREAD) ** 2
    return float(min(spread, FAR**2)), float(min(np.log1p(mean / (over_photos + 1e-9)), FAR))
