"""What `convlens layers` does."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from convlens.cli.load import load
from convlens.cli.output import note, print_json, table
from convlens.errors import ConvlensError
from convlens.jobs.survey import layer_json

if TYPE_CHECKING:
    from convlens.network.network import Network


def run_layers(model: str, as_json: bool, **options: Any) -> None:
    network = load(model, options)
    layers = [layer_json(layer) for layer in network.layers]
    preprocessing, notes = network.known_preprocessing()
    notes = [*network.notes, *notes]
    found = {
        "model": network.source,
        "framework": network.framework,
        "preprocessing": str(preprocessing),
        "preprocessing_guess": preprocessing.guess.to_json() if preprocessing.guess else None,
        "labels": network.labels.source if network.labels else None,
        "inputs": [{"name": spec.name, "shape": list(spec.shape)} for spec in network.inputs],
        "outputs": _outputs(network),
        "notes": notes,
    }
    note([*notes, *(line for one in found["outputs"] for line in one.pop("notes"))])
    if as_json:
        return print_json({"layers": layers, **found})
    table(
        network.source,
        ["layer", "kind", "output", "parameters", "default for"],
        [_layer_row(layer) for layer in layers],
        right=(3,),
    )
    table(
        "input and output",
        ["what", "found"],
        [
            ["input", ", ".join(_shape(spec.shape, "any") for spec in network.inputs)],
            ["preprocessing", found["preprocessing"]],
            ["class names", found["labels"] or "unknown: give --labels"],
            *_output_rows(found["outputs"]),
        ],
    )


def _shape(sides: Sequence[int | None], free: str) -> str:
    """Sides in words, with a word for those that may be of any length."""
    return " x ".join(free if side is None else str(side) for side in sides)


def _layer_row(layer: dict[str, Any]) -> list[str]:
    shape, default = _shape(layer["output_shape"][1:], "?"), "heatmaps" if layer["default"] else ""
    return [layer["path"], layer["kind"], shape, f"{layer['parameters']:,}", default]


def _outputs(network: "Network") -> list[dict[str, Any]]:
    """What is known of each output, and why of those that cannot be read."""
    listed = []
    for place, name in enumerate(network.output_names):
        try:
            head = network.head(place)
            listed.append({**head.to_json(), "words": str(head), "notes": head.notes})
        except ConvlensError as error:
            listed.append({"output": place, "name": name, "kind": None, "reason": str(error), "notes": ()})
    return listed


def _output_rows(outputs: list[dict[str, Any]]) -> list[list[str]]:
    rows = []
    for one in outputs:
        named = f" ({one['name']})" if one["name"] else ""
        which = f"output {one['output']}{named}" if len(outputs) > 1 else "output"
        rows.append([which, one.get("words") or one["reason"]])
        if one["kind"]:
            rows.append(["heatmaps explain", one["scored"]])
    return rows
