"""What the user asks for, beside the source itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RANDOM = "random"  # the value of `weights` that asks for an untrained network
UNTRAINED = "the network is untrained: weights=random"


@dataclass(frozen=True)
class Request:
    """What the user asks for; see `open_model`."""

    weights: str | Path | None = None
    architecture: Any = None
    custom: Sequence[str] = ()
    trust: bool = False

    @property
    def untrained(self) -> bool:
        """Whether random weights are wanted."""
        return str(self.weights) == RANDOM

    @property
    def weights_file(self) -> Path | None:
        """The file that weights are to be taken from."""
        return Path(self.weights) if self.weights and not self.untrained else None
