"""The group of all commands. What they do is imported when one of them runs, so that --help is quick."""

import click

from convlens.cli.activations import activations
from convlens.cli.demo import demo
from convlens.cli.filters import filters
from convlens.cli.heatmap import heatmap
from convlens.cli.layers import layers
from convlens.cli.methods import methods
from convlens.cli.report import report


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="convlens")
def convlens() -> None:
    """See what a convolutional network has learned.

    MODEL is a file, keras:NAME, torchvision:NAME, timm:NAME, module:function, or "bundled". IMAGE is a file or a
    folder of files; for a model with several inputs, FILE,FILE in their order or NAME=FILE,NAME=FILE, with .npy
    arrays for inputs that take no image.
    """


for command in (layers, activations, filters, heatmap, methods, report, demo):
    convlens.add_command(command)
