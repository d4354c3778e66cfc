"""What the numbers of an output mean: told by how they are made, by the loss, by class names, or by the user."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    SIGMOID,
    SOFTMAX,
    Head,
)
from convlens.network.inspect.head_forms import Form, find_form
from convlens.network.inspect.losses import BINARIES, CATEGORICAL, REGRESSIONS, Loss, loss_of

if TYPE_CHECKING:
    from convlens.network.network import Network


@dataclass(frozen=True)
class Evidence:
    """What is known of a network's outputs beside what they compute.

    Attributes:
        given: the user's word: one of KINDS, or a mapping of outputs' numbers or names to them.
        loss: as the model or its file states it.
        exclusive: why the classes of the first output exclude one another, in words; None where nothing says so.
    """

    given: str | Mapping[str | int, str] | None = None
    loss: Any = None
    exclusive: str | None = None


Kind = tuple[str, bool, str]  # kind of each position, whether it is sure, what tells it


def find_head(network: "Network", output: int) -> Head:
    """How an output is to be read.

    Raises:
        ModelError: it has no entry for each image.
        OptionError: the user's word for it is unknown, or cannot be.
    """
    form = find_form(network, output)
    names = network.output_names
    name, evidence = names[output], network.evidence
    fitting = fitting_kinds(form)
    given = evidence.given
    if isinstance(given, Mapping):
        keys = [key for key in (output, name, str(output)) if key in given]  # JSON has no numbers as keys
        given = given[keys[0]] if keys else None
    if given is not None:
        found = _given(given, form, fitting, f"output {name or output} of {network.source}")
    else:
        exclusive = evidence.exclusive if output == 0 else None
        found = _found(form, loss_of(evidence.loss, output, names), exclusive, _is_picture(network, form))
    each, sure, reason = found
    return Head(
        output, name, each, sure, reason, form.form, form.function, form.layer, form.source, form.shape, form.has_axis,
        fitting,
    )  # fmt: skip


def _is_picture(network: "Network", form: Form) -> bool:
    """Whether the output has the size and the channels of the image that went in, as that of an autoencoder."""
    shapes = [spec.shape for spec in network.inputs if spec.is_image]
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


def _given(given: str, form: Form, fitting: tuple[str, ...], where: str) -> Kind:
    if given not in KINDS:
        raise OptionError.unknown(f"unknown head {given!r}", given, KINDS)
    if given not in fitting:
        made = f", {form.told}" if form.told else ""
        units = form.units
        raise OptionError(
            f"head={given!r} does not fit {where}, which has {units} unit{'s' if units > 1 else ''}{made}; it can be"
            f" {', '.join(fitting)}"
        )
    if given == MAP:
        given = BINARY if form.units == 1 else INDEPENDENT if form.function == SIGMOID else CLASSES
    return given, True, "as given"


def _found(form: Form, loss: Loss | None, exclusive: str | None, picture: bool) -> Kind:
    units = form.units
    regresses = loss is not None and loss.name in REGRESSIONS
    if form.function == SOFTMAX or (form.form != "raw" and not form.signs):
        if units == 1:
            return SCORE, False, "a softmax of a single unit is always 1"
        return CLASSES, True, form.told
    if form.function == SIGMOID or "probabilities" in form.signs:
        if regresses or picture:
            why = f"its loss is {loss.name}" if regresses and loss else "it has the image's own size and channels"
            return SCORE, False, f"{form.told}, but {why}"
        return (BINARY if units == 1 else INDEPENDENT), True, form.told
    if loss is not None and (found := _by_loss(loss, units, form)):
        return found
    if "within 0 and 1" in form.signs:
        return SCORE, False, f"{form.told}, but not by a sigmoid that could be found"
    return _raw(form, units, exclusive, picture)


def _by_loss(loss: Loss, units: int, form: Form) -> Kind | None:
    if loss.name in REGRESSIONS:
        return SCORE, True, f"its loss is {loss.name}"
    told = f"its loss is {loss.name}{' of logits' if loss.from_logits else ''}"
    known = loss.from_logits or form.form == PROBABILITIES
    if loss.name in BINARIES:
        if not known:
            return (SCORE if units == 1 else CLASSES), False, f"{told}, which takes probabilities, but these are none"
        return (BINARY if units == 1 else INDEPENDENT), True, told
    if loss.name in CATEGORICAL and units > 1:
        return CLASSES, known, told if known else f"{told}, which takes probabilities, but these are none"
    return None


def _raw(form: Form, units: int, exclusive: str | None, picture: bool) -> Kind:
    """Of numbers as they come, about which no loss is known."""
    if exclusive and units > 1:
        return CLASSES, True, exclusive
    if "norm 1" in form.signs:
        return EMBEDDING, True, "its values are of length 1"
    if "within -1 and 1" in form.signs:
        return SCORE, units == 1, "its values stay within -1 and 1, also on strong inputs"
    if units == 1:
        return SCORE, False, "a single raw output: nothing tells whether it is a value or the logit of a class"
    if form.pooled:
        return EMBEDDING, False, f"what layer {form.pooled} puts out, which pools or flattens features"
    if "never negative" in form.signs:
        return EMBEDDING, False, "its values are never negative and some are 0, as those of features are"
    if picture:
        return SCORE, False, "it has the image's own size and channels"
    return CLASSES, False, f"{units} raw outputs: nothing tells whether they exclude one another"
