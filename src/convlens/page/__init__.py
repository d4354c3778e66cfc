"""From a run's manifest and pictures to a page that opens from disk, with no server and no network."""

import base64
import hashlib
import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, TemplateError

from convlens.errors import OutputError
from convlens.output.manifest import MANIFEST
from convlens.page.view import digits, picture, view

PAGE = "index.html"
COMMANDS = ("report", "demo")
SCRIPTS = ("state.js", "tiles.js", "channel.js", "heatmap.js", "page.js")


def build(
    folder: str | Path, out: str | Path | None = None, *, single_file: bool = False, overwrite: bool = False
) -> Path:
    """Writes the page of a finished run anew, from its manifest and pictures alone.

    Args:
        folder: of a run of `convlens report` or `convlens demo`.
        out: the file to write; index.html in the folder by default.
        single_file: put all pictures into the page, so that it stands alone.
        overwrite: replace a file that is there, other than the run's own page.

    Returns:
        the path of the page.

    Raises:
        OutputError: the folder holds no such run, or the page cannot be written.
    """
    home = Path(folder)
    manifest = read_manifest(home)
    target = Path(out) if out is not None else home / PAGE
    inside = target.resolve().parent == home.resolve()
    if not single_file and not inside:
        raise OutputError(f"{target} is not in {home}, where its pictures are; write it there or as a single file")
    check_file(target, overwrite or (inside and target.name == PAGE))
    try:
        text = html(manifest, home if single_file else None)
    except (TemplateError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise OutputError(
            f"the {MANIFEST} in {home} is damaged or of another version ({error!r}); run convlens report again"
        ) from error
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"cannot write {target}: {error.strerror or error}; choose another place") from error
    return target


def check_file(target: Path, overwrite: bool) -> None:
    """Refuses a page's file that cannot be written, before hours of work for it.

    Raises:
        OutputError: it is a folder, or is there already and may not be replaced.
    """
    if target.is_dir():
        raise OutputError(f"{target} is a folder, expected a file for the page, such as {target / 'report.html'}")
    if target.exists() and not overwrite:
        raise OutputError(f"{target} is there already; choose another name, or --overwrite to replace it")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a run that has a page.

    Raises:
        OutputError: there is none.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        command = manifest["command"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{folder} holds no run of convlens: expected a readable {MANIFEST} in it") from error
    if command not in COMMANDS:
        raise OutputError(f"{folder} holds a run of {command!r}, which has no page; expected one of convlens report")
    return manifest


def html(manifest: dict[str, Any], embed: Path | None = None) -> str:
    """The page of a run.

    Args:
        manifest: what the run's manifest.json holds.
        embed: the run's folder, to put its pictures into the page; by default they are linked by their names.
    """
    environment = Environment(
        loader=PackageLoader("convlens.page"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["digits"] = digits
    shown = view(manifest)
    static = resources.files("convlens.page") / "static"
    script = "\n".join((static / name).read_text(encoding="utf-8") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{script}\n}})();'
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        **shown,
        style=(static / "page.css").read_text(encoding="utf-8"),
        script=script,
        digest=digest,
        embedded=_embedded(shown["data"], embed) if embed else None,
        single=embed is not None,
    )


def _embedded(data: dict[str, Any], folder: Path) -> dict[str, str]:
    """The pictures that a page names, as base64 by their names; those that are gone are left out."""
    found: dict[str, str] = {}

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            list(map(walk, value.values()))
        elif isinstance(value, list):
            list(map(walk, value))
        elif picture(value) and value.endswith(".webp") and (folder / value).is_file():
            found[value] = base64.b64encode((folder / value).read_bytes()).decode()

    walk(data)
    return found


__all__ = ["build", "check_file", "html", "read_manifest"]
