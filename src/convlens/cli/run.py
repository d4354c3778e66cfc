"""What each command does: loads the network, calls one function, prints what came of it."""

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import convlens
from convlens import page
from convlens.cli.output import note, print_json, stages, table, written
from convlens.cli.quiet import hushed
from convlens.cli.samples import samples, value_range
from convlens.cli.shapes import parse_shapes
from convlens.cli.timings import lap
from convlens.errors import ConvlensError, OptionError
from convlens.network.layers import LayerInfo
from convlens.predictions import VALUE, noun, number
from convlens.results.patterns import OK, STATUS, FilterPatterns, ranges
from convlens.store import MANIFEST, Run
from convlens.survey import layer_json, survey
from convlens.techniques.patterns.selection import parse_filters

if TYPE_CHECKING:
    from convlens.network.base import Network
    from convlens.results.heatmaps import Heatmap

IN_HAND = 64  # filters between two times that patterns are kept
Progress = Callable[[int, int], None]
LOADING = ("preprocess", "labels", "weights", "architecture", "custom", "trust", "partial", "head")


def _load(model: str, options: dict[str, Any]) -> "Network":
    with stages() as begin:
        begin(f"loading {model}")
        _start_framework(model)
        lap("import of the framework")
        with redirect_stdout(sys.stderr):  # Keras says there what it downloads, and stdout may be for JSON
            given = {name: options[name] for name in LOADING}
            network = convlens.load(model, input_shape=parse_shapes(options["input_shape"]), **given)
    lap("loading the network")
    return network


def _start_framework(model: str) -> None:
    """Imports the framework that the model needs, without what it writes on its way."""
    from convlens.backend import keras_ready
    from convlens.network.loading import framework_needed

    needed = "torch" if framework_needed(model) == "torch" else None
    with hushed():
        keras_ready(needed).ops.zeros(1)


def run_layers(model: str, as_json: bool, **options: Any) -> None:
    from convlens.network.guess import known_preprocessing

    network = _load(model, options)
    layers = [layer_json(layer) for layer in network.layers]
    preprocessing, notes = known_preprocessing(network)
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
    rows = [
        [
            layer["path"],
            layer["kind"],
            " x ".join("?" if side is None else str(side) for side in layer["output_shape"][1:]),
            f"{layer['parameters']:,}",
            "heatmaps" if layer["default"] else "",
        ]
        for layer in layers
    ]
    table(network.source, ["layer", "kind", "output", "parameters", "default for"], rows, right=(3,))
    shapes = ", ".join(
        " x ".join("any" if side is None else str(side) for side in spec.shape) for spec in network.inputs
    )
    table(
        "input and output",
        ["what", "found"],
        [
            ["input", shapes],
            ["preprocessing", found["preprocessing"]],
            ["class names", found["labels"] or "unknown: give --labels"],
            *_output_rows(found["outputs"]),
        ],
    )


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


def run_activations(model: str, images: Sequence[str], as_json: bool, **options: Any) -> None:
    network, out = _load(model, options), Path(options["out"] or "convlens-activations")
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
    network, out = _load(model, options), Path(options["out"] or "convlens-filters")
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


def run_heatmap(model: str, images: Sequence[str], as_json: bool, **options: Any) -> None:
    network, out = _load(model, options), Path(options["out"] or "convlens-heatmap")
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


def run_report(model: str, images: Sequence[str], as_json: bool, single_file: bool, **options: Any) -> None:
    if not images:
        return _rebuild(Path(model), as_json, single_file, options)
    network = _load(model, options)
    _report(network, samples(network, images), "report", as_json, single_file, options)


def run_demo(as_json: bool, single_file: bool, **options: Any) -> None:
    from convlens.bundled import photo

    network = _load(
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
