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
    from convlens.techniques.attributions.table import ROWS as ATTRIBUTIONS
    from convlens.techniques.patterns.recipes import ROWS as RECIPES

    heatmaps, attributions = ([method.to_json() for method in rows] for rows in (ROWS, ATTRIBUTIONS))
    patterns: list[dict[str, Any]] = [recipe.to_json() for recipe in RECIPES]
    if as_json:
        return print_json({"heatmaps": heatmaps, "attributions": attributions, "metrics": [], "patterns": patterns})
    for title, listed in (("heatmaps", heatmaps), ("attributions, in Python: convlens.attribution", attributions)):
        rows = [
            [each["name"], each["paper"], ", ".join(each["needs"]), each["cost"], _class_words(each["class_free"])]
            for each in listed
        ]
        table(title, ["method", "paper", "needs", "cost", "class"], rows)
    columns = ["method", "paper", "what it does", "steps"]
    table("patterns", columns, [[each["name"], each["paper"], each["words"], str(each["steps"])] for each in patterns])


def _class_words(class_free: bool) -> str:
    return "ignored" if class_free else "explained"
