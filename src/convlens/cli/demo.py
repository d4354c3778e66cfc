"""convlens demo."""

from typing import Any

import click

from convlens.cli.options import printing, seed_option, single_file_option, writing
from convlens.cli.report import write_report


@click.command()
@single_file_option
@writing
@seed_option("ReportRequest")
@printing
def demo(as_json: bool, **options: Any) -> None:
    """Show the bundled network on a bundled photo, offline."""
    from convlens.bundled import photo
    from convlens.cli.load import LOADING, load

    unasked = dict.fromkeys((*LOADING, "input_shape")) | {"custom": (), "trust": False, "partial": False}
    write_report(load("bundled", unasked), [photo()], "demo", as_json, None, options)
