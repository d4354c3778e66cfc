"""--timings: where a command's time goes."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from convlens.cli import timings


def test_timings_sum_each_part_and_say_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.0, 13.0, 16.0, 20.0])
    monkeypatch.setattr(timings.time, "perf_counter", lambda: next(clock))

    @click.command()
    @click.option("--timings", is_flag=True, is_eager=True, expose_value=False, callback=timings.print_at_the_end)
    def command() -> None:
        timings.lap("computing")
        timings.lap("writing")
        timings.lap("computing")

    monkeypatch.setattr(timings, "_mark", 10.0)
    shown: Any = CliRunner().invoke(command, ["--timings"])
    rows = [line.split(maxsplit=3) for line in shown.stderr.splitlines()]
    assert rows == [
        ["0.00", "s", "0%", "the command line"],
        ["5.00", "s", "50%", "computing"],
        ["1.00", "s", "10%", "writing"],
        ["4.00", "s", "40%", "the rest"],
    ]


def test_nothing_is_said_unasked() -> None:
    @click.command()
    @click.option("--timings", is_flag=True, is_eager=True, expose_value=False, callback=timings.print_at_the_end)
    def command() -> None:
        timings.lap("computing")

    assert CliRunner().invoke(command, []).stderr == ""
