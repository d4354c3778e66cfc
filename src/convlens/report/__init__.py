"""From a run's manifest to a page that opens from disk, with no server and no network."""

from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape


def page(manifest: dict[str, Any]) -> str:
    """The page of a run, as HTML; pictures are linked by their names in the run's folder.

    Args:
        manifest: what the run's manifest.json holds.
    """
    environment = Environment(
        loader=PackageLoader("convlens.report"), autoescape=select_autoescape(default=True), trim_blocks=True
    )
    return environment.get_template("page.html").render(manifest=manifest)
