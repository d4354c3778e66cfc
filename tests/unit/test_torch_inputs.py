"""What PyTorch modules take: sizes, channels, how tensors lie in memory. Against PyTorch alone."""

from typing import Any

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

import convlens  # noqa: E402
from convlens.errors import ModelError  # noqa: E402
from tests.unit.torch_nets import Cifar, Gated, Mnist, Pooled, Residual, Sized, Squeezed  # noqa: E402

pytestmark = pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch models need the torch backend")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def photos(side: int, channels: int = 3, count: int = 2) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, side, side, channels)).astype("uint8")


def entered(pictures: np.ndarray) -> Any:
    """Images as a PyTorch user would feed them: 0-1, one axis after the other in memory."""
    return torch.from_numpy(
        np.moveaxis(pictures.astype("float32") / 255, -1, 1).copy()
    )  # ascontiguousarray is not enough


def grad_cam(model: Any, layer: Any, x: Any, target: int) -> tuple[np.ndarray, np.ndarray]:
    """A layer's output and its Grad-CAM, by PyTorch's own hooks."""
    kept = []

    def keep(_: Any, __: Any, out: Any) -> None:
        out.retain_grad()
        kept.append(out)

    handle = layer.register_forward_hook(keep)
    model(x)[:, target].sum().backward()
    handle.remove()
    model.zero_grad()
    cam = (kept[0].grad.mean((2, 3), keepdim=True) * kept[0]).sum(1).relu()
    return np.moveaxis(kept[0].detach().numpy(), 1, -1), cam.detach().numpy()


@pytest.mark.parametrize(
    ("make", "shape", "said"),
    [
        (Cifar, (32, 32, 3), "400 features of a linear layer; 32 to 35 fit as well"),
        (lambda: Mnist(old=True), (28, 28, 1), "320 features of a linear layer; 28 to 31 fit as well"),
        (lambda: Mnist(old=False), (28, 28, 1), "9216 features of a linear layer; 28 to 29 fit as well"),
        (lambda: Sized(28, 1), (28, 28, 1), "26 to 29 fit as well"),
        (lambda: Sized(32), (32, 32, 3), "30 to 33 fit as well"),
        (lambda: Sized(50), (50, 50, 3), "50 to 53 fit as well"),
        (lambda: Sized(90, 1), (90, 90, 1), "90 to 93 fit as well"),
        (lambda: Sized(300), (299, 299, 3), "298 to 301 fit as well"),  # the usual one of them
        (Gated, (28, 28, 1), "27 to 28"),
        (Residual, (32, 32, 3), "25 to 56 fit as well"),  # 224 runs, and makes 49 images of one
    ],
)
def test_the_size_follows_from_the_first_linear_layer(make: Any, shape: tuple[int, ...], said: str) -> None:
    network = convlens.load(make(), preprocess="rescale", head="classes")
    assert network.inputs[0].shape == shape
    assert network.input_size == shape[:2]
    assert any(f"{shape[0]}x{shape[1]} is inferred from" in note and said in note for note in network.notes)
    found = convlens.heatmap(network, list(photos(*shape[1:])), 1)
    with torch.no_grad():
        expected = network.model.eval()(entered(photos(*shape[1:]))).softmax(-1).numpy()
    for shown, row in zip(found.predictions, expected, strict=True):
        np.testing.assert_allclose([one.score for one in shown], np.sort(row)[::-1][:5], rtol=1e-4)


FLATTENS = {
    "view": lambda x: x.view(-1, 16 * 5 * 5),
    "view of the batch": lambda x: x.view(x.size(0), -1),
    "reshape": lambda x: x.reshape(x.size(0), -1),
}


@pytest.mark.parametrize("flatten", FLATTENS)
def test_both_orders_in_memory_give_pytorchs_numbers(flatten: str) -> None:
    model = Cifar(FLATTENS[flatten])
    network = convlens.load(model, preprocess="rescale")
    noted = any("how tensors lie in memory" in note for note in network.notes)
    assert noted == flatten.startswith("view")
    pictures = photos(32)
    activations = convlens.activations(network, list(pictures), ["conv1", "conv2"])
    for path in ("conv1", "conv2"):
        expected, cam = grad_cam(model, getattr(model, path), entered(pictures), 3)
        np.testing.assert_allclose(activations[path], expected, rtol=1e-4, atol=1e-6)
        heatmap = convlens.heatmap(network, list(pictures), 3, path)
        np.testing.assert_allclose(heatmap.values, cam, rtol=1e-4, atol=1e-5 * cam.max())
        assert cam.max() > 0
    assert network.default_layer == "conv2"


def test_heatmaps_of_a_network_with_view_are_captums() -> None:
    captum = pytest.importorskip("captum.attr")
    model = Cifar()
    x = entered(photos(32))
    for path in ("conv1", "conv2", "pool:1"):
        module = getattr(model, path.partition(":")[0])
        if path == "pool:1":  # captum knows no second calls
            continue
        oracle = captum.LayerGradCam(model, module).attribute(x, 7, relu_attributions=True)[:, 0].detach().numpy()
        found = convlens.heatmap(convlens.load(model, preprocess="rescale"), list(photos(32)), 7, path)
        np.testing.assert_allclose(found.values, oracle, rtol=1e-4, atol=1e-5 * oracle.max())


def test_patterns_do_not_depend_on_the_order_in_memory() -> None:
    made = []
    for flatten in ("view", "reshape"):
        torch.manual_seed(1)
        network = convlens.load(Cifar(FLATTENS[flatten]), preprocess="rescale")
        made.append(convlens.filter_patterns(network, "conv2", range(4), size=32, steps=3, precision="float32"))
    np.testing.assert_allclose(made[0].start, made[1].start, rtol=1e-4)
    np.testing.assert_allclose(made[0].end, made[1].end, rtol=1e-3)
    assert np.abs(made[0].images.astype(int) - made[1].images.astype(int)).max() <= 1


class Sorted(nn.Module):
    """Puts its tensors in order by itself, and views what an inner layer makes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4 * 6 * 6, 3)

    def forward(self, x: Any) -> Any:
        return self.fc(self.norm(self.conv(x).contiguous()).view(x.size(0), -1))


def test_what_goes_on_in_place_of_an_output_lies_in_memory_as_the_output_did() -> None:
    model = Sorted().eval()
    network = convlens.load(model, preprocess="rescale", input_shape=(8, 8, 3))
    assert not network.notes  # channels last go in: the module puts them in order
    expected, cam = grad_cam(model, model.norm, entered(photos(8)), 2)
    heatmap = convlens.heatmap(network, list(photos(8)), 2, "norm")
    np.testing.assert_allclose(heatmap.values, cam, rtol=1e-4, atol=1e-5 * cam.max())
    strides = []
    handle = model.norm.register_forward_hook(lambda _, __, out: strides.append(out.stride()))
    with network.reading(), network.intercept({"norm": lambda tensor: tensor.flip(1)}):
        (found,) = network.forward([entered(photos(8)).permute(0, 2, 3, 1)])
    handle.remove()
    flipped = torch.from_numpy(np.moveaxis(expected, -1, 1).copy()).flip(2)
    torch.testing.assert_close(found, model.fc(flipped.reshape(2, -1)).detach(), rtol=1e-4, atol=1e-6)
    assert strides == [(144, 36, 6, 1)]


class Strided(nn.Module):
    """Reads memory as it lies: with channels last it runs, and computes something else."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4 * 6 * 6, 3)

    def forward(self, x: Any) -> Any:
        return self.fc(torch.as_strided(self.conv(x), (x.size(0), 144), (144, 1)))


def test_a_network_that_would_compute_something_else_gets_its_order() -> None:
    model = Strided()
    network = convlens.load(model, preprocess="rescale", input_shape=(8, 8, 3))
    assert any("how tensors lie in memory" in note for note in network.notes)
    _, cam = grad_cam(model, model.conv, entered(photos(8)), 0)
    found = convlens.heatmap(network, list(photos(8)), 0, "conv")
    np.testing.assert_allclose(found.values, cam, rtol=1e-4, atol=1e-5 * cam.max())


def test_any_size_is_taken_at_224_with_a_note() -> None:
    network = convlens.load(Pooled(), preprocess="rescale")
    assert network.inputs[0].shape == (None, None, 3)
    assert network.input_size == (224, 224)
    assert any("224x224 is taken, as the network does not say" in note for note in network.notes)
    assert convlens.activations(network, photos(40)[0], "conv")["conv"].shape == (1, 222, 222, 6)
    told = convlens.load(Pooled(), preprocess="rescale", input_shape=(None, None, 3))
    assert not told.notes
    assert convlens.activations(told, photos(40)[0], "conv")["conv"].shape == (1, 38, 38, 6)


def test_an_image_alone_keeps_its_axis_where_a_module_squeezes() -> None:
    model = Squeezed()
    network = convlens.load(model, preprocess="rescale", input_shape=(32, 32, 3))
    found = convlens.heatmap(network, photos(32)[0], 2)
    _, cam = grad_cam(model, model.conv, entered(photos(32)), 2)
    np.testing.assert_allclose(found.values[0], cam[0], rtol=1e-4, atol=1e-5 * cam.max())
    both = convlens.heatmap(network, list(photos(32)), 2, batch_size=2)
    assert found.predictions[0][0].score == pytest.approx(both.predictions[0][0].score, rel=1e-5)


class Focus(nn.Module):
    def forward(self, x: Any) -> Any:
        return F.pixel_unshuffle(x, 2)


class Grey(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.mean(1, keepdim=True)


class Repeat(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.repeat(1, 3, 1, 1)


@pytest.mark.parametrize(
    ("make", "channels"),
    [
        (lambda: Pooled(3), 3),  # not the 7 of the convolution that is registered first
        (lambda: Pooled(1), 1),
        (lambda: Pooled(4), 4),
        (lambda: Pooled(13), 13),
        (lambda: Pooled(before=Focus(), taken=12), 3),
        (lambda: Pooled(before=Grey(), taken=1), 3),
        (lambda: Pooled(before=Repeat(), taken=3), 1),
        (lambda: Pooled(before=nn.BatchNorm2d(1), taken=1), 1),
        (lambda: Pooled(before=nn.Conv2d(2, 4, 1, groups=2), taken=4), 2),
    ],
)
def test_channels_are_those_of_the_first_convolution_called(make: Any, channels: int) -> None:
    assert convlens.load(make(), preprocess="rescale").inputs[0].shape[2] == channels


class Demanding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.odd = nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(5, 4, 1)

    def forward(self, x: Any) -> Any:
        if x.shape[-1] > 100:
            raise RuntimeError("too large for me")
        return self.odd(self.conv(x))


def test_the_message_is_of_the_size_that_came_closest() -> None:
    with pytest.raises(ModelError, match=r"none of the usual .*came closest: .*5 channels.*--input-shape") as caught:
        convlens.load(Demanding())
    assert "too large for me" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_given_size_that_makes_several_images_of_one_is_no_size() -> None:
    with pytest.raises(ModelError, match="2 images come out as 8; give another input_shape"):
        convlens.load(Residual(), preprocess="rescale", input_shape=(64, 64, 3))


def test_a_shape_with_its_channels_first_is_answered_with_the_right_one() -> None:
    with pytest.raises(ModelError, match=r"channels first; give .*\(32, 32, 3\)"):
        convlens.load(Cifar(), input_shape=(3, 32, 32))


def test_a_batch_of_tensors_is_images_with_their_channels_first() -> None:
    pictures = photos(32, count=3)
    network = convlens.load(Cifar(), preprocess="rescale")
    batch = torch.from_numpy(np.moveaxis(pictures, -1, 1).copy())
    expected = convlens.activations(network, list(pictures), "conv1")["conv1"]
    for images in (batch, list(batch), batch.float() / 255):
        np.testing.assert_allclose(convlens.activations(network, images, "conv1")["conv1"], expected, atol=1e-6)
    many = torch.rand(2, 13, 64, 64)
    found = convlens.activations(convlens.load(Pooled(13), preprocess="none", input_shape=(64, 64, 13)), many, "conv")
    assert found["conv"].shape == (2, 62, 62, 6)
