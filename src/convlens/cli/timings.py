"""Where the time of a command goes."""

import time

import click

_spent: dict[str, float] = {}
_mark = time.perf_counter()


def lap(name: str) -> None:
    """Counts the time since the last lap under a name."""
    global _mark
    now = time.perf_counter()
    _spent[name] = _spent.get(name, 0.0) + now - _mark
    _mark = now


def print_at_the_end(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    """Callback of an option: starts counting, and prints seconds and shares on stderr when the command ends."""

    def show() -> None:
        lap("the rest")
        total = sum(_spent.values())
        for name, seconds in _spent.items():
            click.echo(f"{seconds:8.2f} s  {seconds / total:4.0%}  {name}", err=True)

    if wanted:
        _spent.clear()
        lap("the command line")
        context.call_on_close(show)
