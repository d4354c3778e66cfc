"""convlens methods."""

from typing import Any

import click

from convlens.cli.options import printing
from convlens.techniques.heatmaps.table import ROWS


@click.command()
@printing
def methods(as_json: bool) -> None:
    """List the methods: where they come from, what they need and cost."""
    from convlens.cli.output import print_json, table

    heatmaps = [method.to_json() for method in ROWS]
    patterns: list[dict[str, Any]] = [{"name": name} for name in _pattern_methods()]
    if as_json:
        return print_json({"heatmaps": heatmaps, "attributions": [], "metrics": [], "patterns": patterns})
    rows = [
        [each["name"], each["paper"], ", ".join(each["needs"]), each["cost"], _class_words(each["class_free"])]
        for each in heatmaps
    ]
    table("heatmaps", ["method", "paper", "needs", "cost", "class"], rows)
    table("patterns", ["method"], [[each["name"]] for each in patterns])


def _class_words(class_free: bool) -> str:
    return "ignored" if class_free else "explained"


def _pattern_methods() -> list[str]:
    from convlens.techniques.patterns.ascent import METHODS

    return list(METHODS)
