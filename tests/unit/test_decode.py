"""Formats, colour, transparency, orientation, and every way a file can fail."""

import contextlib
import io
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, TiffImagePlugin

from mobilens.errors import ImageError
from mobilens.vision.decode import MAX_PIXELS
from mobilens.vision.image import decode_image, image_size

RED, WHITE = (255, 0, 0), (255, 255, 255)


def photo(height=48, width=64, seed=0):
    """Smooth colours with some detail, as a photo has."""
    y, x = np.mgrid[:height, :width] / 16
    channels = [np.sin(x + k) + np.cos(y * (1 + k / 3)) for k in range(3)]
    noise = np.random.default_rng(seed).normal(0, 4, (height, width, 3))
    return np.clip(np.stack(channels, 2) * 55 + 128 + noise, 0, 255).astype(np.uint8)


def encoded(image, file_format, **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def png_chunks(data):
    """(start, end, kind) of each chunk."""
    at = 8
    while at < len(data):
        (length,) = struct.unpack_from(">L", data, at)
        yield at, at + 12 + length, data[at + 4 : at + 8]
        at += 12 + length


# Formats


@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("PPM", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ],
)
def test_lossless_formats_give_the_pixels_back(file_format, options):
    pixels = photo()
    decoded = decode_image(encoded(pixels, file_format, **options))
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, pixels)


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_lossy_formats_give_nearly_the_pixels(file_format, options):
    pixels = photo().astype(int)
    decoded = decode_image(encoded(photo(), file_format, quality=95, **options))
    assert np.abs(decoded - pixels).mean() < 8


@pytest.mark.parametrize("file_format", ["PNG", "PPM", "TIFF", "BMP"])
def test_grey_becomes_three_equal_channels(file_format):
    grey = photo()[:, :, 0]
    decoded = decode_image(encoded(grey, file_format))
    assert np.array_equal(decoded, np.repeat(grey[:, :, None], 3, 2))


def test_grey_jpeg_becomes_three_equal_channels():
    decoded = decode_image(encoded(photo()[:, :, 0], "JPEG"))
    assert decoded.shape == (48, 64, 3)
    assert np.array_equal(decoded[..., 0], decoded[..., 2])


@pytest.mark.parametrize("file_format", ["PNG", "PPM", "TIFF", "BMP"])
def test_one_bit_becomes_black_and_white(file_format):
    bits = photo()[:, :, 0] > 128
    decoded = decode_image(encoded(Image.fromarray(bits), file_format))
    assert np.array_equal(decoded[..., 1], np.where(bits, 255, 0))


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "BMP", "TIFF"])
def test_palette_becomes_its_colours(file_format):
    palette = Image.fromarray(photo()).quantize(64)
    decoded = decode_image(encoded(palette, file_format))
    assert np.array_equal(decoded, np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_counts(file_format):
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
    assert (decode_image(data) == RED).all()


def test_path_text_and_bytes_give_the_same(tmp_path):
    data = encoded(photo(), "PNG")
    (tmp_path / "a.png").write_bytes(data)
    assert np.array_equal(decode_image(tmp_path / "a.png"), decode_image(data))
    assert np.array_equal(decode_image(str(tmp_path / "a.png")), decode_image(data))


def test_the_content_decides_not_the_name(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(photo(), "PNG"))
    assert np.array_equal(decode_image(tmp_path / "a.jpg"), photo())


# Depth


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_is_scaled_by_its_range(file_format):
    values = np.array([[0, 128, 129, 257, 1000, 32768, 65534, 65535]], np.uint16)
    decoded = decode_image(encoded(values, file_format))
    assert decoded[0, :, 0].tolist() == [round(int(value) / 257) for value in values[0]]
    assert np.array_equal(decoded[..., 0], decoded[..., 1])


def test_sixteen_bit_grey_of_the_other_byte_order():
    values = np.arange(0, 65536, 1024, np.uint16).reshape(8, 8)
    image = Image.frombytes("I;16B", (8, 8), values.astype(">u2").tobytes())
    decoded = decode_image(encoded(image, "TIFF"))
    assert np.array_equal(decoded[..., 0], np.rint(values / 257).astype(np.uint8))


def test_pgm_of_ten_bits_is_scaled_by_its_own_maximum():
    data = b"P5 3 1 1023\n" + struct.pack(">3H", 0, 512, 1023)
    assert decode_image(data)[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([0.0, 32767.5, 65535.0], [0, 128, 255]),
        ([-10.0, 0.0, 10.0], [0, 128, 255]),
        ([1e5, 2e5, 3e5], [0, 128, 255]),
        ([-7.0, -7.0, -7.0], [0, 0, 0]),
        ([0.0, float("nan"), 1.0], [0, 0, 255]),
        ([float("-inf"), 0.5, float("inf")], [0, 128, 255]),
        ([float("nan")] * 3, [0, 0, 0]),
    ],
)
def test_float_tiff_is_scaled_by_the_range_it_is_in(values, expected):
    decoded = decode_image(encoded(np.array([values], np.float32), "TIFF"))
    assert decoded[0, :, 0] == pytest.approx(expected, abs=1)


def test_signed_grey_is_stretched():
    data = encoded(Image.fromarray(np.array([[-100, 0, 100]], np.int32)), "TIFF")
    assert decode_image(data)[0, :, 0] == pytest.approx([0, 128, 255], abs=1)


# Transparency and colour spaces


def test_alpha_lies_on_white_or_on_the_fill():
    pixels = np.zeros((1, 3, 4), np.uint8)
    pixels[0, :, 3] = (0, 128, 255)
    data = encoded(pixels, "PNG")
    assert decode_image(data)[0].tolist() == [[255] * 3, [127] * 3, [0] * 3]
    assert decode_image(data, fill=(10, 200, 30))[0, 0].tolist() == [10, 200, 30]


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF"])
def test_transparent_colour_never_shows(file_format):
    pixels = np.full((4, 4, 4), 77, np.uint8)
    pixels[..., 3] = 0
    options = {"lossless": True} if file_format == "WEBP" else {}
    assert (decode_image(encoded(pixels, file_format, **options)) == WHITE).all()


def test_grey_with_alpha():
    pixels = np.array([[[0, 0], [0, 255], [100, 255]]], np.uint8)
    image = Image.frombytes("LA", (3, 1), pixels.tobytes())
    assert decode_image(encoded(image, "PNG"))[0, :, 0].tolist() == [255, 0, 100]


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 255])])
def test_palette_with_a_transparent_entry(transparency):
    image = Image.frombytes("P", (3, 1), bytes([0, 1, 2]))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    data = encoded(image, "PNG", transparency=transparency)
    assert decode_image(data)[0].tolist() == [[255, 0, 0], [255, 255, 255], [0, 0, 255]]


def test_transparent_gif():
    image = Image.frombytes("P", (2, 1), bytes([0, 1]))
    image.putpalette([255, 0, 0, 0, 255, 0])
    data = encoded(image, "GIF", transparency=1)
    assert decode_image(data, fill=(1, 2, 3))[0].tolist() == [[255, 0, 0], [1, 2, 3]]


def test_one_transparent_colour_of_rgb_and_of_grey():
    rgb = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    assert decode_image(encoded(rgb, "PNG", transparency=(1, 2, 3)))[0].tolist() == [
        [255, 255, 255],
        [4, 5, 6],
    ]
    grey = np.array([[7, 8]], np.uint8)
    assert decode_image(encoded(grey, "PNG", transparency=7))[0, :, 0].tolist() == [255, 8]


def test_one_transparent_value_of_sixteen_bit_grey():
    values = np.array([[257, 514, 771]], np.uint16)
    data = encoded(values, "PNG")
    header_end = next(end for _, end, kind in png_chunks(data) if kind == b"IHDR")
    body = b"tRNS" + struct.pack(">H", 514)
    chunk = struct.pack(">L", 2) + body + struct.pack(">L", zlib.crc32(body))
    decoded = decode_image(data[:header_end] + chunk + data[header_end:], fill=(9, 8, 7))
    assert decoded[0].tolist() == [[1, 1, 1], [9, 8, 7], [3, 3, 3]]


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk(file_format):
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    decoded = decode_image(encoded(image, file_format)).astype(int)
    assert np.abs(decoded - RED).max() <= 4


def test_lab():
    # L* of 53 of 100, a* of 80, b* of 67: the red of sRGB.
    image = Image.new("LAB", (4, 4), (135, 80 + 128, 67 + 128))
    decoded = decode_image(encoded(image, "TIFF")).astype(int)
    assert decoded[..., 0].min() > 200
    assert decoded[..., 1:].max() < 90


# Orientation


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_as_viewers_do(file_format, orientation):
    data = encoded(photo(24, 40), file_format, exif=exif_of(orientation))
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(decode_image(data), expected)
    assert image_size(data) == expected.shape[:2]


def test_orientation_behind_the_pixels_of_a_png():
    data = encoded(photo(24, 40), "PNG", exif=exif_of(6))
    chunks = {kind: data[start:end] for start, end, kind in png_chunks(data)}
    order = (b"IHDR", b"IDAT", b"eXIf", b"IEND")
    moved = data[:8] + b"".join(chunks[kind] for kind in order)
    assert image_size(moved) == (40, 24)
    assert np.array_equal(decode_image(moved), np.rot90(photo(24, 40), -1))


def test_broken_exif_spoils_nothing():
    data = encoded(photo(), "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    assert np.array_equal(decode_image(data), photo())


def test_image_size_reads_no_pixels():
    data = encoded(photo(300, 400), "JPEG")
    assert image_size(data[: len(data) // 2]) == (300, 400)


# Failures: one kind of error, in plain words


def test_missing_file(tmp_path):
    with pytest.raises(ImageError, match=r"none\.jpg: there is no such file"):
        decode_image(tmp_path / "none.jpg")


def test_folder(tmp_path):
    with pytest.raises(ImageError, match="this is a folder, not an image"):
        decode_image(tmp_path)


def test_empty_file(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(ImageError, match=r"a\.jpg: the file is empty"):
        decode_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("data", [b"<html>not found</html>", b"RIFF\0\0\0\0WAVEfmt ", b"\0" * 64])
def test_another_kind_of_file(data):
    with pytest.raises(ImageError, match="not an image of a known format") as error:
        decode_image(data)
    assert error.value.expected == "JPEG, PNG, WebP, GIF, BMP, TIFF, PPM or PGM"


def test_a_phones_own_format_says_what_to_do():
    with pytest.raises(ImageError, match="HEIC and AVIF are not read") as error:
        decode_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert error.value.remedy == "save it as JPEG"


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_file(tmp_path, file_format, share):
    data = encoded(photo(), file_format)
    path = tmp_path / "cut.img"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ImageError, match=r"cut\.img: the file is damaged or cut short"):
        decode_image(path)


def bomb(file_format):
    """A tiny file whose header promises more pixels than are allowed."""
    side = 60_000
    if file_format == "PNG":
        body = b"IHDR" + struct.pack(">LLBBBBB", side, side, 8, 2, 0, 0, 0)
        chunk = struct.pack(">L", 13) + body + struct.pack(">L", zlib.crc32(body))
        end = struct.pack(">L", 0) + b"IDAT" + struct.pack(">L", zlib.crc32(b"IDAT"))
        return b"\x89PNG\r\n\x1a\n" + chunk + end
    if file_format == "PPM":
        return b"P6 60000 60000 255\n"
    data = bytearray(encoded(photo(16, 16), file_format))
    if file_format == "BMP":
        data[18:26] = struct.pack("<LL", side, side)
    elif file_format == "GIF":
        data[6:10] = struct.pack("<HH", side, side)
    elif file_format == "JPEG":
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", side, side)
    return bytes(data)


@pytest.mark.parametrize("file_format", ["PNG", "PPM", "BMP", "GIF", "JPEG"])
@pytest.mark.parametrize("pillow_limit", [None, 1, 10**12])
def test_a_bomb_is_refused_whatever_pillows_limit_is(monkeypatch, file_format, pillow_limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillow_limit)
    with pytest.raises(ImageError, match="the header promises 60000 x 60000 pixels") as error:
        decode_image(bomb(file_format))
    assert f"{MAX_PIXELS:,}" in error.value.expected
    with pytest.raises(ImageError):
        image_size(bomb(file_format))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "BMP", "PPM"])
def test_a_small_image_passes_whatever_pillows_limit_is(monkeypatch, file_format):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    assert decode_image(encoded(photo(), file_format)).shape == (48, 64, 3)


SEEDS = [
    encoded(photo(20, 30), "JPEG", exif=exif_of(6)),
    encoded(photo(20, 30), "JPEG", progressive=True),
    encoded(photo(20, 30), "PNG"),
    encoded(Image.fromarray(photo(20, 30)).quantize(16), "PNG", transparency=bytes([0, 9])),
    encoded(photo(20, 30)[..., 0].astype(np.uint16) * 257, "PNG"),
    encoded(photo(20, 30), "WEBP"),
    encoded(Image.fromarray(photo(20, 30)).quantize(16), "GIF"),
    encoded(photo(20, 30), "BMP"),
    encoded(photo(20, 30), "TIFF"),
    encoded(photo(20, 30)[..., 0].astype(np.float32), "TIFF"),
    encoded(photo(20, 30), "PPM"),
    b"P2 3 2 300\n1 2 3 4 5 300\n",
]
changes = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8
)


@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.sampled_from(SEEDS), changes, st.floats(0.2, 1), st.booleans())
def test_a_damaged_file_gives_pixels_or_an_image_error(data, changes, kept, in_header):
    data = bytearray(data[: int(len(data) * kept)])
    reach = min(len(data), 64) if in_header else len(data)
    for place, value in changes:
        data[int(place * reach)] = value
    # Any other exception, or a warning, fails the test.
    with contextlib.suppress(ImageError):
        pixels = decode_image(bytes(data))
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] == 3


# Quiet


def tiff_with_broken_notes():
    """A good TIFF with a note that points behind the end of the file: Pillow warns of it."""
    notes = TiffImagePlugin.ImageFileDirectory_v2()
    notes[65_000] = "a long note of somebody's own, stored apart"
    notes.tagtype[65_000] = 2
    data = bytearray(encoded(photo(), "TIFF", tiffinfo=notes))
    entry = data.index(struct.pack("<HH", 65_000, 2))
    data[entry + 8 : entry + 12] = struct.pack("<L", 2**31)
    return bytes(data)


def test_broken_notes_neither_warn_nor_fail():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Image.open(io.BytesIO(tiff_with_broken_notes())) as image:
            image.load()
    assert caught, "the file is meant to make Pillow warn"
    assert np.array_equal(decode_image(tiff_with_broken_notes()), photo())


def test_threads_leave_the_warning_filters_as_they_were():
    before = list(warnings.filters)
    data = tiff_with_broken_notes()
    with ThreadPoolExecutor(8) as pool:
        decoded = list(pool.map(decode_image, [data] * 200))
    assert all(np.array_equal(pixels, photo()) for pixels in decoded)
    assert list(warnings.filters) == before


def test_files_are_closed(tmp_path):
    # An open file would be a ResourceWarning, and warnings are errors here.
    for name, file_format in (("a.gif", "GIF"), ("a.tif", "TIFF"), ("a.png", "PNG")):
        frames = [Image.fromarray(photo(seed=seed)) for seed in range(3)]
        (tmp_path / name).write_bytes(
            encoded(frames[0], file_format, save_all=True, append_images=frames[1:])
        )
        decode_image(tmp_path / name)
        image_size(tmp_path / name)
        (tmp_path / name).unlink()


def test_decoding_leaves_no_threads():
    before = threading.active_count()
    decode_image(encoded(photo(), "WEBP"))
    assert threading.active_count() == before


# Real files


UNREADABLE = {
    "LICENSE": "not an image of a known format",
    "decompression_bomb.gif": "a decompression bomb",
    "hopper_webp.tif": "damaged or cut short",
    "truncated_end_chunk.png": "damaged or cut short",
    "zero_width.gif": "damaged or cut short",
}


def test_odd_images(shared_data):
    failed = {}
    for path in sorted((shared_data / "odd_images").rglob("*")):
        if not path.is_file():
            continue
        try:
            pixels = decode_image(path)
        except ImageError as error:
            failed[path.name] = str(error)
        else:
            assert pixels.ndim == 3
            assert image_size(path) == pixels.shape[:2]
    # A Pillow with another libtiff may read one more of them.
    assert set(failed) <= set(UNREADABLE)
    assert len(failed) >= len(UNREADABLE) - 1
    assert all(UNREADABLE[name] in reason for name, reason in failed.items())


@pytest.mark.parametrize("photo_name", ["Landscape", "Portrait"])
def test_eight_orientations_of_one_photo(shared_data, photo_name):
    folder = shared_data / "odd_images" / "exif_orientation"
    photos = [
        decode_image(folder / f"{photo_name}_{number}.jpg").astype(int) for number in range(1, 9)
    ]
    for turned in photos[1:]:
        assert turned.shape == photos[0].shape
        # Each was saved as JPEG again.
        assert np.abs(turned - photos[0]).mean() < 5
