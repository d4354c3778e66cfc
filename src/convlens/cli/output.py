"""Tables, progress and JSON: results on stdout, all else on stderr."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from convlens.output.manifest import plain

PIPED = 160  # columns where there is no terminal to ask


def _console(**options: Any) -> Console:
    terminal = Console(**options)
    return terminal if terminal.is_terminal else Console(width=PIPED, **options)


console, aside = _console(), _console(stderr=True)


def print_json(value: Any) -> None:
    """A value as JSON on stdout, not a number becoming null."""
    console.file.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def note(lines: Sequence[str]) -> None:
    for line in lines:
        aside.print(f"[yellow]note:[/] {escape(line)}", highlight=False)


def written(paths: Sequence[Path], folder: Path) -> None:
    """Says how many files were written, and where to look first."""
    pages = [path for path in paths if path.suffix == ".html"]
    first = pages[0] if pages else folder
    console.print(f"wrote {len(paths)} files: [bold]{escape(str(first))}[/]", highlight=False, soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """A table on stdout; `right` are the columns of numbers."""
    shown = Table(title=escape(title), title_justify="left", header_style="bold")
    for place, column in enumerate(columns):
        shown.add_column(column, justify="right" if place in right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(escape(cell) for cell in row))
    console.print(shown)


@contextmanager
def stages() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Progress bars with the time left, one a stage, on stderr: gives a function of a stage's name."""
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=aside, transient=True, disable=not aside.is_terminal) as progress:

        def begin(name: str) -> Callable[[int, int], None]:
            task = progress.add_task(escape(name), total=None)

            def advance(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total)

            return advance

        yield begin
