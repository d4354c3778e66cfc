"""The options that commands share, and where options have their defaults from."""

import importlib
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import click

from convlens.cli.timings import print_at_the_end

PRECISION = "float32, bfloat16, or auto: bfloat16 where the device gains by it."
PATH = click.Path(path_type=str)
AS_IT_IS = click.UNPROCESSED  # text stays text, and a default that is a number stays one


class Known(click.Option):
    """An option whose default stands elsewhere: it is looked up when it is needed, so that --help is quick.

    Args:
        home: of the default, "module:name.name" within convlens.
    """

    def __init__(self, *names: Any, home: str, **options: Any) -> None:
        super().__init__(*names, show_default=True, **options)
        self.home = home

    def get_default(self, ctx: click.Context, call: bool = True) -> Any:
        module, _, names = self.home.partition(":")
        return reduce(getattr, names.split("."), importlib.import_module(f"convlens.{module}"))


def known(*names: str, home: str, **options: Any) -> Callable:
    """The decorator of a `Known` option."""
    return click.option(*names, cls=Known, home=home, **options)


def seed_option(request: str) -> Callable:
    return known("--seed", home=f"techniques.request:{request}.seed", type=int, help="Seed of all randomness.")


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
]
PRINTING = [
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
]


def _with(options: list[Callable], function: Callable) -> Callable:
    for option in reversed(options):
        function = option(function)
    return function


common, printing, writing = partial(_with, [*COMMON, *PRINTING]), partial(_with, PRINTING), partial(_with, WRITING)
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
