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
    from convlens.techniques.patterns.recipes import ROWS as RECIPES

    heatmaps = [method.to_json() for method in ROWS]
    patterns: list[dict[str, Any]] = [recipe.to_json() for recipe in RECIPES]
    if as_json:
        return print_json({"heatmaps": heatmaps, "attributions": [], "metrics": [], "patterns": patterns})
    rows = [
        [each["name"], each["paper"], ", ".join(each["needs"]), each["cost"], _class_words(each["class_free"])]
        for each in heatmaps
    ]
    table("heatmaps", ["method", "paper", "needs", "cost", "class"], rows)
    columns = ["method", "paper", "what it does", "steps"]
    table("patterns", columns, [[each["name"], each["paper"], each["words"], str(each["steps"])] for each in patterns])


def _class_words(class_free: bool) -> str:
    return "ignored" if class_free else "explained"
