"""What reaches a network of the images given: the networks' first layer puts out its input, to be compared with."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tifffile
from PIL import Image

import convlens
from convlens.cli import main
from convlens.data.preprocessing import MODES
from convlens.errors import ImageError, OptionError

SIDES = (12, 16)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def identity(channels: int, name: str) -> keras.layers.Layer:
    kernel = keras.initializers.Constant(np.eye(channels, dtype="float32")[None, None])
    return keras.layers.Conv2D(channels, 1, use_bias=False, kernel_initializer=kernel, name=name)


def plain(channels: int = 1, height: int | None = SIDES[0], width: int | None = SIDES[1]) -> keras.Model:
    image = keras.Input((height, width, channels))
    seen = keras.layers.GlobalAveragePooling2D()(identity(channels, "same")(image))
    return keras.Model(image, keras.layers.Dense(2, activation="softmax")(seen))


def reaches(images: Any, preprocess: Any, channels: int = 1, value_range: Any = None) -> tuple[np.ndarray, Any]:
    """What the network gets, and the result."""
    network = convlens.load(plain(channels), preprocess=preprocess)
    found = convlens.activations(network, images, "same", value_range=value_range)
    return found["same"], found


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal but for how a kernel of ones and zeros may round."""
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("preprocess", ["none", "rescale", "tf", None])
def test_a_spectrogram_reaches_the_network_as_it_is(preprocess: str | None) -> None:
    decibels = rng().uniform(-80, 0, SIDES).astype("float32")
    decibels[0, :2] = -80, 0
    found, result = reaches(decibels, preprocess)
    same(found, decibels)
    said = "floats from -80 to 0 go in as they are, without preprocessing; value_range=(low, high) makes pixels of them"
    assert said in result.notes
    assert result.provenance["preprocessing"] == "no preprocessing, as the values given are no pixels"
    low, high = np.percentile(decibels, [0.5, 99.5])
    (photo,) = result.photos
    assert photo.shown == f"shown from {low:.4g} to {high:.4g}"
    assert np.abs(photo.pixels[..., 0] - np.clip((decibels - low) / (high - low), 0, 1) * 255).max() <= 0.51


@pytest.mark.parametrize("preprocess", ["torch", "caffe", "rescale", None])
def test_standardized_values_reach_the_network_as_they_are(preprocess: str | None) -> None:
    values = rng().normal(size=(3, *SIDES, 3)).astype("float32")
    same(reaches(values, preprocess, 3)[0], values)
    same(reaches(list(values), preprocess, 3)[0], values)
    same(reaches(values * 1000, preprocess, 3)[0], values * 1000)


@pytest.mark.parametrize("mode", list(MODES))
def test_floats_within_0_and_1_are_pixels(mode: str) -> None:
    values = rng().random((2, *SIDES, 3)).astype("float32")
    found, result = reaches(values, mode, 3)
    np.testing.assert_allclose(found, MODES[mode](values * np.float32(255)), rtol=1e-5, atol=1e-4)
    assert any(note.startswith("floats from") and "taken as pixels of 0 to 1" in note for note in result.notes)
    same(reaches(values, mode, 3, "network")[0], values)


@pytest.mark.parametrize("mode", [*MODES, None])
def test_floats_of_0_to_255_are_pixels_or_not_and_only_the_caller_knows(mode: str | None) -> None:
    values = rng().uniform(0, 255, (*SIDES, 3)).astype("float32")
    if mode == "none":
        same(reaches(values, mode, 3)[0], values)
    else:
        with pytest.raises(ImageError, match=r"value_range=\(0, 255\) for pixels, or value_range=\"network\""):
            reaches(values, mode, 3)
    if mode:
        expected = MODES[mode](values[None])
        np.testing.assert_allclose(reaches(values, mode, 3, (0, 255))[0], expected, rtol=1e-5, atol=1e-4)
    same(reaches(values, mode, 3, "network")[0], values)


@pytest.mark.parametrize("kind", ["int8", "int16", "uint16", "int32", "int64", "uint64"])
def test_integers_need_a_range_which_is_mapped_to_0_and_255(kind: str) -> None:
    values = rng().integers(0, 100, SIDES).astype(kind)
    values[0, :3] = 0, 100, 50
    with pytest.raises(ImageError) as caught:
        reaches(values, "none")
    limits = np.iinfo(kind)
    for word in (f"{kind} values", "value_range=(low, high)", "from 0 to 100", f"from {limits.min} to {limits.max}"):
        assert word in str(caught.value)
    for low, high in ((0, 100), (-50, 150), (20, 60)):  # what lies outside is not clipped
        exact = (values.astype("float64") - low) * 255 / (high - low)
        found, result = reaches(values, "none", value_range=(low, high))
        same(found, exact.astype("float32"))
        np.testing.assert_array_equal(
            result.photos[0].pixels[..., 0], np.clip(np.rint(exact.astype("float32")), 0, 255)
        )
        assert f"values of {low} to {high} taken as pixels of 0 to 255, as value_range says" in result.notes
    same(reaches(values, "rescale", value_range=(0, 100))[0], values / 100)
    same(reaches(values, "rescale", value_range="network")[0], values)


def test_ct_numbers_of_16_bits_within_a_window() -> None:
    """Hounsfield units: -1000 is air, and black; 400 is bone, and white; metal at 3000 is whiter than white."""
    values = np.full(SIDES, -1000, "int16")
    values[0, :4] = 400, -300, 0, 3000
    found, _ = reaches(values, "rescale", value_range=(-1000, 400))
    np.testing.assert_allclose(found[0, 0, :5, 0], [1, 0.5, 1000 / 1400, 4000 / 1400, 0], atol=1e-6)


def test_one_pixel_changes_nothing_but_itself() -> None:
    """An array of 256 where 255 was: all others had become 255 / 65535 of what they were."""
    for kind in ("uint16", "float32"):
        before = rng().integers(0, 256, SIDES).astype(kind)
        after = before.copy()
        after[3, 4] = 256
        first, second = (reaches(array, "none", value_range=(0, 255))[0] for array in (before, after))
        changed = first != second
        assert changed.sum() == 1
        assert changed[0, 3, 4, 0]
        assert second[0, 3, 4, 0] == 256
    same(reaches(before, "none")[0], before)
    same(reaches(after, "none")[0], after)


def test_bools_and_bytes_are_what_their_type_says() -> None:
    mask = rng().random(SIDES) > 0.5
    same(reaches(mask, "rescale")[0], mask.astype("float32"))
    for top in (1, 100, 255):
        bytes_ = rng().integers(0, top, SIDES, "uint8", endpoint=True)
        same(reaches(bytes_, "rescale")[0], bytes_ / 255)


def test_images_of_one_kind_are_treated_alike_and_others_are_named() -> None:
    """The first is within 0 and 1 alone, and is no picture beside the second."""
    inside, outside = rng().random(SIDES).astype("float32"), rng().normal(size=SIDES).astype("float32")
    for together in ([inside, outside], np.stack([inside, outside])[..., None]):
        found, result = reaches(together, "rescale")
        same(found, np.stack([inside, outside]))
        assert all(photo.shown for photo in result.photos)
    bytes_ = rng().integers(0, 256, SIDES, "uint8")
    found, result = reaches([outside, bytes_, inside], "tf")
    same(found, np.stack([outside, bytes_ / 127.5 - 1, inside]))
    assert result.provenance["preprocessing"].startswith("tf")
    assert any(note.startswith("image, image-3: floats from") for note in result.notes)
    with pytest.raises(ImageError, match=r"floats from 0\.\d+ to \S+ can be pixels of 0 to 255"):
        reaches([inside, np.abs(outside) * 100], "tf")


def test_preprocessing_is_guessed_from_pixels_alone() -> None:
    network = convlens.load(plain(3))
    photo = rng().integers(0, 256, (*SIDES, 3), "uint8")
    alone = convlens.activations(network, photo, "same")
    values = rng().normal(size=(*SIDES, 3)).astype("float32")
    both = convlens.activations(network, [values, photo], "same")
    assert both.provenance["preprocessing"] == alone.provenance["preprocessing"]
    same(both["same"], np.stack([values, alone["same"][0]]))
    assert convlens.activations(network, values, "same").provenance["preprocessing"].startswith("no preprocessing")


def test_arrays_of_many_channels_go_in_as_they_are() -> None:
    for values in (rng().random((*SIDES, 5)), rng().integers(0, 9000, (*SIDES, 5), "uint16")):
        for mode in ("none", None):
            same(reaches(values, mode, 5)[0], values.astype("float32"))
        with pytest.raises(ImageError, match=r"of 5 channels .* may be for the network's preprocessing or not"):
            reaches(values, "rescale", 5)
        same(reaches(values, "rescale", 5, "network")[0], values.astype("float32"))
        same(reaches(values, lambda x: x * 2, 5, (0, 255))[0], values.astype("float32") * 2)
    bytes_ = rng().integers(0, 256, (*SIDES, 5), "uint8")
    same(reaches(bytes_, "rescale", 5)[0], bytes_ / 255)


def test_a_float_tiff_reaches_the_network_unclipped_and_a_scan_at_its_depth(tmp_path: Path) -> None:
    values = rng().normal(0, 300, SIDES).astype("float32")
    tifffile.imwrite(tmp_path / "a.tif", values)
    same(reaches(tmp_path / "a.tif", "rescale")[0], values)
    scan = rng().integers(0, 4096, SIDES, "uint16")
    Image.fromarray(scan).save(tmp_path / "scan.png")
    found, result = reaches(tmp_path / "scan.png", "rescale")
    same(found, scan / 65535)
    assert any(note.startswith("scan: nothing in it reaches a quarter of 65535") for note in result.notes)
    found, result = reaches(tmp_path / "scan.png", "rescale", value_range=(0, 4095))
    same(found, scan / 4095)
    assert not any("quarter" in note for note in result.notes)


@pytest.mark.parametrize("wrong", [3, (1,), (5, 5), (7, 2), (0, float("nan")), "pixels", "0,1", (0, 1, 2)])
def test_a_value_range_is_two_numbers(wrong: Any) -> None:
    with pytest.raises(OptionError, match=r"value range .*: expected two numbers, the lower first"):
        reaches(np.zeros(SIDES, "int16"), "none", value_range=wrong)


def test_a_value_range_that_nothing_needs_is_a_mistake(tmp_path: Path) -> None:
    Image.fromarray(rng().integers(0, 256, SIDES, "uint8")).save(tmp_path / "a.png")
    for given in (tmp_path / "a.png", Image.open(tmp_path / "a.png").convert("RGB"), np.ones(SIDES, bool)):
        with pytest.raises(ImageError, match="value_range is for arrays and for files of more than 8 bits"):
            reaches(given, "none", value_range=(0, 100))
    depth = rng().integers(0, 5000, SIDES, "int32")
    found, result = reaches([tmp_path / "a.png", depth], "rescale", value_range=(0, 5000))
    same(found[1], depth / 5000)
    assert "image: values of 0 to 5000 taken as pixels of 0 to 255, as value_range says" in result.notes


def two(inputs: Callable[[Any, Any], Any]) -> keras.Model:
    """A network of an image and two numbers, which its outputs are."""
    image, age = keras.Input((*SIDES, 3), name="photo"), keras.Input((2,), name="age")
    seen = keras.layers.GlobalAveragePooling2D()(identity(3, "same")(image))
    none = keras.layers.Dense(2, kernel_initializer="zeros", use_bias=False)(seen)
    return keras.Model(inputs(image, age), keras.layers.Add(name="numbers")([none, age]))


ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "list": lambda image, age: [age, image],
    "tuple": lambda image, age: (image, age),
    "dict": lambda image, age: {"photo": image, "age": age},
}


class ByName(keras.Model):
    """A model of one's own that takes a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.seen, self.numbers = identity(3, "same"), keras.layers.Identity(name="numbers")

    def call(self, given: Any) -> Any:
        seen = keras.ops.mean(self.seen(given["photo"]), (1, 2))[:, :2]
        return self.numbers(given["age"] + 0 * seen)


def models() -> dict[str, tuple[Any, dict[str, Any], dict[str, str]]]:
    """The model, how it is loaded, and the names of its layers."""
    names = {"same": "same", "numbers": "numbers"}
    found: dict[str, tuple[Any, dict[str, Any], dict[str, str]]] = {
        name: (two(order), {}, names) for name, order in ORDERS.items()
    }
    shapes = {"photo": (*SIDES, 3), "age": (2,)}
    found["subclassed"] = ByName(), {"input_shape": shapes}, names
    called = ByName()
    called({"age": np.zeros((1, 2), "float32"), "photo": np.zeros((1, *SIDES, 3), "float32")})
    found["subclassed and called"] = called, {}, names
    if keras.backend.backend() == "torch":
        found["module"] = module(), {"input_shape": [(*SIDES, 3), (2,)]}, names
        found["module by name"] = module(), {"input_shape": shapes}, names
    return found


def module() -> Any:
    import torch
    from torch import nn

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.same, self.numbers = nn.Conv2d(3, 3, 1, bias=False), nn.Identity()
            with torch.no_grad():
                self.same.weight.copy_(torch.eye(3)[..., None, None])

        def forward(self, photo: Any, age: Any) -> Any:
            return self.numbers(age + 0 * self.same(photo).mean((2, 3))[:, :2])

    return Both()


KINDS = [*ORDERS, "subclassed", "subclassed and called"]
KINDS += ["module", "module by name"] if keras.backend.backend() == "torch" else []


@pytest.mark.parametrize("kind", KINDS)
def test_samples_of_two_inputs_by_order_and_by_name(kind: str, tmp_path: Path) -> None:
    model, given, names = models()[kind]
    network = convlens.load(model, preprocess="rescale", **given)
    photos = rng().integers(0, 256, (2, *SIDES, 3), "uint8")
    ages = np.array([[3, 4], [50, 60]])
    Image.fromarray(photos[0]).save(tmp_path / "a.png")
    np.save(tmp_path / "age.npy", ages[0])
    by_name = [{"age": ages[0], "photo": photos[0]}, {"photo": photos[1], "age": ages[1]}]
    of_files = [{"age": tmp_path / "age.npy", "photo": str(tmp_path / "a.png")}, by_name[1]]
    order = [spec.name for spec in network.inputs]
    by_order = [tuple(sample[name] for name in order) for sample in by_name]
    for samples in (by_name, of_files, by_order):
        found = convlens.activations(network, samples, list(names.values()))
        same(found[names["same"]], photos / np.float32(255))
        same(found[names["numbers"]], ages.astype("float32"))
    assert len(convlens.heatmap(network, by_name, 0, "same").status) == 2
    assert found.photos[0].pixels.shape == (*SIDES, 3)


def test_samples_that_lack_an_input_name_all_with_their_shapes() -> None:
    network = convlens.load(two(ORDERS["list"]), preprocess="none")
    image, age = np.zeros((*SIDES, 3), "uint8"), np.zeros(2)
    expected = "takes 2 inputs, age (2), photo (12 x 16 x 3): a sample is a tuple in this order or a dict by name"
    wrong = {
        "a sample that is none of these": image,
        "1 of them": (image,),
        "3 of them": (age, image, image),
        "those named photo": {"photo": image},
        "those named photo, sex": {"photo": image, "sex": age},
    }
    for received, sample in wrong.items():
        with pytest.raises(ImageError) as caught:
            convlens.activations(network, [sample])
        assert f"{expected}; received {received}" in str(caught.value)
    with pytest.raises(ImageError, match=r"input age \(2\) was given an array of shape \(3,\)"):
        convlens.activations(network, (np.zeros(3), image))
    one = convlens.load(plain(3), preprocess="none")
    (name,) = (spec.name for spec in one.inputs)
    assert convlens.activations(one, [{name: image}, {name: image}])["same"].shape == (2, *SIDES, 3)
    with pytest.raises(ImageError, match=r"takes 1 input, .*; received those named image"):
        convlens.activations(one, {"image": image})


def test_every_input_of_images_is_judged_by_itself() -> None:
    left, right = keras.Input((*SIDES, 3), name="left"), keras.Input((*SIDES, 1), name="right")
    seen = [
        keras.layers.GlobalAveragePooling2D()(identity(n, name)(x)) for n, name, x in ((3, "a", left), (1, "b", right))
    ]
    model = keras.Model([left, right], keras.layers.Dense(2)(keras.layers.Concatenate()(seen)))
    network = convlens.load(model, preprocess="rescale")
    photo, depth = rng().integers(0, 256, (*SIDES, 3), "uint8"), rng().normal(size=SIDES).astype("float32")
    found = convlens.activations(network, {"left": photo, "right": depth}, ["a", "b"])
    same(found["a"], photo / np.float32(255))
    same(found["b"], depth)
    assert any(note.startswith("input right: floats from") for note in found.notes)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    main([*arguments, "--json", "--overwrite"])
    return json.loads(capsys.readouterr().out)


def test_the_command_line_takes_samples_of_two_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    two(ORDERS["dict"]).save("model.keras")
    for name in ("a.png", "b,c.png", "photo=d.png"):
        Image.fromarray(rng().integers(0, 256, (*SIDES, 3), "uint8")).save(name)
    np.save("age.npy", np.array([3.0, 4.0]))
    np.save("old.npy", np.array([50.0, 60.0]))
    given = ["age.npy,a.png", "old.npy,b,c.png", "photo=a.png,age=old.npy", "age=age.npy,photo=photo=d.png"]
    found = printed(capsys, "activations", "model.keras", *given, "--preprocess", "none", "-l", "numbers")
    assert found["images"] == ["a", "b,c", "a-2", "photo=d"]
    numbers = [image["mean"] for image in found["layers"]["numbers"]["images"]]
    assert numbers == [3.5, 55, 55, 3.5]
    made = printed(capsys, "heatmap", "model.keras", "age.npy,a.png", "--preprocess", "none", "-l", "same")
    assert made["images"] == ["a"]
    with pytest.raises(SystemExit) as caught:
        main(["activations", "model.keras", "a.png", "--preprocess", "none", "--overwrite"])
    said = capsys.readouterr().err
    assert caught.value.code == 2
    assert "takes 2 inputs, age (2), photo (12 x 16 x 3)" in " ".join(said.split())


def test_the_command_line_takes_a_value_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    plain().save("model.keras")
    values = rng().integers(-1000, 400, SIDES, "int16")
    np.save("a.npy", values)
    start = ("activations", "model.keras", "a.npy", "--preprocess", "rescale", "-l", "same")
    for text, expected in (("-1000,400", (values + 1000.0) / 1400), ("network", values.astype("float64"))):
        found = printed(capsys, *start, "--value-range", text)
        assert found["layers"]["same"]["images"][0]["mean"] == pytest.approx(expected.mean(), rel=1e-5)
        assert any("as value_range says" in note for note in found["notes"])
    for text in ("5", "a,b", "5,1"):
        with pytest.raises(SystemExit) as caught:
            main([*start, "--value-range", text, "--overwrite"])
        assert caught.value.code == 2
        assert "range" in capsys.readouterr().err
    page = printed(capsys, "report", "model.keras", "a.npy", "--preprocess", "rescale", "--value-range", "-1000,400")
    assert any("values of -1000 to 400 taken as pixels" in note for note in page["notes"])
