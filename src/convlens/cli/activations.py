"""convlens activations."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from convlens.cli.options import common, images_argument, known, model_argument, range_option, writing

if TYPE_CHECKING:
    from convlens.results.activations import Activations

RESULT = "results.activations"


@click.command()
@model_argument
@images_argument
@range_option
@click.option(
    "--layers",
    "-l",
    multiple=True,
    metavar="NAME",
    help="Layer or glob; several times.  [default: all conv and pooling]",
)
@known(
    "--scale",
    home=f"{RESULT}:SCALE",
    type=click.Choice(["channel", "layer"]),
    help="Brightness of channels: each its own, or one a layer.",
)
@known("--columns", home=f"{RESULT}:COLUMNS", type=click.IntRange(min=1), help="Channels a row.")
@known("--colormap", home=f"{RESULT}:COLORMAP", type=str)
@writing
@common
def activations(model: str, images: Sequence[str], as_json: bool, **options: Any) -> None:
    """Draw what each layer makes of images."""
    from convlens.cli.load import load
    from convlens.cli.output import note, print_json, stages, written
    from convlens.cli.samples import samples
    from convlens.cli.timings import lap
    from convlens.output.folder import Folder
    from convlens.techniques.activations import activations as compute
    from convlens.techniques.request import ActivationsRequest, Compute

    network = load(model, options)
    request = ActivationsRequest(options["layers"] or None)
    with (
        Folder(options["out"] or "convlens-activations", "activations", options["overwrite"]) as sink,
        stages() as begin,
    ):
        how = Compute(options["batch_size"], begin("activations"))
        result = compute(network, samples(network, images, options["value_range"]), request, how)
        lap("computing")
        result.write(sink, scale=options["scale"], columns=options["columns"], colormap=options["colormap"])
        lap("drawing and writing")
    note(result.notes)
    if as_json:
        return print_json({**result.to_json(), "notes": result.notes, "files": [str(path) for path in sink.files]})
    _print(result)
    written(sink.files, sink.out)


def _print(result: "Activations") -> None:
    """A table an image."""
    from convlens.cli.output import table

    for index, photo in enumerate(result.photos):
        rows: list[list[str]] = []
        for path, measured in result.statistics.items():
            each = measured[index]
            blank = f"{len(each.blank)} of {each.channels}"
            rows.append([path, f"{each.active:.1%}", blank, f"{each.mean:.4g}", f"{each.maximum:.4g}"])
        table(photo.name, ["layer", "active positions", "blank channels", "mean", "maximum"], rows, right=(1, 2, 3, 4))
