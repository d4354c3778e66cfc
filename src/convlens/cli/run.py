"""What each command does: loads the network, calls one function, prints what came of it."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import convlens
from convlens import page
from convlens.cli.load import LOADING, load
from convlens.cli.output import note, print_json, stages, table, written
from convlens.cli.samples import samples, value_range
from convlens.cli.timings import lap
from convlens.errors import OptionError
from convlens.jobs.survey import survey
from convlens.network.layers import LayerInfo
from convlens.output.folder import MANIFEST, Run
from convlens.results.patterns import OK, STATUS, FilterPatterns, ranges
from convlens.techniques.patterns.selection import parse_filters

if TYPE_CHECKING:
    from convlens.network.network import Network

IN_HAND = 64  # filters between two times that patterns are kept
Progress = Callable[[int, int], None]


def run_activations(model: str, images: Sequence[str], as_json: bool, **options: Any) -> None:
    network, out = load(model, options), Path(options["out"] or "convlens-activations")
    with Run(out, "activations", options["overwrite"]) as run, stages() as begin:
        found = convlens.activations(
            network,
            samples(network, images),
            list(options["layers"]) or None,
            value_range=value_range(options["value_range"]),
            batch_size=options["batch_size"],
            progress=begin("activations"),
        )
        lap("computing")
        found.write(run, scale=options["scale"], columns=options["columns"], colormap=options["colormap"])
        run.note("provenance", found.provenance)
        run.note("notes", found.notes)
        run.note("activations", found.to_json())
        lap("drawing and writing")
    note(found.notes)
    if as_json:
        return print_json({**found.to_json(), "notes": found.notes, "files": [str(path) for path in run.files]})
    for index, photo in enumerate(found.photos):
        rows = []
        for path, statistics in found.statistics.items():
            one = statistics[index]
            rows.append(
                [
                    path,
                    f"{one.active:.1%}",
                    f"{len(one.blank)} of {one.channels}",
                    f"{one.mean:.4g}",
                    f"{one.maximum:.4g}",
                ]
            )
        table(photo.name, ["layer", "active positions", "blank channels", "mean", "maximum"], rows, right=(1, 2, 3, 4))
    written(run.files, out)


def run_filters(model: str, layer_names: Sequence[str], as_json: bool, **options: Any) -> None:
    network, out = load(model, options), Path(options["out"] or "convlens-filters")
    made: list[FilterPatterns] = []
    with Run(out, "filters", options["overwrite"]) as run, stages() as begin:
        for layer in network.select(layer_names):
            _layer_patterns(network, layer, options, run, begin(f"patterns of {layer.path}"), made)
    notes = list(dict.fromkeys(line for one in made for line in one.notes))
    note(notes)
    if as_json:
        listed = [one.to_json() for one in made]
        return print_json({"patterns": listed, "notes": notes, "files": [str(path) for path in run.files]})
    rows = []
    for one in made:
        live = [row for row, status in enumerate(one.status) if status == OK]
        means = [f"{values[live].mean():.4g}" if live else "" for values in (one.start, one.end)]
        others = "; ".join(f"{status} {ranges(those)}" for status, those in one.not_ok().items())
        rows.append([one.layer, str(len(one.filters)), str(len(live)), *means, others or "none"])
    table("filter patterns", ["layer", "filters", "ok", "mean start", "mean end", "not ok"], rows, right=(1, 2, 3, 4))
    note([f"{word}: {STATUS[word]}" for word in sorted({word for one in made for word in one.not_ok()})])
    written(run.files, out)


def _layer_patterns(
    network: "Network",
    layer: LayerInfo,
    options: dict[str, Any],
    run: Run,
    progress: Progress,
    made: list[FilterPatterns],
) -> None:
    """Makes and writes the patterns of a layer; an interruption loses only those in hand."""
    filters = parse_filters(options["filters"], layer.output_shape[-1] or 0, layer.path)
    names = ("size", "steps", "step_size", "seed", "method", "batch_size", "precision")
    settings = {name: options[name] for name in names}
    parts: list[FilterPatterns] = []
    try:
        for at in range(0, len(filters), IN_HAND):
            chosen = filters[at : at + IN_HAND]
            shown = partial(_shifted, progress, at, len(filters))
            parts.append(convlens.filter_patterns(network, layer.path, chosen, progress=shown, **settings))
    finally:
        if parts:
            made.append(FilterPatterns.joined(parts))
            lap("computing")
            made[-1].write(run)
            lap("drawing and writing")
            run.note("provenance", made[-1].provenance)
            run.note("notes", list(dict.fromkeys(line for one in made for line in one.notes)))
            run.note("patterns", [one.to_json() for one in made])


def _shifted(progress: Progress, before: int, total: int, done: int, _: int) -> None:
    progress(before + done, total)


def run_report(model: str, images: Sequence[str], as_json: bool, single_file: bool, **options: Any) -> None:
    if not images:
        return _rebuild(Path(model), as_json, single_file, options)
    network = load(model, options)
    _report(network, samples(network, images), "report", as_json, single_file, options)


def run_demo(as_json: bool, single_file: bool, **options: Any) -> None:
    from convlens.bundled import photo

    network = load(
        "bundled", dict.fromkeys((*LOADING, "input_shape")) | {"custom": (), "trust": False, "partial": False}
    )
    _report(network, [photo()], "demo", as_json, single_file, options)


def _report(
    network: "Network", images: list[Any], command: str, as_json: bool, single_file: bool, options: dict[str, Any]
) -> None:
    out = Path(options["out"] or f"convlens-{command}{'.html' if single_file else ''}")
    with stages() as begin:
        shared = {name: options[name] for name in ("overwrite", "seed", "batch_size")}
        shared["value_range"] = value_range(options.get("value_range"))
        made = survey(network, images, out, command=command, single_file=single_file, stage=begin, **shared)
    note([*made.notes, *(f"missing on the page: {one['what']}: {one['why']}" for one in made.failures)])
    if as_json:
        files = [str(path) for path in made.files]
        return print_json({"page": str(made.page), "notes": made.notes, "failures": made.failures, "files": files})
    written(made.files, out)


def _rebuild(folder: Path, as_json: bool, single_file: bool, options: dict[str, Any]) -> None:
    """The page of a finished run anew."""
    if not (folder / MANIFEST).is_file():
        raise OptionError(
            f"no images given for {folder}; expected at least one after the model, or the folder of a finished run"
            " alone, to build its page anew"
        )
    out = options["out"] or ("convlens-report.html" if single_file else None)
    made = page.build(folder, out, single_file=single_file, overwrite=options["overwrite"])
    if as_json:
        return print_json({"page": str(made), "files": [str(made)]})
    written([made], folder)
