"""Files of more than 8 bits a channel. The oracles are the numbers written into them by the formats' rules."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from convlens.data.images import PIXELS, UNDECIDED, files, fit, read_image, read_images
from convlens.data.images.files import from_path
from convlens.errors import ImageError

HIGH = 65535


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def deep(*shape: int) -> np.ndarray:
    return rng().integers(0, HIGH + 1, shape, dtype="uint16")


def pixels(values: np.ndarray, white: float, black: float = 0) -> np.ndarray:
    """The values as 0-255, (height, width, channels)."""
    exact = (values.astype("float64") - black) * 255 / (white - black)
    return exact.astype("float32").reshape(*values.shape[:2], -1)


def png(path: Path, values: np.ndarray, clear: tuple[int, ...] = (), orientation: int = 0) -> Path:
    """A PNG file of 16 bits a channel, as the specification says: its lines go through the filters 0 to 4 in turn."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    step, before, packed = channels * 2, np.zeros(width * channels * 2, "int64"), b""
    for number, row in enumerate(values.astype(">u2")):
        line = np.frombuffer(row.tobytes(), "uint8").astype("int64")
        left, up = np.concatenate([np.zeros(step, "int64"), line[:-step]]), before
        corner = np.concatenate([np.zeros(step, "int64"), up[:-step]])
        base = left + up - corner
        far = [np.abs(base - one) for one in (left, up, corner)]
        paeth = np.where((far[0] <= far[1]) & (far[0] <= far[2]), left, np.where(far[1] <= far[2], up, corner))
        predicted = [0, left, up, (left + up) // 2, paeth][number % 5]
        packed += bytes([number % 5]) + ((line - predicted) % 256).astype("uint8").tobytes()
        before = line
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear)) if clear else b""]
    if orientation:
        tags = Image.Exif()
        tags[0x0112] = orientation
        parts.append(chunk(b"eXIf", tags.tobytes()[6:]))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IDAT", zlib.compress(packed)) + chunk(b"IEND", b"")
    )
    return path


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_16_bits_keeps_every_bit(tmp_path: Path, channels: int) -> None:
    values = deep(11, 13, channels)
    photo = read_image(png(tmp_path / "deep.png", values))
    expected = values if channels != 2 else values[..., [0, 0, 0, 1]]
    assert photo.unit == PIXELS
    np.testing.assert_array_equal(photo.data, pixels(expected, HIGH))
    if channels in (1, 3):
        np.testing.assert_array_equal(photo.pixels, np.broadcast_to(np.rint(values / 257), (11, 13, 3)))
        np.testing.assert_array_equal(fit(photo, None, None, channels), pixels(values, HIGH))
    else:
        share, colours = expected[..., 3:] / HIGH, expected[..., :3] / 257
        np.testing.assert_allclose(fit(photo, None, None, 3), colours * share + 255 * (1 - share), atol=1e-4)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "grey.png", "tif", "grey.tif", "zlib.tif", "8 bits.tif", "8 bits.grey.tif"])
def test_deep_files_are_upright_as_those_of_8_bits_are(tmp_path: Path, kind: str, orientation: int) -> None:
    values = deep(4, 6) if "grey" in kind else deep(4, 6, 3)
    tags = Image.Exif()
    tags[0x0112] = orientation
    Image.fromarray((values // 257).astype("uint8")).save(tmp_path / "shallow.png", exif=tags)
    expected = read_image(tmp_path / "shallow.png").pixels.astype(int)
    if kind.endswith("png"):
        png(tmp_path / kind, values, orientation=orientation)
    else:
        given: dict = {} if values.ndim == 2 else {"photometric": "rgb"}
        given |= {"compression": "zlib", "byteorder": ">"} if "zlib" in kind else {}
        stored = (values // 257).astype("uint8") if "8 bits" in kind else values
        tifffile.imwrite(tmp_path / kind, stored, extratags=[(0x0112, 3, 1, orientation, True)], **given)
    found = fit(read_image(tmp_path / kind), None, None, 3)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1


def test_a_colour_that_png_says_is_clear_lies_on_white(tmp_path: Path) -> None:
    for values in (deep(5, 6), deep(5, 6, 3)):
        values[1, 2], values[1, 3] = 300, 301  # the same but for the second byte
        clear = (300,) * (values.shape[2] if values.ndim == 3 else 1)
        found = fit(read_image(png(tmp_path / "a.png", values, clear)), None, None, 3)
        expected = np.broadcast_to(pixels(values, HIGH), (5, 6, 3)).copy()
        expected[1, 2] = 255
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_12_bit_scan_keeps_its_897_values(tmp_path: Path) -> None:
    """Of a scan whose white is 4095 in a file whose white is 65535: 17 values were left of it."""
    scan = rng().permutation(np.resize(np.linspace(100, 4000, 897).round(), 60 * 80)).reshape(60, 80).astype("uint16")
    Image.fromarray(scan).save(tmp_path / "scan.png")
    tifffile.imwrite(tmp_path / "scan.tif", scan)
    for name in ("scan.png", "scan.tif"):
        photo = read_image(tmp_path / name)
        assert len(np.unique(fit(photo, None, None, 1))) == 897
        np.testing.assert_array_equal(photo.data, pixels(scan, HIGH))
        assert photo.note == (
            "nothing in it reaches a quarter of 65535, which is white in such a file:"
            " give value_range=(low, high) if its white is another"
        )
        low, high = np.percentile(scan / 257, [0.5, 99.5])
        assert photo.shown == f"shown from {low:.4g} to {high:.4g} of 255"
        assert len(np.unique(photo.pixels)) > 200
        told = read_image(tmp_path / name, (0, 4095))
        np.testing.assert_array_equal(told.data, pixels(scan, 4095))
        np.testing.assert_array_equal(told.pixels[..., :1], np.rint(pixels(scan, 4095)))
        assert (told.note, told.shown) == (None, None)


def packed(scan: np.ndarray) -> bytes:
    """Two samples of 12 bits in three bytes."""
    first, second = scan.reshape(-1, 2).astype(int).T
    return np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], -1).astype("uint8").tobytes()


def tiff(path: Path, width: int, height: int, bits: int, strip: bytes) -> Path:
    """A TIFF file of one grey strip, little-endian, as its specification says."""
    tags = [
        (256, width),
        (257, height),
        (258, bits),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, height),
        (279, len(strip)),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + directory)
    return path


def test_a_tiff_file_of_12_bits_says_that_4095_is_white(tmp_path: Path) -> None:
    scan = rng().integers(0, 4096, (8, 10), dtype="uint16")
    photo = read_image(tiff(tmp_path / "a.tif", 10, 8, 12, packed(scan)))
    np.testing.assert_array_equal(photo.data, pixels(scan, 4095))


@pytest.mark.parametrize(
    "given", [{}, {"byteorder": ">"}, {"planarconfig": "separate"}, {"compression": "zlib", "predictor": True}]
)
def test_tiff_in_colours_of_16_bits(tmp_path: Path, given: dict) -> None:
    values = deep(9, 12, 3)
    stored = values.transpose(2, 0, 1) if "planarconfig" in given else values
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", **given)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, pixels(values, HIGH))


def test_tiff_with_white_as_zero_and_with_several_pages(tmp_path: Path) -> None:
    values = deep(9, 12)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, pixels(HIGH - values.astype(int), HIGH))
    for kind in ("uint16", "float32", "uint8"):
        tifffile.imwrite(tmp_path / "b.tif", np.stack([values, values]).astype(kind), photometric="minisblack")
        assert read_image(tmp_path / "b.tif").note == "the first of its 2 pages"


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("colours", [False, True])
def test_float_tiff_is_not_clipped_and_is_shown_in_a_window(tmp_path: Path, kind: str, colours: bool) -> None:
    values = rng().normal(0, 300, (20, 30, 3) if colours else (20, 30)).astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb" if colours else "minisblack")
    photo = read_image(tmp_path / "a.tif")
    assert photo.unit == UNDECIDED
    np.testing.assert_array_equal(photo.data, values.reshape(20, 30, -1).astype("float32"))
    low, high = np.percentile(values.astype("float32"), [0.5, 99.5])
    assert photo.shown == f"shown from {low:.4g} to {high:.4g}"
    share = (photo.data - low) / (high - low)
    assert np.abs(photo.pixels - np.clip(share, 0, 1) * 255).max() <= 0.51


@pytest.mark.parametrize("kind", ["int8", "int16", "uint32", "int32"])
def test_files_of_other_integers_need_their_range(tmp_path: Path, kind: str) -> None:
    limits = np.iinfo(kind)
    values = rng().integers(limits.min, limits.max, (6, 7), dtype=kind, endpoint=True)
    tifffile.imwrite(tmp_path / "a.tif", values)
    with pytest.raises(ImageError, match="give value_range=") as caught:
        read_image(tmp_path / "a.tif")
    for word in (tmp_path / "a.tif", kind, limits.min, limits.max, values.min(), values.max()):
        assert str(word) in str(caught.value)
    found = read_image(tmp_path / "a.tif", (limits.min, limits.max)).data
    np.testing.assert_array_equal(found, pixels(values, limits.max, limits.min))


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(("letter", "channels"), [(2, 1), (3, 3)])
def test_pgm_and_ppm_keep_all_values_to_the_greatest_that_they_name(
    tmp_path: Path, letter: int, channels: int, plain: bool
) -> None:
    values = rng().integers(0, 4096, (5, 7, channels), dtype="uint16")
    header = f"P{letter if plain else letter + 3}\n# of a camera\n7 5\n4095\n".encode()
    text = b"# and more\n" + " ".join(str(value) for value in values.ravel()).encode()
    (tmp_path / "a.ppm").write_bytes(header + (text if plain else values.astype(">u2").tobytes()))
    np.testing.assert_array_equal(read_image(tmp_path / "a.ppm").data, pixels(values, 4095))


def test_jpeg_2000_of_12_bits(tmp_path: Path) -> None:
    """Pillow writes 16 bits; the file's own words are changed to say that 12 of them count."""
    values = deep(32, 32)
    Image.fromarray(values).save(tmp_path / "a.jp2", irreversible=False)
    np.testing.assert_array_equal(read_image(tmp_path / "a.jp2").data, pixels(values, HIGH))
    content = bytearray((tmp_path / "a.jp2").read_bytes())
    sizes = content.index(b"\xff\x4f\xff\x51")
    Image.fromarray(np.zeros((4, 4, 3), "uint8")).save(tmp_path / "b.jp2")
    colours = bytearray((tmp_path / "b.jp2").read_bytes())
    start = colours.index(b"\xff\x4f\xff\x51")
    for component in range(3):
        colours[start + 42 + 3 * component] = 11
    (tmp_path / "b.jp2").write_bytes(colours)
    assert content[sizes + 42] == 15
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        with pytest.raises(ImageError, match=r"12 bits needs another library: pip install .convlens\[images\]"):
            read_image(tmp_path / "b.jp2")


def test_large_deep_files_are_reduced_to_block_means_at_their_depth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LARGEST", 200)
    values = deep(40, 40, 3)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    png(tmp_path / "b.png", values)
    for name in ("a.tif", "b.png"):
        photo = read_image(tmp_path / name)
        assert photo.note == "reduced from 40x40 to 13x13 pixels"
        means = values[:39, :39].reshape(13, 3, 13, 3, 3).mean((1, 3), dtype="float64")
        np.testing.assert_allclose(photo.data, pixels(means, HIGH), rtol=1e-6)
    monkeypatch.setattr(files, "REFUSED", 200)
    tifffile.imwrite(tmp_path / "c.tif", values.astype("float32"), photometric="rgb")  # unknown to Pillow
    for name in ("a.tif", "b.png", "c.tif"):
        with pytest.raises(ImageError, match="40x40 pixels are more than"):
            read_image(tmp_path / name)


def test_an_opened_pillow_image_is_as_deep_as_its_file(tmp_path: Path) -> None:
    values = deep(6, 7, 3)
    path = png(tmp_path / "a.png", values)
    with Image.open(path) as opened:
        photo = read_image(opened)
        np.testing.assert_array_equal(photo.data, pixels(values, HIGH))
        assert (photo.name, photo.path) == ("a", str(path))
        assert np.asarray(opened).shape == (6, 7, 3)  # still of use
    with Image.open(io.BytesIO(path.read_bytes())) as opened:
        np.testing.assert_array_equal(read_image(opened).data, pixels(values, HIGH))
    in_memory = Image.fromarray(values[..., 0])
    np.testing.assert_array_equal(read_image(in_memory).data, pixels(values[..., :1], HIGH))
    with pytest.raises(ImageError, match="int32 values do not say"):
        read_image(Image.fromarray(values[..., 0].astype("int32")))


def test_damaged_deep_files_are_refused_in_one_line(tmp_path: Path) -> None:
    values = deep(40, 40, 3)
    for number, given in enumerate(({}, {"compression": "zlib"}, {"compression": "zlib", "predictor": True})):
        tifffile.imwrite(tmp_path / f"{number}.tif", values, photometric="rgb", **given)
    png(tmp_path / "whole.png", values)
    tifffile.imwrite(tmp_path / "floats.tif", values.astype("float64"), photometric="rgb")
    for path in list(tmp_path.iterdir()):
        content = path.read_bytes()
        for share in (0.3, 0.6, 0.9):
            path.write_bytes(content[: int(len(content) * share)])
            with pytest.raises(ImageError) as caught:
                read_image(path)
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)


def test_compressions_that_need_a_library_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: object, *args: object, **kwargs: object) -> None:
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    tifffile.imwrite(tmp_path / "a.tif", deep(4, 4, 3), photometric="rgb")
    monkeypatch.setattr(tifffile.TiffPage, "asarray", missing)
    with pytest.raises(
        ImageError, match=r"a.tif: its compression needs another library: pip install .convlens\[images\]"
    ):
        read_image(tmp_path / "a.tif")


def test_arrays_in_files_are_arrays(tmp_path: Path) -> None:
    values = rng().normal(size=(5, 6)).astype("float32")
    np.save(tmp_path / "floats.npy", values)
    np.save(tmp_path / "bytes.npy", deep(5, 6, 3).astype("uint8"))
    np.save(tmp_path / "counts.npy", deep(5, 6))
    floats, bytes_ = read_images([tmp_path / "floats.npy", tmp_path / "bytes.npy"])
    np.testing.assert_array_equal(floats.data, values[..., None])
    assert (floats.unit, bytes_.unit, bytes_.data, floats.name) == (UNDECIDED, PIXELS, None, "floats")
    with pytest.raises(ImageError, match=r"counts\.npy: uint16 values do not say"):
        from_path(tmp_path / "counts.npy", None)
