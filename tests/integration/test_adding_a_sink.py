"""The page on adding a sink, followed to the letter."""

import importlib.util
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convlens
from convlens.data.images import Photo
from convlens.errors import OutputError
from convlens.output.manifest import MANIFEST
from convlens.output.memory import Memory

PAGE = Path(__file__).parents[2] / "docs" / "adding.md"
SECTION = re.search(r"^## A sink$(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
BLOCKS = re.findall(r"^```python\n(.*?)^```$", SECTION[1] if SECTION else "", re.MULTILINE | re.DOTALL)


def photo() -> Photo:
    return Photo("noise", np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype="uint8"))


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class of the page, from a file of its own."""
    (tmp_path / "archive.py").write_text(BLOCKS[0])
    spec = importlib.util.spec_from_file_location("archive", tmp_path / "archive.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "archive", module)
    spec.loader.exec_module(module)
    (tmp_path / "archive.py").unlink()
    return module.Archive


def test_the_pages_sink_holds_what_memory_does(archive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(BLOCKS[1], {"convlens": convlens, "photo": photo, "Archive": archive})
    with Memory("heatmap") as memory:
        convlens.heatmap("bundled", photo()).write(memory)
    with zipfile.ZipFile(tmp_path / "heatmap.zip") as written:
        files = {name: written.read(name) for name in written.namelist()}
    manifests = [json.loads(held.pop(MANIFEST)) for held in (files, memory.files)]
    assert len(files) == 4
    assert files == memory.files
    assert {**manifests[0], "created": 0} == {**manifests[1], "created": 0}
    with pytest.raises(OutputError, match="there already"):
        archive("heatmap.zip", "heatmap").begin()


def test_the_pages_sink_is_whole_or_not_there(archive: Any, tmp_path: Path) -> None:
    def cut(error: BaseException) -> None:
        with archive(tmp_path / "run.zip", "filters") as sink:
            sink.text("first.txt", "finished")
            raise error

    with pytest.raises(ValueError, match="broken"):
        cut(ValueError("broken"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt):
        cut(KeyboardInterrupt())
    with zipfile.ZipFile(tmp_path / "run.zip") as written:
        assert written.namelist() == ["first.txt", MANIFEST]
        assert json.loads(written.read(MANIFEST))["status"] == "interrupted"
