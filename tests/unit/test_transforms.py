"""Transforms of one picture as preprocessing. The classes here have torchvision's names and attributes, and do what
torchvision documents; tests/integration/test_torchvision.py has the real ones."""

from typing import Any

import numpy as np
import pytest

from convlens.data.preprocessing import preprocessing
from convlens.errors import PreprocessingError
from convlens.loading.transforms import Pipeline, categories, read_transforms

torch = pytest.importorskip("torch")
PIXELS = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")


class Compose:
    def __init__(self, transforms: list[Any]) -> None:
        self.transforms = transforms

    def __call__(self, picture: Any) -> Any:
        raise AssertionError("its parts are called one by one")


class Resize:
    def __init__(self, size: Any) -> None:
        self.size = size

    def __call__(self, picture: Any) -> Any:
        raise AssertionError("sizes are convlens's own")


class CenterCrop(Resize):
    pass


class RandomResizedCrop(Resize):
    pass


class ToTensor:
    def __call__(self, picture: Any) -> Any:
        array = np.asarray(picture)
        assert array.dtype == np.uint8
        return torch.from_numpy(np.atleast_3d(array).copy()).permute(2, 0, 1) / 255


class Normalize:
    def __init__(self, mean: Any, std: Any) -> None:
        self.mean, self.std = (torch.tensor(values)[:, None, None] for values in (mean, std))

    def __call__(self, tensor: Any) -> Any:
        return (tensor - self.mean) / self.std


class ToFloat:
    """Takes tensors alone, as ConvertImageDtype does."""

    def __call__(self, tensor: Any) -> Any:
        return tensor.to(torch.float32) / 255


class Preset:
    crop_size, resize_size = (224,), (256,)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def __call__(self, picture: Any) -> Any:
        raise AssertionError("its numbers are read")


class Weights:
    meta = {"categories": ["cat", "dog"]}  # noqa: RUF012

    def transforms(self) -> Any:
        return Preset()


def test_normalize_gives_the_affine_form_and_the_sizes_are_read() -> None:
    mean, deviation = [0.1, 0.2, 0.3], [0.5, 0.25, 1.0]
    found = read_transforms(
        Compose([Resize(256), Compose([CenterCrop((96, 80)), ToTensor()]), Normalize(mean, deviation)])
    )
    assert found is not None
    assert found.size == (96, 80)
    made = preprocessing(found.preprocessing, "given")
    assert made.name == "ToTensor, Normalize"
    expected = (PIXELS / 255 - np.array(mean)) / np.array(deviation)
    np.testing.assert_allclose(made(PIXELS), expected, atol=1e-5)
    matrix, offset = made.affine(3)
    np.testing.assert_allclose(PIXELS @ matrix.T + offset, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("transforms", "name"),
    [
        ([ToTensor()], "rescale"),
        (Compose([ToFloat(), Normalize([0.5] * 3, [0.5] * 3)]), "tf"),
        (Compose([ToTensor(), Normalize(Preset.mean, Preset.std)]), "torch"),
        (Preset(), "torch"),
        (Compose([Resize(64)]), "none"),
        (
            Compose(
                [
                    ToTensor(),
                    lambda tensor: tensor.flip(0) * 255 - torch.tensor([103.939, 116.779, 123.68])[:, None, None],
                ]
            ),
            "caffe",
        ),
    ],
)
def test_what_has_a_name_gets_it(transforms: Any, name: str) -> None:
    found = read_transforms(transforms)
    assert found is not None
    assert found.preprocessing == name


def test_weights_tell_size_and_class_names_too() -> None:
    found = read_transforms(Weights())
    assert found is not None
    assert (found.preprocessing, found.size, found.labels) == ("torch", (224, 224), ("cat", "dog"))
    assert categories(Weights()) == ("cat", "dog")
    assert categories(["cat", "dog"]) is None


def test_grey_and_other_channels() -> None:
    pipeline = Pipeline([ToTensor(), Normalize([0.1307], [0.3081])])
    np.testing.assert_allclose(pipeline(PIXELS[..., :1]), (PIXELS[..., :1] / 255 - 0.1307) / 0.3081, atol=1e-5)
    many = np.repeat(PIXELS, 4, -1)
    np.testing.assert_allclose(Pipeline([ToFloat()])(many), many / 255, atol=1e-6)


def test_what_is_not_affine_is_computed_image_by_image_in_grey_levels() -> None:
    found = read_transforms(Compose([ToTensor(), lambda tensor: tensor**2]))
    assert found is not None
    made = preprocessing(found.preprocessing, "given")
    np.testing.assert_allclose(made(PIXELS), (PIXELS.round() / 255) ** 2, atol=1e-6)
    with pytest.raises(PreprocessingError, match="not the same affine function"):
        made.affine(3)


@pytest.mark.parametrize(
    ("transforms", "match"),
    [
        (Compose([RandomResizedCrop(224), ToTensor()]), "RandomResizedCrop is random"),
        ([Normalize([0.5], [0.5])], "Normalize comes first"),
        (type("Resnet_Weights", (), {"DEFAULT": 1}), r"one of its members, such as \.DEFAULT"),
    ],
)
def test_what_says_too_little_is_an_error(transforms: Any, match: str) -> None:
    with pytest.raises(PreprocessingError, match=match):
        read_transforms(transforms)


def test_what_cannot_be_wrapped_is_an_error_that_says_why() -> None:
    grey = Pipeline([ToTensor(), lambda tensor: tensor.mean(0, keepdim=True)])
    with pytest.raises(PreprocessingError, match=r"comes out as \(16, 16, 1\).*give a function of arrays"):
        grey(PIXELS)


def test_functions_of_the_user_are_no_transforms_and_fail_in_one_line() -> None:
    assert read_transforms(lambda images: images / 255) is None
    assert read_transforms("torch") is None
    with pytest.raises(PreprocessingError, match=r"fails on float32 \(2, 8, 8, 3\).*permute"):
        preprocessing(lambda images: images.permute(0, 3, 1, 2), "given")(PIXELS)
    with pytest.raises(PreprocessingError, match=r"makes \(2, 3, 8, 8\) of \(2, 8, 8, 3\)"):
        preprocessing(lambda images: images.transpose(0, 3, 1, 2), "given")(PIXELS)
