"""What the numbers of an output mean: told by how they are made, by the loss, by class names, or by the user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convlens.errors import OptionError
from convlens.network.inspect.head import (
    BINARY,
    CLASSES,
    EMBEDDING,
    INDEPENDENT,
    KINDS,
    LOG_PROBABILITIES,
    MAP,
    PROBABILITIES,
    SCORE,
    Head,
)
from convlens.network.inspect.head_forms import Form, find_form
from convlens.network.inspect.losses import BINARIES, CATEGORICAL, REGRESSIONS, Loss, loss_of
from convlens.network.inspect.observation import Observation
from convlens.network.layers import SIGMOID, SOFTMAX, InputSpec
from convlens.network.passes import Passes


@dataclass(frozen=True)
class OutputFacts:
    """What is known of a network's outputs beside what they compute.

    Attributes:
        told: the user's word: one of KINDS, or a mapping of outputs' numbers or names to them.
        loss: as the model or its file states it.
        exclusive: why the classes of the first output exclude one another, in words; None where nothing says so.
    """

    told: str | Mapping[str | int, str] | None = None
    loss: Any = None
    exclusive: str | None = None


@dataclass(frozen=True)
class Kind:
    """What each position of an output means, one of KINDS but "map"; whether that is sure, and what tells it."""

    each: str
    sure: bool
    reason: str


def find_head(passes: Passes, seen: Observation, facts: OutputFacts, output: int) -> Head:
    """How an output is to be read.

    Raises:
        ModelError: it has no entry for each image.
        OptionError: the user's word for it is unknown, or cannot be.
    """
    form = find_form(passes, seen, output)
    name, fitting = seen.names[output], fitting_kinds(form)
    told = facts.told
    if isinstance(told, Mapping):
        keys = [key for key in (output, name or "", str(output)) if key in told]  # JSON has no numbers as keys
        told = told[keys[0]] if keys else None
    if told is not None:
        kind = _told(told, form, fitting, f"output {name or output} of {passes.source}")
    else:
        exclusive = facts.exclusive if output == 0 else None
        kind = _found(form, loss_of(facts.loss, output, seen.names), exclusive, _is_picture(passes.inputs, form))
    return Head(
        output=output,
        name=name,
        each=kind.each,
        sure=kind.sure,
        reason=kind.reason,
        form=form.form,
        function=form.function,
        layer=form.layer,
        source=form.source,
        shape=form.shape,
        has_axis=form.has_axis,
        fitting=fitting,
    )


def _is_picture(inputs: Sequence[InputSpec], form: Form) -> bool:
    """Whether the output has the size and the channels of the image that went in, as that of an autoencoder."""
    shapes = [spec.shape for spec in inputs if spec.is_image]
    return form.has_axis and form.shape in shapes and form.shape[-1] != 1


def fitting_kinds(form: Form) -> tuple[str, ...]:
    """The kinds that an output of this form can be."""
    units = form.units
    if units == 1:
        kinds = [BINARY, SCORE]
    elif form.function == SOFTMAX or form.form == LOG_PROBABILITIES or form.told.endswith("sum to one"):
        kinds = [CLASSES, SCORE]
    else:
        kinds = [CLASSES, INDEPENDENT, SCORE]
    return tuple([*kinds, MAP, EMBEDDING] if form.is_map else [*kinds, EMBEDDING])


def _told(told: str, form: Form, fitting: tuple[str, ...], where: str) -> Kind:
    if told not in KINDS:
        raise OptionError.unknown(f"unknown head {told!r}", told, KINDS)
    if told not in fitting:
        maker = f", {form.told}" if form.told else ""
        units = form.units
        raise OptionError(
            f"head={told!r} does not fit {where}, which has {units} unit{'s' if units > 1 else ''}{maker}; it can be"
            f" {', '.join(fitting)}"
        )
    if told == MAP:
        told = BINARY if form.units == 1 else INDEPENDENT if form.function == SIGMOID else CLASSES
    return Kind(told, True, "as given")


def _found(form: Form, loss: Loss | None, exclusive: str | None, picture: bool) -> Kind:
    units = form.units
    regresses = loss is not None and loss.name in REGRESSIONS
    if form.function == SOFTMAX or (form.form != "raw" and not form.signs):
        if units == 1:
            return Kind(SCORE, False, "a softmax of a single unit is always 1")
        return Kind(CLASSES, True, form.told)
    if form.function == SIGMOID or "probabilities" in form.signs:
        if regresses or picture:
            why = f"its loss is {loss.name}" if regresses and loss else "it has the image's own size and channels"
            return Kind(SCORE, False, f"{form.told}, but {why}")
        return Kind(BINARY if units == 1 else INDEPENDENT, True, form.told)
    if loss is not None and (kind := _by_loss(loss, units, form)):
        return kind
    if "within 0 and 1" in form.signs:
        return Kind(SCORE, False, f"{form.told}, but not by a sigmoid that could be found")
    return _raw(form, units, exclusive, picture)


def _by_loss(loss: Loss, units: int, form: Form) -> Kind | None:
    if loss.name in REGRESSIONS:
        return Kind(SCORE, True, f"its loss is {loss.name}")
    told = f"its loss is {loss.name}{' of logits' if loss.from_logits else ''}"
    known = loss.from_logits or form.form == PROBABILITIES
    if loss.name in BINARIES:
        if not known:
            each = SCORE if units == 1 else CLASSES
            return Kind(each, False, f"{told}, which takes probabilities, but these are none")
        return Kind(BINARY if units == 1 else INDEPENDENT, True, told)
    if loss.name in CATEGORICAL and units > 1:
        return Kind(CLASSES, known, told if known else f"{told}, which takes probabilities, but these are none")
    return None


def _raw(form: Form, units: int, exclusive: str | None, picture: bool) -> Kind:
    """Of numbers as they come, about which no loss is known."""
    if exclusive and units > 1:
        return Kind(CLASSES, True, exclusive)
    if "norm 1" in form.signs:
        return Kind(EMBEDDING, True, "its values are of length 1")
    if "within -1 and 1" in form.signs:
        return Kind(SCORE, units == 1, "its values stay within -1 and 1, also on strong inputs")
    if units == 1:
        return Kind(SCORE, False, "a single raw output: nothing tells whether it is a value or the logit of a class")
    if form.pooled:
        return Kind(EMBEDDING, False, f"what layer {form.pooled} puts out, which pools or flattens features")
    if "never negative" in form.signs:
        return Kind(EMBEDDING, False, "its values are never negative and some are 0, as those of features are")
    if picture:
        return Kind(SCORE, False, "it has the image's own size and channels")
    return Kind(CLASSES, False, f"{units} raw outputs: nothing tells whether they exclude one another")
