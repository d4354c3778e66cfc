"""Images as people have them. The oracles are pixels known in advance, the formulas written out, and Pillow itself."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convlens.data.images import Photo, files, fit, read_image, read_images, settled
from convlens.errors import ImageError

RED, WHITE, GREEN, BLUE = (255, 0, 0), (255, 255, 255), (0, 255, 0), (0, 0, 255)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype="uint8")


def quarters(mode: str = "RGB") -> Image.Image:
    """Red, green over blue, white; 8 high and 12 wide."""
    image = Image.new("RGB", (12, 8), WHITE)
    image.paste(RED, (0, 0, 6, 4))
    image.paste(GREEN, (6, 0, 12, 4))
    image.paste(BLUE, (0, 4, 6, 8))
    return image.convert(mode)


def corners(pixels: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(int(value) for value in pixels[y, x]) for y in (0, -1) for x in (0, -1)]


@pytest.mark.parametrize(
    ("mode", "ending"),
    [("RGB", "png"), ("P", "png"), ("P", "gif"), ("RGBA", "png"), ("RGB", "bmp"), ("RGB", "tif"), ("CMYK", "tif")],
)
def test_every_colour_mode_gives_the_same_rgb(tmp_path: Path, mode: str, ending: str) -> None:
    path = tmp_path / f"quarters.{ending}"
    quarters(mode).save(path)
    photo = read_image(path)
    assert corners(photo.pixels) == [RED, GREEN, BLUE, WHITE]
    assert (photo.size, photo.name, photo.path, photo.note) == ((8, 12), "quarters", str(path), None)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    """The array as a camera held that way would store it, from the meaning of the tag in the EXIF standard."""
    upright = np.asarray(quarters())
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright.swapaxes(0, 1)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }[orientation]
    tags = Image.Exif()
    tags[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=tags)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, upright)


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    half = np.zeros((1, 3, 4), "uint8")
    half[0, :, 0], half[0, :, 3] = 200, (0, 128, 255)
    expected = [[round(200 * a + 255 * (1 - a)), round(255 * (1 - a)), round(255 * (1 - a))] for a in (0, 128 / 255, 1)]
    Image.fromarray(half).save(tmp_path / "half.png")
    for source in (tmp_path / "half.png", Image.fromarray(half), half, half / 255):
        assert np.abs(read_image(source).pixels[0].astype(int) - expected).max() <= 1
        assert read_image(source).shown is None
    indexed = Image.new("P", (2, 1))
    indexed.putpalette([*RED, *BLUE])
    indexed.putpixel((1, 0), 1)
    indexed.save(tmp_path / "indexed.png", transparency=0)
    assert [tuple(p) for p in read_image(tmp_path / "indexed.png").pixels[0].tolist()] == [WHITE, BLUE]


def test_arrays_of_every_layout_and_type() -> None:
    rgb = noise(5, 7, 3)
    np.testing.assert_array_equal(read_image(rgb).pixels, rgb)
    np.testing.assert_array_equal(read_image(rgb.transpose(2, 0, 1)).pixels, rgb)
    np.testing.assert_array_equal(read_image(rgb / 255).pixels, rgb)
    np.testing.assert_array_equal(read_image(rgb.astype("float64"), (0, 255)).pixels, rgb)
    np.testing.assert_array_equal(read_image(rgb.astype("int64"), (0, 255)).pixels, rgb)
    np.testing.assert_array_equal(read_image(rgb.astype("uint16") * 257, (0, 65535)).pixels, rgb)
    np.testing.assert_array_equal(read_image(rgb > 127).pixels, np.where(rgb > 127, 255, 0))
    for grey in (rgb[..., 0], rgb[..., :1], rgb[None, ..., 0]):
        np.testing.assert_array_equal(read_image(grey).pixels, rgb[..., :1].repeat(3, -1))


def test_broken_numbers_do_not_stop_an_array_from_being_shown() -> None:
    blank = read_image(np.full((2, 2, 3), np.nan))
    assert np.ptp(blank.pixels) == 0
    assert blank.shown == "shown as grey: no value is a finite number"
    assert read_image(np.array([[0.0, 0.5, np.nan, np.inf]])).pixels[0, :, 0].tolist() == [0, 128, 0, 255]
    assert read_image(np.array([[-1.0, 1.0, np.nan, np.inf, -np.inf]])).pixels[0, :, 0].tolist() == [0, 255, 0, 255, 0]


def test_data_of_many_channels_is_kept_and_shown_in_false_colours() -> None:
    data = np.random.default_rng(0).normal(size=(6, 5, 7)).astype("float32")
    photo = read_image(data)
    np.testing.assert_array_equal(fit(photo, None, None, 7), data)
    low, high = np.percentile(data[..., :3], [0.5, 99.5])
    assert np.abs(photo.pixels - np.clip((data[..., :3] - low) / (high - low) * 255, 0, 255)).max() <= 0.51
    assert photo.shown == f"channels 0 to 2 of 7 shown from {low:.4g} to {high:.4g}"
    assert read_image(np.full((2, 2, 5), 3.0)).shown == "channels 0 to 2 of 5 shown as grey: every value is 3"


def test_four_channels_are_data_for_a_network_that_takes_four() -> None:
    data = noise(6, 5, 4)
    share = data[..., 3:] / 255
    on_white = data[..., :3] * share + 255 * (1 - share)
    for given in (data, data / np.float32(255)):
        (photo,), _ = settled([read_image(given)], None)
        np.testing.assert_allclose(fit(photo, 6, 5, 4), data, rtol=1e-6)
        np.testing.assert_allclose(fit(photo, 6, 5, 3), on_white, atol=1e-4)
        assert np.abs(photo.pixels - on_white).max() <= 0.51


def slow_bilinear(row: np.ndarray, count: int) -> np.ndarray:
    """Bilinear resampling of one line with a triangle as wide as a step of the smaller grid."""
    step = len(row) / count
    reach = max(step, 1.0)
    out = []
    for number in range(count):
        centre = (number + 0.5) * step
        weights = np.array([max(0.0, 1 - abs(at + 0.5 - centre) / reach) for at in range(len(row))])
        out.append((weights * row).sum() / weights.sum())
    return np.array(out)


@pytest.mark.parametrize("count", [5, 9, 23])
def test_fit_is_bilinear(count: int) -> None:
    row = noise(9)
    found = fit(read_image(np.tile(row, (4, 1))), 4, count, 3)
    assert found.dtype == np.float32
    assert np.abs(found - slow_bilinear(row, count)[None, :, None]).max() <= 1  # bytes are rounded on the way
    exact = row.astype("float32") / 7
    found = fit(read_image(np.tile(exact, (4, 1))), 4, count, 1)
    np.testing.assert_allclose(found[..., 0], np.tile(slow_bilinear(exact, count), (4, 1)), atol=1e-4)


def test_fit_changes_between_colour_and_grey() -> None:
    colours = noise(4, 5, 3)
    grey = colours @ np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
    assert np.abs(fit(read_image(colours), None, None, 1)[..., 0] - grey).max() <= 1
    np.testing.assert_allclose(fit(read_image(colours * 1.0, (0, 255)), None, None, 1)[..., 0], grey, rtol=1e-6)
    values = read_image(colours * -1.0)  # a grey of what are no colours means nothing
    with pytest.raises(ImageError, match="no pixels in 3 channels, the network takes 1"):
        fit(values, None, None, 1)
    single = noise(4, 5).astype("float32") / 3
    np.testing.assert_allclose(fit(read_image(single), 4, 5, 3), single[..., None].repeat(3, -1), rtol=1e-6)


@pytest.mark.parametrize(("shape", "channels"), [((6, 6, 7), 3), ((6, 6, 3), 7), ((6, 6), 2), ((6, 6, 4), 5)])
def test_fit_says_which_channels_are_wrong(shape: tuple[int, ...], channels: int) -> None:
    with pytest.raises(ImageError) as caught:
        fit(read_image(noise(*shape), (0, 255)), 4, 4, channels)
    assert f"takes {channels}" in str(caught.value)
    assert f"has {shape[2] if len(shape) == 3 else 1} channels" in str(caught.value)


def bad_files(folder: Path) -> dict[str, str]:
    """File name -> a word of what is wrong with it."""
    Image.fromarray(noise(60, 80, 3)).save(folder / "whole.jpg")
    Image.fromarray(noise(60, 80, 3)).save(folder / "whole.png")
    for ending in ("jpg", "png"):
        content = (folder / f"whole.{ending}").read_bytes()
        (folder / f"short.{ending}").write_bytes(content[: len(content) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("no image")
    (folder / "text.npy").write_text("no array")
    np.save(folder / "objects.npy", np.array([{}]), allow_pickle=True)
    np.save(folder / "line.npy", np.zeros(4))
    (folder / "folder.jpg").mkdir()
    return {
        "short.jpg": "cut short", "short.png": "cut short", "empty.jpg": "0 bytes", "text.jpg": "not an image",
        "text.npy": "no array", "objects.npy": "no array", "line.npy": "expected an array", "folder.jpg": "folder",
        "missing.jpg": "no such image", "x" * 5000: "no such image",
    }  # fmt: skip


def test_bad_files_are_refused_in_one_line(tmp_path: Path) -> None:
    for name, word in bad_files(tmp_path).items():
        with pytest.raises(ImageError) as caught:
            read_image(tmp_path / name)
        assert word in str(caught.value)
        assert str(tmp_path / name) in str(caught.value)
        if name != "folder.jpg":
            with pytest.raises(ImageError):
                read_images(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_damaged_pillow_image_is_refused_too(tmp_path: Path) -> None:
    bad_files(tmp_path)
    with Image.open(tmp_path / "short.png") as image, pytest.raises(ImageError, match="cut short"):
        read_image(image)


@pytest.mark.parametrize(
    "source",
    [
        *(None, object(), {"a": 1}, np.zeros((0, 3, 3)), np.zeros(3), np.zeros((1, 2, 3, 4, 5))),
        *(
            [[1, 2], [3, 4]],
            ((0.5,),),
            np.zeros((4, 4), complex),
            np.array([["a", "b"]]),
            np.zeros((4, 4), "datetime64[s]"),
        ),
    ],
)
def test_what_is_no_image_is_refused(source: object) -> None:
    with pytest.raises(ImageError, match="expected"):
        read_image(source)
    with pytest.raises(ImageError, match="expected"):
        read_images([source])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_locked_file_is_named(tmp_path: Path) -> None:
    quarters().save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(ImageError, match="permission denied"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "I;16", "RGBA", "LA", "CMYK", "F"])
def test_large_images_are_reduced_to_block_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setattr(files, "LARGEST", 1000)
    image = Image.fromarray(np.where(np.indices((90, 120)).sum(0) % 2, 255, 0).astype("uint8"))
    image = Image.fromarray(np.asarray(image).astype("uint16") * 257) if mode == "I;16" else image.convert(mode)
    image.save(tmp_path / "large.tif" if mode not in ("P", "1") else tmp_path / "large.png")
    photo = read_image(next(tmp_path.iterdir()), (0, 255) if mode == "F" else None)
    assert photo.size == (23, 30) or photo.size == (22, 30)  # by 4, and 90 is no multiple of it
    assert photo.note == f"reduced from 120x90 to {photo.size[1]}x{photo.size[0]} pixels"
    assert np.abs(photo.pixels[:22].astype(int) - 127.5).max() <= 2


def test_large_jpegs_are_bounded_and_upright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST", 3000)
    tags = Image.Exif()
    tags[0x0112] = 6  # the camera was turned: what is stored at the left is the top
    quarters().resize((240, 160), Image.Resampling.NEAREST).save(tmp_path / "a.jpg", exif=tags, quality=95)
    photo = read_image(tmp_path / "a.jpg")
    tall, wide = photo.size
    assert tall * wide <= 3000
    assert tall / wide == pytest.approx(240 / 160, rel=0.05)
    expected = np.array([BLUE, RED, WHITE, GREEN])
    assert np.abs(np.array(corners(photo.pixels)) - expected).max() < 30


def test_enormous_images_are_refused_without_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    quarters().save(tmp_path / "a.png")
    quarters().save(tmp_path / "a.jpg")
    monkeypatch.setattr(files, "REFUSED", 90)
    with pytest.raises(ImageError, match="12x8 pixels"):
        read_image(tmp_path / "a.png")
    assert read_image(tmp_path / "a.jpg").size == (8, 12)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_pillows_own_limit_does_not_leak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quarters().save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "a.png").size == (8, 12)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_a_tensor_or_an_array_of_images_is_a_list_of_them() -> None:
    for given in (noise(2, 4, 5, 3), noise(2, 4, 5, 3) / 255):
        found = read_images(given)
        assert [photo.name for photo in found] == ["image", "image-2"]
        np.testing.assert_array_equal([photo.pixels for photo in found], noise(2, 4, 5, 3))
    first = noise(2, 4, 5, 3).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal([photo.pixels for photo in read_images(first)], noise(2, 4, 5, 3))


def test_folders_are_searched_and_names_kept_apart(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "C.PNG"):
        quarters().save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("none")
    assert [photo.name for photo in read_images(tmp_path)] == ["C", "a", "b"]
    same = [tmp_path / "a.jpg", tmp_path / "a.jpg", Photo("a-2", noise(2, 2, 3)), Photo("A", noise(2, 2, 3))]
    names = [photo.name for photo in read_images(same)]
    assert len({name.lower() for name in names}) == 4
    assert names[:2] == ["a", "a-2"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="holds no images"):
        read_images([tmp_path / "empty"])


def test_a_real_photo_is_what_pillow_says(data: Path) -> None:
    path = data / "dogs_vs_cats" / "test" / "cats" / "cat.1700.jpg"
    with Image.open(path) as image:
        expected = image.convert("RGB").resize((150, 150), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(fit(read_image(path), 150, 150, 3), np.asarray(expected, "float32"))
