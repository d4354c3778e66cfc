"""Layouts of PyTorch outputs: from shapes alone, and on small transformers against plain autograd."""

from typing import Any

import keras
import numpy as np
import pytest

import convlens
from convlens.network.torch.tokens import FIRST, LAST, Tokens, find_layouts

torch = pytest.importorskip("torch")
nn = torch.nn
on_torch = pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch models need the torch backend")


def layouts(shapes: dict[str, tuple[int, ...]], sides: tuple[int, int], **more: Any) -> dict[str, Any]:
    return find_layouts(shapes, more.get("taller", {}), sides, more.get("hints", {}))


@pytest.mark.parametrize(
    ("shape", "sides", "expected"),
    [
        ((1, 64, 56, 56), (224, 224), FIRST),
        ((1, 56, 56, 96), (224, 224), LAST),
        ((1, 7, 7, 7), (224, 224), FIRST),  # both would do: PyTorch's own layout
        ((1, 960, 1, 1), (224, 224), FIRST),
        ((1, 8, 12, 20), (96, 160), FIRST),
        ((1, 6, 10, 48), (96, 160), LAST),
    ],
)
def test_layouts_by_shape(shape: tuple[int, ...], sides: tuple[int, int], expected: str) -> None:
    assert layouts({"a": shape}, sides)["a"] == expected


def test_what_grows_with_the_input_is_its_height() -> None:
    shapes, taller = {"a": (1, 12, 12, 10), "b": (1, 12, 12, 10)}, {"a": (1, 12, 16, 10), "b": (1, 16, 12, 10)}
    assert layouts(shapes, (12, 10), taller=taller) == {"a": FIRST, "b": LAST}


def test_what_the_class_says_comes_first() -> None:
    assert layouts({"conv": (1, 4, 3, 2), "linear": (1, 5, 9, 9)}, (13, 11), hints={"conv": FIRST, "linear": LAST}) == {
        "conv": FIRST,
        "linear": LAST,
    }


@pytest.mark.parametrize(
    ("tokens", "prefix"),
    [(196, 0), (197, 1), (198, 2), (201, 5)],  # pooled, class token, with a distillation token, with four registers
)
def test_tokens_after_a_patch_convolution(tokens: int, prefix: int) -> None:
    found = layouts({"proj": (1, 192, 14, 14), "block": (1, tokens, 192)}, (224, 224))
    assert found["block"] == Tokens(prefix, (16.0, 16.0))
    assert found["block"].grid(tokens, (224, 224)) == (14, 14)
    assert found["block"].grid(prefix + 6 * 10, (96, 160)) == (6, 10)
    assert found["block"].grid(prefix + 61, (96, 160)) is None


def test_tokens_that_merge_on_their_way() -> None:
    found = layouts({"proj": (1, 96, 56, 40), "one": (1, 2240, 96), "two": (1, 560, 192)}, (224, 160))
    assert found["one"] == Tokens(0, (4.0, 4.0))
    assert found["two"] == Tokens(0, (8.0, 8.0))


@pytest.mark.parametrize(
    ("before", "shape"),
    [
        ((1, 128, 8, 25), (1, 25, 1024)),  # columns read as a sequence, their rows among the features
        ((1, 64, 14, 14), (64, 49, 96)),  # windows in the place of the batch
        ((1, 64, 7, 7), (1, 10, 64)),
    ],
)
def test_sequences_are_no_grids(before: tuple[int, ...], shape: tuple[int, ...]) -> None:
    assert "b" not in layouts({"a": before, "b": shape}, (224, 224))


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(width), nn.MultiheadAttention(width, 2, batch_first=True)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Any) -> Any:
        y = self.norm(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(x)


class Small(nn.Module):
    """A vision transformer of three blocks, patches of 4 pixels, that reads its class token or the mean."""

    def __init__(self, prefix: int, width: int = 10) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, 4, 4)
        self.first = nn.Parameter(torch.randn(1, prefix, width))
        self.blocks = nn.Sequential(*(Block(width) for _ in range(3)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 5)

    def embed(self, x: Any) -> Any:
        return torch.cat([self.first.expand(len(x), -1, -1), self.proj(x).flatten(2).transpose(1, 2)], 1)

    def tail(self, tokens: Any, start: int) -> Any:
        tokens = self.norm(self.blocks[start:](tokens))
        return self.head(tokens[:, 0] if self.first.shape[1] else tokens.mean(1))

    def forward(self, x: Any) -> Any:
        tokens = self.norm(self.blocks(self.embed(x)))
        return self.head(tokens[:, 0] if self.first.shape[1] else tokens.mean(1))


SIDES, GRID = (12, 20), (3, 5)


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (2, *SIDES, 3)).astype("uint8")


def opened(prefix: int) -> tuple[Any, Any]:
    torch.manual_seed(prefix)
    model = Small(prefix).eval()
    return model, convlens.load(model, preprocess="rescale", input_shape=(*SIDES, 3))


def entered(pictures: np.ndarray) -> Any:
    return torch.from_numpy(pictures.astype("float32") / 255).permute(0, 3, 1, 2)


@on_torch
@pytest.mark.parametrize("prefix", [0, 1, 2])
def test_heatmaps_and_activations_of_tokens_are_those_of_plain_autograd(prefix: int, pictures: np.ndarray) -> None:
    model, network = opened(prefix)
    with torch.no_grad():
        tokens = model.blocks[:2](model.embed(entered(pictures)))
    found = convlens.activations(network, list(pictures), "blocks.1")["blocks.1"]
    np.testing.assert_allclose(found, tokens[:, prefix:].reshape(2, *GRID, -1).numpy(), rtol=1e-5, atol=1e-6)
    tokens.requires_grad_(True)
    model.tail(tokens, 2)[:, 3].sum().backward()
    patches, slopes = tokens.detach()[:, prefix:], tokens.grad[:, prefix:]
    expected = (slopes.mean(1, keepdim=True) * patches).sum(-1).relu().reshape(2, *GRID).numpy()
    assert expected.max() > 0
    heatmap = convlens.heatmap(network, list(pictures), 3, "blocks.1")
    np.testing.assert_allclose(heatmap.values, expected, rtol=1e-4, atol=1e-5 * expected.max())


@on_torch
def test_the_default_layer_is_the_last_whose_patches_are_read(pictures: np.ndarray) -> None:
    for prefix, expected in ((0, "norm"), (1, "blocks.1"), (2, "blocks.1")):
        _, network = opened(prefix)
        assert network.default_layer == expected
    assert convlens.heatmap(network, list(pictures), 0, "blocks.2").status == ("zero gradient", "zero gradient")


@on_torch
@pytest.mark.parametrize("prefix", [0, 2])
def test_changed_patches_go_back_beside_the_tokens_before_them(prefix: int, pictures: np.ndarray) -> None:
    model, network = opened(prefix)
    x = entered(pictures)
    with torch.no_grad():
        tokens = model.blocks[:1](model.embed(x))
        flipped = tokens[:, prefix:].reshape(2, *GRID, -1).flip(2).flatten(1, 2)
        expected = model.tail(torch.cat([tokens[:, :prefix], flipped], 1), 1)
    with network.reading(), network.intercept({"blocks.0": lambda tensor: tensor.flip(2)}):
        (found,) = network.forward([x.permute(0, 2, 3, 1)])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@on_torch
def test_a_network_that_takes_one_size_is_told_apart() -> None:
    trunk = [nn.Conv2d(1, 4, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    fixed = convlens.load(nn.Sequential(*trunk, nn.Linear(4 * 12 * 12, 3)))
    assert fixed.inputs[0].shape == (28, 28, 1)
    free = convlens.load(nn.Sequential(*trunk[:2], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)))
    assert free.inputs[0].shape == (None, None, 1)


@on_torch
def test_containers_that_end_in_a_pooling_are_no_default_layer() -> None:
    features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
    network = convlens.load(nn.Sequential(features, nn.Flatten(), nn.Linear(4 * 5 * 5, 3)), input_shape=(12, 12, 3))
    assert network.default_layer == "0.1"
