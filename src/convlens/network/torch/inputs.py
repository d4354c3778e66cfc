"""What a PyTorch module takes as input. Modules do not say it: it is found by running them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from convlens.errors import ModelError, reason
from convlens.network.layers import StopForward

# sides in pixels of the inputs that published networks take, the commonest first
SIDES = (224, 32, 28, 64, 96, 128, 100, 227, 299, 256, 150, 48, 112, 160, 384, 512)
ROUND = (100, 50, 32, 20, 16, 10, 8, 5, 4, 2, 1)  # where none of those fits, the roundest multiple
LARGEST_SIDE = 1024  # pixels a side that are tried
BATCH = 2  # images of a trial: one alone loses its axis where a module squeezes
CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")

Sides = tuple[int, int]
HINT = "give input_shape=(height, width, channels), or a list of them for several inputs (--input-shape)"


class Watch(TorchFunctionMode):
    """Notes what is computed in a forward pass, in functions as well as in modules.

    Attributes:
        calls: how many functions were called.
        convolved: the channels that the first convolution got, and those that it takes.
        spatial: how many tensors with positions were made.
        flat: how many values an image has in the last of them.
        features: what the linear layers take that were called after it.
        passed: what those take that were called before it.
    """

    def __init__(self, stop: bool = False) -> None:
        super().__init__()
        self.stop = stop
        self.calls, self.spatial, self.flat = 0, 0, 0
        self.convolved: tuple[int, int] | None = None
        self.features: list[int] = []
        self.passed: set[int] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        self.calls += 1
        if name in CONVOLUTIONS:
            self._convolution(args, kwargs)
        elif name == "linear":
            weight = args[1] if len(args) > 1 else kwargs["weight"]
            self.features.append(int(weight.shape[-1]))
        result = func(*args, **kwargs)
        if isinstance(result, torch.Tensor) and result.ndim > 3:
            self.spatial, self.flat = self.spatial + 1, result.numel() // BATCH
            self.passed.update(self.features)
            self.features = []
        return result

    def _convolution(self, args: Any, kwargs: Any) -> None:
        if self.convolved is None:
            image, weight = [*args, *(kwargs[name] for name in ("input", "weight") if name in kwargs)][:2]
            groups = kwargs.get("groups", args[6] if len(args) > 6 else 1)
            self.convolved = int(image.shape[1]), int(weight.shape[1]) * groups
            if self.stop:
                raise StopForward


def find_channels(forward: Callable[[int, int, int], Any], module: Any, sides: Sides, source: str) -> int:
    """The channels that the first convolution called takes, or that become as many on the way to it.

    Args:
        forward: runs the module on images of a height, a width and channels.

    Raises:
        ModelError: there is no convolution.
    """
    registered = [_taken(inner) for inner in module.modules()]
    waiting = [3, *(channels for channels in registered if channels)][:2]
    tried: set[int] = set()
    called = False
    usual = [1, 4, 2]
    while waiting or usual:
        channels = waiting.pop(0) if waiting else usual.pop(0)
        if channels in tried:
            continue
        tried.add(channels)
        watch = Watch(stop=True)
        try:
            with watch:
                forward(*sides, channels)
        except Exception:  # whatever the user's modules raise: of other channels, or before any convolution
            pass
        if watch.convolved:
            called = True
            got, takes = watch.convolved
            if got == takes:
                return channels
            waiting.insert(0, takes)
    if not called:
        for channels in registered:
            if channels:
                return channels
    what = "no convolution" if not called else "no convolution early enough"
    raise ModelError(f"{source} has {what} to tell its input by; {HINT}")


def _taken(module: Any) -> int | None:
    """The channels that a convolution takes, or any module whose weight is like that of one."""
    weight = getattr(module, "weight", None)
    if isinstance(weight, torch.Tensor) and (isinstance(module, nn.modules.conv._ConvNd) or weight.ndim == 4):
        place = 0 if isinstance(module, nn.modules.conv._ConvTransposeNd) else 1
        return int(weight.shape[place]) * (getattr(module, "groups", 1) if place else 1)
    return None


def miscounted(outputs: Sequence[Any], images: int = BATCH) -> str | None:
    """What is wrong where other than so many images come out, as `view(-1, features)` does on a wrong size."""
    shape = list(outputs[0].shape) if outputs else []
    if len(shape) <= (images == 1) or shape[0] == images:  # one image alone loses its axis where a module squeezes
        return None
    return f"{images} images come out as {shape[0]}"


@dataclass(frozen=True)
class InferredSide:
    """Of square images, from the features that a linear layer takes.

    Attributes:
        side: the likeliest, in pixels.
        smallest, largest: of those that fit.
        features: of the linear layer.
    """

    side: int
    smallest: int
    largest: int
    features: int


class Trials:
    """Runs on images of different sizes, each once.

    Args:
        forward: runs the module on images of a height and a width.
    """

    def __init__(self, forward: Callable[[int, int], Sequence[Any] | None], module: Any) -> None:
        self._forward, self._module = forward, module
        self._done: dict[Sides, tuple[Watch, str | None]] = {}

    def problem(self, sides: Sides) -> str | None:
        """Why the module does not run on images of this size; None where it does."""
        return self._run(sides)[1]

    def closest(self) -> str:
        """The problem of the size that got furthest."""
        height, width = max(self._done, key=lambda sides: self._done[sides][0].calls)
        return f"with {height}x{width}, which came closest: {self._done[height, width][1]}"

    def _run(self, sides: Sides) -> tuple[Watch, str | None]:
        if sides not in self._done:
            watch, problem = Watch(), None
            try:
                with watch:
                    outputs = self._forward(*sides) or []
                problem = miscounted(outputs)
            except Exception as error:  # whatever the user's modules raise
                problem = reason(error)
            self._done[sides] = watch, problem
        return self._done[sides]

    def inferred(self, start: int) -> InferredSide | None:
        """A side of square images with which the first linear layer gets as many values as it takes.

        Args:
            start: a side with which the module fails.

        Returns:
            None where there is no such side.
        """
        watch = self._run((start, start))[0]
        linear = [inner.in_features for inner in self._module.modules() if isinstance(inner, nn.Linear)]
        later = [features for features in linear if features not in watch.passed]
        for features in dict.fromkeys([*watch.features, *later, *linear]):
            low = self._first(lambda side, f=features: self._flat(side, watch) >= f)
            high = self._first(lambda side, f=features: self._flat(side, watch) > f) - 1
            if low > min(high, LARGEST_SIDE) or self._flat(low, watch) != features:
                continue
            side = likeliest(low, high)
            if self.problem((side, side)) is None:
                return InferredSide(side, low, high, features)
        return None

    def _flat(self, side: int, reference: Watch) -> int:
        """How many values the last tensor with positions has an image; 0 on images too small to come so far."""
        watch = self._run((side, side))[0]
        return watch.flat if watch.spatial >= reference.spatial else 0

    def _first(self, holds: Callable[[int], bool]) -> int:
        """The smallest side of which something holds that holds of all larger too; beyond LARGEST_SIDE if none is."""
        low, high = 1, SIDES[0]
        if not holds(high):
            low, high = high + 1, LARGEST_SIDE + 1
        while low < high:
            middle = (low + high) // 2
            if holds(middle):
                high = middle
            else:
                low = middle + 1
        return low


def likeliest(low: int, high: int) -> int:
    """The usual side between two, or the roundest."""
    usual = (side for side in SIDES if low <= side <= high)
    multiples = (-(-low // step) * step for step in ROUND)
    return next(usual, None) or next(side for side in multiples if side <= high)


def find_sides(trials: Trials, known: Sides | None, source: str) -> tuple[Sides, str | None]:
    """The height and width to feed.

    Args:
        known: what the module's makers say, if anything.

    Returns:
        the sides, and what the user should know about them.

    Raises:
        ModelError: the module runs on no size.
    """
    if known and trials.problem(known) is None:
        return known, None
    refused = f"it does not run on its makers' {known[0]}x{known[1]}; " if known else ""
    usual = SIDES[0]
    if trials.problem((usual, usual)) is None:
        return (usual, usual), refused or None
    if inferred := trials.inferred(usual):
        side, low, high = inferred.side, inferred.smallest, inferred.largest
        others = f"; {low} to {high} fit as well" if high > low else ""
        why = f"{side}x{side} is inferred from the {inferred.features} features of a linear layer{others}"
        return (side, side), f"{refused}{why}"
    for side in SIDES[1:]:
        if trials.problem((side, side)) is None:
            return (side, side), f"{refused}{side}x{side} is the first of the usual sizes on which it runs"
    raise ModelError(f"{source} runs on none of the usual input sizes ({trials.closest()}); {HINT}")
