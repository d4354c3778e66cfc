"""What is asked of a technique, as a value, and how it is to be computed.

A request holds all that the result depends on beside the network and the images; `Compute` holds what only the way
there depends on. The parameters' defaults stand here, and their documentation at the functions of `convlens.api`.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, TypeVar

import numpy as np

from convlens.errors import CancelledError, OptionError
from convlens.techniques.patterns.recipes import recipe_of

Progress = Callable[[int, int], None]
Size = int | tuple[int, int]
Made = TypeVar("Made", bound="Request")


@dataclass(frozen=True)
class Compute:
    """How a request is computed; the result does not depend on it.

    Attributes:
        batch_size: images or filters at once; None for as many as fit the memory budget.
        progress: called with the number of images or filters done and their total.
        cancelled: asked before each step; once it is true, `CancelledError` is raised.

    Raises:
        OptionError: a batch size below 1.
    """

    batch_size: int | None = None
    progress: Progress | None = None
    cancelled: Callable[[], bool] | None = None

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size < 1:
            raise OptionError(f"batch size {self.batch_size}: expected at least 1")

    def check(self) -> None:
        """Ends what is being computed, where the caller has cancelled it.

        Raises:
            CancelledError: it has.
        """
        if self.cancelled is not None and self.cancelled():
            raise CancelledError("cancelled before it was finished")

    def report(self, done: int, total: int) -> None:
        """Tells how much is done."""
        if self.progress is not None:
            self.progress(done, total)


PLAIN = Compute()


@dataclass(frozen=True)
class Request:
    """A frozen value of plain numbers, texts and tuples, which can be pickled and compared."""

    technique: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """The technique and all parameters, as JSON knows them."""
        return {"technique": self.technique, **asdict(self)}

    @classmethod
    def from_json(cls: type[Made], values: Mapping[str, Any]) -> Made:
        """The request that `to_json` told of.

        Raises:
            OptionError: it is of another technique, or has parameters that this one does not take.
        """
        given = {name: value for name, value in values.items() if name != "technique"}
        known = {field.name for field in fields(cls)}
        if values.get("technique") != cls.technique or not given.keys() <= known:
            raise OptionError(
                f"a request of technique {values.get('technique')!r} with {', '.join(given) or 'no parameters'}:"
                f" expected {cls.technique!r} with {', '.join(sorted(known))}"
            )
        return cls(**{name: _tuples(value) for name, value in given.items()})

    @property
    def key(self) -> str:
        """32 hexadecimal digits that equal requests share, in every process and version of Python."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]

    def _set(self, **values: Any) -> None:
        """Puts parameters into their one form, so that equal requests are the same value."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if isinstance(value, list | tuple) else value


@dataclass(frozen=True)
class ActivationsRequest(Request):
    """What `convlens.activations` is asked for."""

    technique: ClassVar[str] = "activations"
    layers: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.layers is not None:
            self._set(layers=(self.layers,) if isinstance(self.layers, str) else tuple(self.layers))


@dataclass(frozen=True)
class PatternRequest(Request):
    """What `convlens.filter_patterns` is asked for; steps and their size are the method's own by default."""

    technique: ClassVar[str] = "filter patterns"
    layer: str
    filters: Iterable[int] | str | int | None = None
    size: Size | None = None
    steps: int | None = None
    step_size: float | None = None
    seed: int = 0
    method: str = "ascent"
    precision: str = "auto"

    def __post_init__(self) -> None:
        recipe = recipe_of(self.method)
        steps = recipe.steps if self.steps is None else int(self.steps)
        step_size = recipe.step_size if self.step_size is None else float(self.step_size)
        if steps < 1:
            raise OptionError(f"{steps} steps: expected at least 1")
        if not (np.isfinite(step_size) and step_size > 0):
            raise OptionError(f"step size {step_size}: expected a number more than 0, such as {recipe.step_size}")
        self._set(filters=_indices(self.filters), size=_sides(self.size), seed=_seed(self.seed))
        self._set(steps=steps, step_size=step_size)


@dataclass(frozen=True)
class HeatmapRequest(Request):
    """What `convlens.heatmap` is asked for: these targets, or so many of each image's likeliest classes."""

    technique: ClassVar[str] = "heatmap"
    targets: Sequence[int | str] | None = None
    layer: str | None = None
    method: str = "grad-cam"
    score: str = "logit"
    top: int | None = None
    output: int | str = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.targets is not None and self.top is not None:
            raise OptionError("give target or top, not both")
        if self.targets is not None:
            self._set(targets=tuple(each if isinstance(each, str) else int(each) for each in self.targets))
        self._set(output=self.output if isinstance(self.output, str) else int(self.output))
        self._set(top=None if self.top is None else int(self.top))


@dataclass(frozen=True)
class ReportRequest(Request):
    """What `convlens.report` is asked for: all three views, on layers that are chosen by what the network is.

    Attributes:
        seed: of the patterns' noise.
        top: heatmaps for so many of the likeliest classes, or for all where there are fewer.
        size: of the patterns, as `PatternRequest` takes it.
    """

    technique: ClassVar[str] = "report"
    seed: int = PatternRequest.seed
    top: int = 3
    size: Size | None = None

    def __post_init__(self) -> None:
        if self.top < 1:
            raise OptionError(f"top {self.top}: expected at least 1")
        self._set(seed=_seed(self.seed), top=int(self.top), size=_sides(self.size))


def _seed(seed: int) -> int:
    if seed < 0:
        raise OptionError(f"seed {seed}: expected 0 or more")
    return int(seed)


@dataclass(frozen=True)
class AttributionRequest(Request):
    """What `convlens.attribution` is asked for; a parameter that is None has the method's own default."""

    technique: ClassVar[str] = "attribution"
    targets: Sequence[int | str] | None = None
    method: str = "integrated-gradients"
    baselines: str | Sequence[str] | None = None
    steps: int | None = None
    rule: str | None = None
    samples: int | None = None
    noise: float | None = None
    patch: int | None = None
    stride: int | None = None
    segments: int | None = None
    layer: str | None = None
    seed: int = 0
    score: str = "logit"
    top: int | None = None
    output: int | str = 0
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.targets is not None and self.top is not None:
            raise OptionError("give target or top, not both")
        if self.targets is not None:
            self._set(targets=tuple(each if isinstance(each, str) else int(each) for each in self.targets))
        if self.baselines is not None:
            self._set(baselines=(self.baselines,) if isinstance(self.baselines, str) else tuple(self.baselines))
        for name in ("steps", "samples", "patch", "stride", "segments"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | np.integer) and value >= 1):
                raise OptionError(f"{name} {value!r}: expected a whole number, at least 1")
            self._set(**{name: None if value is None else int(value)})
        if self.noise is not None and not (np.isfinite(self.noise) and self.noise >= 0):
            raise OptionError(f"noise {self.noise}: expected a share of the image's range, at least 0")
        if self.seed < 0:
            raise OptionError(f"seed {self.seed}: expected at least 0")
        self._set(noise=None if self.noise is None else float(self.noise), seed=int(self.seed))
        self._set(output=self.output if isinstance(self.output, str) else int(self.output))
        self._set(top=None if self.top is None else int(self.top))


def _indices(filters: Iterable[int] | str | int | None) -> tuple[int, ...] | str | None:
    """Filters as indices in a tuple, or as the text that they were given in."""
    if filters is None or isinstance(filters, str):
        return filters
    return (int(filters),) if isinstance(filters, int | np.integer) else tuple(int(index) for index in filters)


def _sides(size: Any) -> Any:
    """A size as whole numbers where it is of such; what is none is told by who knows the layer."""
    if isinstance(size, tuple | list):
        return tuple(_sides(side) for side in size)
    return int(size) if isinstance(size, np.integer) else size
