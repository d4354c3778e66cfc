"""convlens heatmap."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from convlens.cli.options import (
    AS_IT_IS,
    PRECISION,
    common,
    images_argument,
    known,
    model_argument,
    range_option,
    writing,
)
from convlens.techniques.heatmaps.table import METHODS

if TYPE_CHECKING:
    from convlens.results.heatmaps import Heatmap

REQUEST, RESULT = "techniques.request:HeatmapRequest", "results.heatmaps"


@click.command()
@model_argument
@images_argument
@range_option
@click.option(
    "--target",
    "-t",
    "targets",
    multiple=True,
    metavar="CLASS",
    help='Index or name, "1 down" of a value; several times.  [default: the likeliest]',
)
@click.option("--top", type=click.IntRange(min=1), help="The likeliest so many classes.")
@known("--output", home=f"{REQUEST}.output", type=AS_IT_IS, metavar="OUTPUT", help="Which output: its number or name.")
@click.option("--layer", "-l", metavar="NAME", help="Where to look.  [default: the last spatial one on every path]")
@known("--method", home=f"{REQUEST}.method", type=str, help=f"{', '.join(METHODS)}: see convlens methods.")
@known("--precision", home=f"{REQUEST}.precision", type=str, help=PRECISION)
@known("--score", home=f"{REQUEST}.score", type=str, help="logit or probability.")
@known("--strength", home=f"{RESULT}:STRENGTH", type=click.FloatRange(0, 1), help="Of the heatmap over the photo.")
@known("--colormap", home=f"{RESULT}:COLORMAP", type=str)
@writing
@common
def heatmap(model: str, images: Sequence[str], as_json: bool, **options: Any) -> None:
    """Draw where in images a class comes from."""
    from convlens.cli.load import load
    from convlens.cli.output import note, stages, written
    from convlens.cli.samples import samples
    from convlens.cli.timings import lap
    from convlens.output.folder import Folder
    from convlens.techniques.heatmaps.explain import heatmaps
    from convlens.techniques.request import Compute, HeatmapRequest

    network = load(model, options)
    names = ("layer", "method", "score", "top", "output", "precision")
    request = HeatmapRequest(options["targets"] or None, **{name: options[name] for name in names})
    with Folder(options["out"] or "convlens-heatmap", "heatmap", options["overwrite"]) as sink, stages() as begin:
        how = Compute(options["batch_size"], begin("heatmaps"))
        maps = heatmaps(network, samples(network, images, options["value_range"]), request, how)
        lap("computing")
        for each in maps:
            each.write(sink, strength=options["strength"], colormap=options["colormap"])
        lap("drawing and writing")
    note(maps[0].notes)
    if as_json:
        return _print_json(maps, [str(path) for path in sink.files])
    _print(maps)
    written(sink.files, sink.out)


def _print_json(maps: Sequence["Heatmap"], files: list[str]) -> None:
    from convlens.cli.output import print_json

    listed = [each.to_json() for each in maps]
    shared = {key: listed[0][key] for key in ("layer", "method", "score", "images", "predictions", "head")}
    shared["status"] = [status for each in maps for status in each.status]
    print_json({**shared, "heatmaps": listed, "notes": maps[0].notes, "files": files})


def _print(maps: Sequence["Heatmap"]) -> None:
    """The predictions of each image, and a row a heatmap."""
    from convlens.cli.output import table

    _print_predictions(maps[0])
    rows = [
        [
            photo.name,
            f"{target} {each.direction or ''}".strip(),
            each.names[index] or "",
            each.layer,
            each.status[index],
        ]
        for each in maps
        for index, (photo, target) in enumerate(zip(each.photos, each.targets, strict=True))
    ]
    table("heatmaps", ["image", "unit" if maps[0].direction else "class", "name", "layer", "status"], rows, right=(1,))


def _print_predictions(heatmap: "Heatmap") -> None:
    """A table an image; where the preprocessing is in doubt, with what both of the likeliest give."""
    from convlens.cli.output import table
    from convlens.data.predictions import VALUE, noun, number

    guess = heatmap.provenance["preprocessing_guess"]
    for index, photo in enumerate(heatmap.photos):
        both = [("", heatmap.predictions[index])]
        if heatmap.rival_predictions:
            both = [(f" with {guess['mode']}", both[0][1])]
            both.append((f" with {guess['rival']}", heatmap.rival_predictions[index]))
        for words, predictions in both:
            if predictions:
                unit = predictions[0].unit
                rows = [[str(each.index), each.name or "", number(each.score, unit, 4)] for each in predictions]
                title = f"{photo.name}: {'values' if unit == VALUE else 'predictions'}{words}"
                table(title, [noun(unit), "name", unit], rows, right=(0, 2))
