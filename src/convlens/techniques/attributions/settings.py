"""What a method gets beside the probe, and what it gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from convlens.errors import OptionError, near
from convlens.techniques.attributions.table import PARAMETERS, AttributionMethod
from convlens.techniques.request import AttributionRequest


@dataclass(frozen=True, eq=False)
class Settings:
    """The parameters of a method, and the images that it compares with.

    Attributes:
        parameters: by name, with the values that were asked for, or else the method's own.
        baselines: by name, as the network takes them, tensors (batch, height, width, channels).
        pixels: the images as they are looked at, at the network's size, float32 0-1 (batch, height, width, channels).
        seed: of all that is drawn.
    """

    parameters: Mapping[str, Any]
    baselines: Mapping[str, Any]
    pixels: np.ndarray
    seed: int

    def __getitem__(self, name: str) -> Any:
        return self.parameters[name]

    def drawn(self, purpose: str, number: int) -> np.random.Generator:
        """The generator of the variant of this number: the same for every image, whatever the batch."""
        return np.random.default_rng([self.seed, number, *purpose.encode()])


@dataclass(frozen=True, eq=False)
class Maps:
    """What a method gives.

    Attributes:
        values: (targets, batch, height, width, channels); one channel where a method knows no colours.
        total: what a map's values should sum to, (targets, batch); None where the method does not say.
    """

    values: Any
    total: Any | None = None


def parameters_of(method: AttributionMethod, request: AttributionRequest) -> dict[str, Any]:
    """What a method is to work with.

    Raises:
        OptionError: it does not take a parameter that was asked for.
    """
    asked = {name: getattr(request, name) for name in PARAMETERS}
    for name, value in asked.items():
        if value is not None and name not in method.defaults:
            takes = f"it takes {', '.join(method.defaults)}" if method.defaults else "it takes no parameters"
            raise OptionError(f"method {method.name} has no {name}: {takes}")
    return {name: default if asked[name] is None else asked[name] for name, default in method.defaults.items()}


def checked_name(what: str, name: str, known: Mapping[str, Any]) -> str:
    """A name that is known.

    Raises:
        OptionError: it is not.
    """
    if name not in known:
        raise OptionError(f"unknown {what} {name!r}: {near(str(name), known)}")
    return name
