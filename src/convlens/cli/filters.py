"""convlens filters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from convlens.cli.options import PRECISION, common, known, model_argument, seed_option, writing

if TYPE_CHECKING:
    from convlens.results.patterns import FilterPatterns

REQUEST = "techniques.request:PatternRequest"


@click.command()
@model_argument
@click.option(
    "--layer", "-l", "layer_names", multiple=True, required=True, metavar="NAME", help="Layer; several times."
)
@click.option("--filters", "-f", metavar="RANGE", help="Such as 0:64 or 3,17,30.  [default: all]")
@click.option(
    "--size",
    type=click.IntRange(1, 4096),
    help="Of the patterns, in pixels a side.  [default: 64, or the network's own]",
)
@click.option("--steps", type=click.IntRange(min=1), help="[default: the method's own]")
@click.option(
    "--step-size",
    type=click.FloatRange(min=0, min_open=True),
    help="Of ascent in grey levels.  [default: the method's own]",
)
@known("--method", home=f"{REQUEST}.method", type=str)
@known("--precision", home=f"{REQUEST}.precision", type=str, help=PRECISION)
@writing
@seed_option("PatternRequest")
@common
def filters(model: str, layer_names: Sequence[str], as_json: bool, **options: Any) -> None:
    """Draw what filters look for."""
    from convlens.cli.load import load
    from convlens.cli.output import note, print_json, stages, written
    from convlens.cli.timings import lap
    from convlens.jobs.patterns import patterns_in_units
    from convlens.output.folder import Folder
    from convlens.techniques.request import Compute, PatternRequest

    network = load(model, options)
    names = ("filters", "size", "steps", "step_size", "seed", "method", "precision")
    asked = {name: options[name] for name in names}
    results: list[FilterPatterns] = []
    with Folder(options["out"] or "convlens-filters", "filters", options["overwrite"]) as sink, stages() as begin:

        def keep(patterns: "FilterPatterns") -> None:
            lap("computing")
            patterns.write(sink)
            results.append(patterns)
            lap("drawing and writing")

        for layer in network.select(layer_names):
            how = Compute(options["batch_size"], begin(f"patterns of {layer.path}"))
            patterns_in_units(network, PatternRequest(layer.path, **asked), keep, how)
    notes = list(dict.fromkeys(line for patterns in results for line in patterns.notes))
    note(notes)
    if as_json:
        listed = [patterns.to_json() for patterns in results]
        return print_json({"patterns": listed, "notes": notes, "files": [str(path) for path in sink.files]})
    _print(results)
    written(sink.files, sink.out)


def _print(results: Sequence["FilterPatterns"]) -> None:
    """A row a layer, and what the statuses mean."""
    from convlens.cli.output import note, table
    from convlens.results.patterns import OK, STATUS, ranges

    rows: list[list[str]] = []
    for patterns in results:
        live = [row for row, status in enumerate(patterns.status) if status == OK]
        means = [f"{values[live].mean():.4g}" if live else "" for values in (patterns.start, patterns.end)]
        others = "; ".join(f"{status} {ranges(those)}" for status, those in patterns.not_ok().items())
        rows.append([patterns.layer, str(len(patterns.filters)), str(len(live)), *means, others or "none"])
    table("filter patterns", ["layer", "filters", "ok", "mean start", "mean end", "not ok"], rows, right=(1, 2, 3, 4))
    note([f"{word}: {STATUS[word]}" for word in sorted({word for patterns in results for word in patterns.not_ok()})])
