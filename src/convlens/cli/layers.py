"""convlens layers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from convlens.cli.options import common, model_argument
from convlens.errors import ConvlensError

if TYPE_CHECKING:
    from convlens.network.network import Network


@click.command()
@model_argument
@common
def layers(model: str, as_json: bool, **options: Any) -> None:
    """List the layers that can be looked at."""
    from convlens.cli.load import load
    from convlens.cli.output import note, print_json
    from convlens.jobs.facts import layer_json

    network = load(model, options)
    listed = [layer_json(layer) for layer in network.layers]
    preprocessing, notes = network.known_preprocessing()
    notes = [*network.notes, *notes]
    facts = {
        "model": network.source,
        "framework": network.framework,
        "preprocessing": str(preprocessing),
        "preprocessing_guess": preprocessing.guess.to_json() if preprocessing.guess else None,
        "labels": network.labels.source if network.labels else None,
        "inputs": [{"name": spec.name, "shape": list(spec.shape)} for spec in network.inputs],
        "outputs": _outputs(network),
        "notes": notes,
    }
    note([*notes, *(line for output in facts["outputs"] for line in output.pop("notes"))])
    if as_json:
        return print_json({"layers": listed, **facts})
    _print(listed, facts)


def _print(layers: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    from convlens.cli.output import table

    rows = [_layer_row(layer) for layer in layers]
    table(facts["model"], ["layer", "kind", "output", "parameters", "default for"], rows, right=(3,))
    table(
        "input and output",
        ["what", "found"],
        [
            ["input", ", ".join(_shape(spec["shape"], "any") for spec in facts["inputs"])],
            ["preprocessing", facts["preprocessing"]],
            ["class names", facts["labels"] or "unknown: give --labels"],
            *_output_rows(facts["outputs"]),
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
    listed: list[dict[str, Any]] = []
    for place, name in enumerate(network.output_names):
        try:
            head = network.head(place)
            listed.append({**head.to_json(), "words": str(head), "notes": head.notes})
        except ConvlensError as error:
            listed.append({"output": place, "name": name, "kind": None, "reason": str(error), "notes": ()})
    return listed


def _output_rows(outputs: list[dict[str, Any]]) -> list[list[str]]:
    rows: list[list[str]] = []
    for output in outputs:
        named = f" ({output['name']})" if output["name"] else ""
        which = f"output {output['output']}{named}" if len(outputs) > 1 else "output"
        rows.append([which, output.get("words") or output["reason"]])
        if output["kind"]:
            rows.append(["heatmaps explain", output["scored"]])
    return rows
