"""The commands and their options. What they do is imported when one of them runs, so that --help is quick."""

from collections.abc import Callable
from functools import partial
from typing import Any

import click

from convlens.cli.timings import print_at_the_end

PRECISION = "float32, bfloat16, or auto: bfloat16 where the device gains by it."
PATH = click.Path(path_type=str)
COMMON = [
    click.option("--preprocess", metavar="NAME", help="none (0-255), rescale (0-1), tf (-1-1), caffe or torch."),
    click.option("--labels", type=PATH, metavar="FILE", help="Class names, one a line."),
    click.option("--weights", metavar="FILE", help='A weights file, or "random" for an untrained zoo network.'),
    click.option(
        "--architecture", metavar="SOURCE", help="For a file of weights alone: FILE, keras:NAME, module:function."
    ),
    click.option(
        "--input-shape",
        metavar="H,W,C",
        help='Where the model does not know it: "28,28,1" or 28x28x1, "any" for any size, ";" between inputs.',
    ),
    click.option("--custom", multiple=True, metavar="MODULE:OBJECT", help="A class that the file needs."),
    click.option(
        "--head",
        metavar="KIND",
        help="What the output means: classes, independent, binary, score, map or embedding.  [default: told by it]",
    ),
    click.option("--trust", is_flag=True, help="Run code that is stored in the model file."),
    click.option("--partial", is_flag=True, help="Compute through layers without weights, too."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout."),
    click.option(
        "--timings",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=print_at_the_end,
        help="Say on stderr where the time went.",
    ),
]
WRITING = [
    click.option("--out", type=PATH, metavar="FOLDER", help="Where to write.  [default: convlens-COMMAND]"),
    click.option("--overwrite", is_flag=True, help="Replace an earlier run in that folder."),
    click.option("--batch-size", type=click.IntRange(min=1), help="Images or filters at once."),
    click.option("--seed", default=0, show_default=True, help="Seed of all randomness."),
]


def _with(options: list[Callable], function: Callable) -> Callable:
    for option in reversed(options):
        function = option(function)
    return function


common, writing = partial(_with, COMMON), partial(_with, WRITING)
model_argument = click.argument("model")
images_argument = click.argument("images", nargs=-1, required=True, type=PATH, metavar="IMAGE...")

range_option = click.option(
    "--value-range",
    metavar="LOW,HIGH",
    help="Black and white in arrays and files of more than 8 bits; or network: they are as the network takes them.",
)
single_file_option = click.option(
    "--single-file", is_flag=True, help="Write one HTML file with everything in it; --out names it."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="convlens")
def convlens() -> None:
    """See what a convolutional network has learned.

    MODEL is a file, keras:NAME, torchvision:NAME, timm:NAME, module:function, or "bundled". IMAGE is a file or a
    folder of files; for a model with several inputs, FILE,FILE in their order or NAME=FILE,NAME=FILE, with .npy
    arrays for inputs that take no image.
    """


@convlens.command()
@model_argument
@common
def layers(**options: Any) -> None:
    """List the layers that can be looked at."""
    from convlens.cli.layers import run_layers

    run_layers(**options)


@convlens.command()
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
@click.option(
    "--scale",
    type=click.Choice(["channel", "layer"]),
    default="channel",
    show_default=True,
    help="Brightness of channels: each its own, or one a layer.",
)
@click.option("--columns", type=click.IntRange(min=1), default=16, show_default=True, help="Channels a row.")
@click.option("--colormap", default="viridis", show_default=True)
@writing
@common
def activations(**options: Any) -> None:
    """Draw what each layer makes of images."""
    from convlens.cli.run import run_activations

    run_activations(**options)


@convlens.command()
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
@click.option("--step-size", type=click.FloatRange(min=0, min_open=True), help="Of ascent, in grey levels.")
@click.option("--method", default="ascent", show_default=True, help="ascent or fourier.")
@click.option("--precision", default="auto", show_default=True, help=PRECISION)
@writing
@common
def filters(**options: Any) -> None:
    """Draw what filters look for."""
    from convlens.cli.run import run_filters

    run_filters(**options)


@convlens.command()
@model_argument
@images_argument
@range_option
@click.option(
    "--target",
    "-t",
    multiple=True,
    metavar="CLASS",
    help='Index or name, "1 down" of a value; several times.  [default: the likeliest]',
)
@click.option("--top", type=click.IntRange(min=1), help="The likeliest so many classes.")
@click.option("--output", default="0", show_default=True, metavar="OUTPUT", help="Which output: its number or name.")
@click.option("--layer", "-l", metavar="NAME", help="Where to look.  [default: the last spatial one on every path]")
@click.option("--method", default="grad-cam", show_default=True)
@click.option("--precision", default="float32", show_default=True, help=PRECISION)
@click.option("--score", default="logit", show_default=True, help="logit or probability.")
@click.option(
    "--strength", type=click.FloatRange(0, 1), default=0.4, show_default=True, help="Of the heatmap over the photo."
)
@click.option("--colormap", default="inferno", show_default=True)
@writing
@common
def heatmap(**options: Any) -> None:
    """Draw where in images a class comes from."""
    from convlens.cli.heatmap import run_heatmap

    run_heatmap(**options)


@convlens.command()
@model_argument
@click.argument("images", nargs=-1, type=PATH, metavar="IMAGE...")
@range_option
@single_file_option
@writing
@common
def report(**options: Any) -> None:
    """Write a page with all three views.

    With the folder of a finished run in place of MODEL and without images, only its page is written anew.
    """
    from convlens.cli.run import run_report

    run_report(**options)


@convlens.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")
@single_file_option
@writing
def demo(**options: Any) -> None:
    """Show the bundled network on a bundled photo, offline."""
    from convlens.cli.run import run_demo

    run_demo(**options)
