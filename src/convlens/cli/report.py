"""convlens report."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convlens.cli.options import PATH, common, model_argument, range_option, seed_option, single_file_option, writing
from convlens.errors import OptionError

if TYPE_CHECKING:
    from convlens.network.network import Network


@click.command()
@model_argument
@click.argument("images", nargs=-1, type=PATH, metavar="IMAGE...")
@range_option
@single_file_option
@writing
@seed_option("ReportRequest")
@common
def report(model: str, images: Sequence[str], as_json: bool, **options: Any) -> None:
    """Write a page with all three views.

    With the folder of a finished run in place of MODEL and without images, only its page is written anew.
    """
    from convlens.cli.load import load
    from convlens.cli.samples import named_samples, value_range

    if not images:
        return _rebuild(Path(model), as_json, options)
    network = load(model, options)
    write_report(
        network, named_samples(network, images), "report", as_json, value_range(options["value_range"]), options
    )


def write_report(
    network: "Network", images: list[Any], command: str, as_json: bool, value_range: Any, options: dict[str, Any]
) -> None:
    """Writes a report, and says where it is.

    Args:
        command: its name in the manifest, and in that of the folder.
        options: of WRITING, single_file and seed.
    """
    from convlens.cli.output import note, print_json, stages, written
    from convlens.jobs.survey import survey
    from convlens.techniques.request import Compute, ReportRequest

    out = options["out"] or f"convlens-{command}{'.html' if options['single_file'] else ''}"
    with stages() as begin:
        result = survey(
            network,
            images,
            out,
            ReportRequest(seed=options["seed"]),
            Compute(options["batch_size"]),
            value_range=value_range,
            command=command,
            single_file=options["single_file"],
            overwrite=options["overwrite"],
            stage=begin,
        )
    missing = [f"missing on the page: {failure['what']}: {failure['why']}" for failure in result.failures]
    note([*result.notes, *missing])
    if as_json:
        files = [str(path) for path in result.files]
        said = {"page": str(result.page), "notes": result.notes, "failures": result.failures, "files": files}
        return print_json(said)
    written(result.files, Path(out))


def _rebuild(folder: Path, as_json: bool, options: dict[str, Any]) -> None:
    """The page of a finished run anew."""
    from convlens import page
    from convlens.cli.output import print_json, written
    from convlens.output.manifest import MANIFEST

    if not (folder / MANIFEST).is_file():
        raise OptionError(
            f"no images given for {folder}; expected at least one after the model, or the folder of a finished run"
            " alone, to build its page anew"
        )
    single_file = options["single_file"]
    out = options["out"] or ("convlens-report.html" if single_file else None)
    built = page.build(folder, out, single_file=single_file, overwrite=options["overwrite"])
    if as_json:
        return print_json({"page": str(built), "files": [str(built)]})
    written([built], folder)
