"""What `convlens heatmap` does."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import convlens
from convlens.cli.load import load
from convlens.cli.output import note, print_json, stages, table, written
from convlens.cli.samples import samples, value_range
from convlens.cli.timings import lap
from convlens.data.predictions import VALUE, noun, number
from convlens.output.folder import Run

if TYPE_CHECKING:
    from convlens.results.heatmaps import Heatmap


def run_heatmap(model: str, images: Sequence[str], as_json: bool, **options: Any) -> None:
    network, out = load(model, options), Path(options["out"] or "convlens-heatmap")
    with Run(out, "heatmap", options["overwrite"]) as run, stages() as begin:
        found = convlens.heatmap(
            network,
            samples(network, images),
            list(options["target"]) or None,
            value_range=value_range(options["value_range"]),
            progress=begin("heatmaps"),
            **{
                name: options[name] for name in ("layer", "method", "score", "top", "output", "batch_size", "precision")
            },
        )
        lap("computing")
        maps = found if isinstance(found, tuple) else (found,)
        for one in maps:
            one.write(run, strength=options["strength"], colormap=options["colormap"])
        run.note("heatmaps", [one.to_json() for one in maps])
        run.note("provenance", maps[0].provenance)
        run.note("notes", maps[0].notes)
        lap("drawing and writing")
    note(maps[0].notes)
    if as_json:
        listed = [one.to_json() for one in maps]
        shared = {key: listed[0][key] for key in ("layer", "method", "score", "images", "predictions", "head")}
        shared["status"] = [status for one in maps for status in one.status]
        written_files = [str(path) for path in run.files]
        return print_json({**shared, "heatmaps": listed, "notes": maps[0].notes, "files": written_files})
    _predictions(maps[0])
    rows = [
        [photo.name, f"{target} {one.direction or ''}".strip(), one.names[index] or "", one.layer, one.status[index]]
        for one in maps
        for index, (photo, target) in enumerate(zip(one.photos, one.targets, strict=True))
    ]
    table("heatmaps", ["image", "unit" if maps[0].direction else "class", "name", "layer", "status"], rows, right=(1,))
    written(run.files, out)


def _predictions(heatmap: "Heatmap") -> None:
    """A table an image; where the preprocessing is in doubt, with what both of the likeliest give."""
    guessed = heatmap.provenance["preprocessing_guess"]
    for index, photo in enumerate(heatmap.photos):
        both = [("", heatmap.predictions[index])]
        if heatmap.rival_predictions:
            both = [(f" with {guessed['mode']}", both[0][1])]
            both.append((f" with {guessed['rival']}", heatmap.rival_predictions[index]))
        for words, shown in both:
            if shown:
                unit = shown[0].unit
                rows = [[str(one.index), one.name or "", number(one.score, unit, 4)] for one in shown]
                title = f"{photo.name}: {'values' if unit == VALUE else 'predictions'}{words}"
                table(title, [noun(unit), "name", unit], rows, right=(0, 2))
