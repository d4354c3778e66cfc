"""The command line: parse, call one function, print what was written."""

import sys
from collections.abc import Sequence

import click

from convlens.cli.commands import convlens
from convlens.errors import ConvlensError

MISTAKE, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line. A user's mistake is one line on stderr and exit code 2, never a traceback."""
    try:
        convlens.main(args=arguments, prog_name="convlens", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
    except click.ClickException as error:
        _fail(error.format_message())
    except ConvlensError as error:
        _fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        click.echo("convlens: interrupted; what was finished is in the output folder", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.exit(1)


def _fail(message: str) -> None:
    click.echo("convlens: " + " ".join(message.split()), err=True)
    sys.exit(MISTAKE)
