"""A page inside a notebook."""

import os
from html import escape
from pathlib import Path, PosixPath, WindowsPath

HEIGHT = 720  # pixels


class Report(WindowsPath if os.name == "nt" else PosixPath):  # pyright: ignore[reportGeneralTypeIssues]
    """The path of a page, which a notebook shows as the page itself."""

    def _repr_html_(self) -> str:
        from convlens.page import MANIFEST, html, read_manifest

        home = Path(self).parent
        linked = (home / MANIFEST).is_file() and self.name == "index.html"
        text = html(read_manifest(home), home) if linked else Path(self).read_text(encoding="utf-8")
        style = f"width: 100%; height: {HEIGHT}px; border: 0; border-radius: 8px"
        return f'<iframe title="What the network has learned" style="{style}" srcdoc="{escape(text)}"></iframe>'


__all__ = ["Report"]
