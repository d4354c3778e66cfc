"""--input-shape: what it takes, and that it reaches the network."""

import json
from pathlib import Path

import keras
import pytest

from convlens.cli import main
from convlens.cli.shapes import parse_shapes
from convlens.errors import OptionError


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("28,28,1", [(28, 28, 1)]),
        ("28x28x1", [(28, 28, 1)]),
        (" (224, 224, 3) ", [(224, 224, 3)]),
        ("any,any,3", [(None, None, 3)]),
        ("any x any x 3", [(None, None, 3)]),  # as tables show it
        ("32x48x3;10", [(32, 48, 3), (10,)]),
    ],
)
def test_shapes_as_people_write_them(text: str, shapes: list[tuple[int | None, ...]]) -> None:
    assert parse_shapes(text) == shapes


@pytest.mark.parametrize("text", ["", "28;;1", "28,-1,3", "0x0x3", "large", "28.5,28,1", "28,28,1;"])
def test_what_is_no_shape_is_answered_with_one(text: str) -> None:
    with pytest.raises(OptionError, match='such as "28,28,1" or "28x28x1"'):
        parse_shapes(text)


NETS = """
from torch import nn
import torch

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)
    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3)))

class Two(Net):
    def forward(self, x, y):
        return super().forward(x) + y
"""


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch models need the torch backend")
@pytest.mark.parametrize(
    ("name", "given", "shapes"),
    [
        ("Net", [], [[None, None, 3]]),
        ("Net", ["--input-shape", "40x32x3"], [[40, 32, 3]]),
        ("Two", ["--input-shape", "40,32,3;3"], [[40, 32, 3], [3]]),
    ],
)
def test_the_command_line_tells_the_network(
    name: str, given: list[str], shapes: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    pytest.importorskip("torch")
    (tmp_path / "shaped_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    main(["layers", f"shaped_nets.py:{name}", "--json", *given])
    found = json.loads(capsys.readouterr().out)
    assert [spec["shape"] for spec in found["inputs"]] == shapes
    assert found["layers"][0]["output_shape"][1:3] == ([None, None] if not given else [38, 30])
