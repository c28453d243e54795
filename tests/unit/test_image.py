"""The pixels that a net reads: the same by every way to them."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mobilens.errors import ImageError
from mobilens.spec.task import Preprocessing
from mobilens.vision import decode, image
from mobilens.vision.image import (
    decode_image,
    image_size,
    load_prepared,
    load_short_side,
    load_thumbnail,
    normalise,
    prepare,
)

preprocessings = st.builds(
    Preprocessing,
    size=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    resize=st.sampled_from(["crop", "squash", "letterbox"]),
    crop_fraction=st.floats(0.3, 1.0),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
)
sizes = st.tuples(st.integers(1, 120), st.integers(1, 120))


def photo(height, width, seed=0):
    """Edges, gradients and grain, at every scale: harder on a resize than most photos."""
    random = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), np.float32)
    for cells in (4, 16, 64, 256):
        coarse = random.normal(0, 1, (cells, cells, 3)).astype(np.float32)
        channels = [
            np.asarray(
                Image.fromarray(coarse[:, :, channel]).resize(
                    (width, height), Image.Resampling.BICUBIC
                )
            )
            for channel in range(3)
        ]
        pixels += np.stack(channels, 2) * 40 / cells**0.5
    pixels += random.normal(0, 2, pixels.shape)
    return np.clip(pixels + 128, 0, 255).astype(np.uint8)


def encoded(pixels, file_format="PNG", **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, file_format, **options)
    return stream.getvalue()


def difference(a, b):
    return float(np.abs(a.astype(int) - b).mean())


def orientation_of(number):
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


@given(sizes, preprocessings)
@settings(deadline=None)
def test_prepared_pixels_have_the_size_that_was_asked_for(size, preprocessing):
    pixels = prepare(photo(*size), preprocessing)
    assert pixels.shape == (*preprocessing.size, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable


@given(sizes, preprocessings, st.integers(1, 8))
@settings(deadline=None)
def test_a_lossless_file_and_its_pixels_are_prepared_alike(size, preprocessing, orientation):
    data = encoded(photo(*size), exif=orientation_of(orientation))
    loaded = load_prepared(data, preprocessing)
    plain = prepare(decode_image(data), preprocessing)
    if orientation < 5:
        # A mirrored image has its taps added in another order.
        assert np.abs(loaded.astype(int) - plain).max() <= 1
    else:
        # Rows first or columns first: each rounds to 8 bits in between; bicubic can double that.
        assert np.abs(loaded.astype(int) - plain).max() <= 3


@given(sizes, preprocessings)
@settings(deadline=None)
def test_an_upright_lossless_file_is_prepared_exactly(size, preprocessing):
    data = encoded(photo(*size))
    expected = prepare(photo(*size), preprocessing)
    assert np.array_equal(load_prepared(data, preprocessing), expected)


@pytest.mark.parametrize("size", [(375, 500), (500, 375), (333, 500), (256, 256), (97, 1301)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_crop_is_resize_all_then_cut_the_middle(size, interpolation):
    pixels = photo(*size)
    scale = 256 / min(size)
    scaled = (int(size[1] * scale + 1e-9), int(size[0] * scale + 1e-9))
    kernel = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    whole = np.asarray(Image.fromarray(pixels).resize(scaled, kernel[interpolation]))
    top, left = round((whole.shape[0] - 224) / 2), round((whole.shape[1] - 224) / 2)
    expected = whole[top : top + 224, left : left + 224]
    prepared = prepare(pixels, Preprocessing(interpolation=interpolation))
    assert np.abs(prepared.astype(int) - expected).max() <= 2
    assert difference(prepared, expected) < 0.05


@pytest.mark.parametrize(
    ("size", "reduction"), [((150, 200), 1), ((480, 500), 2), ((850, 950), 4), ((1700, 1750), 8)]
)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_jpeg_decoded_small_gives_nearly_the_same(monkeypatch, size, reduction, interpolation):
    used = []

    def watched(*arguments):
        used.append(decode.decode(*arguments))
        return used[-1]

    monkeypatch.setattr(image, "decode", watched)
    preprocessing = Preprocessing(size=(64, 64), interpolation=interpolation)
    data = encoded(photo(*size), "JPEG", quality=90)
    loaded = load_prepared(data, preprocessing)
    assert [one.reduction for one in used] == [reduction]
    plain = prepare(decode_image(data), preprocessing)
    assert difference(loaded, plain) < (0.5 if reduction > 1 else 1e-9)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("resize", ["crop", "squash", "letterbox"])
def test_turning_and_cutting_commute(orientation, resize):
    preprocessing = Preprocessing(size=(48, 64), resize=resize)
    data = encoded(photo(500, 601), "JPEG", exif=orientation_of(orientation))
    plain = prepare(decode_image(data), preprocessing)
    assert difference(load_prepared(data, preprocessing), plain) < 0.5


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_jpegs_are_decoded_small_too(mode):
    stream = io.BytesIO()
    Image.fromarray(photo(500, 480)).convert(mode).save(stream, "JPEG")
    data, preprocessing = stream.getvalue(), Preprocessing(size=(64, 64))
    plain = prepare(decode_image(data), preprocessing)
    assert 0 < difference(load_prepared(data, preprocessing), plain) < 0.5


def test_letterbox_puts_the_fill_around():
    pixels = prepare(
        np.zeros((50, 100, 3), np.uint8),
        Preprocessing(size=(80, 80), resize="letterbox", fill=(1, 2, 3)),
    )
    assert (pixels[:20] == (1, 2, 3)).all()
    assert (pixels[20:60] == 0).all()
    assert (pixels[60:] == (1, 2, 3)).all()


def test_transparent_pixels_get_the_fill_of_the_preprocessing():
    data = encoded(np.zeros((30, 30, 4), np.uint8))
    assert (load_prepared(data, Preprocessing(size=(8, 8), fill=(9, 8, 7))) == (9, 8, 7)).all()


@given(sizes, st.integers(1, 64))
@settings(deadline=None)
def test_short_side(size, short_side):
    placed = load_short_side(encoded(photo(*size)), short_side)
    pixels = placed.pixels
    assert placed.placement.target_size == pixels.shape[:2]
    assert min(pixels.shape[:2]) == min(short_side, *size)
    assert (pixels.shape[0] <= pixels.shape[1]) == (
        size[0] <= size[1] or pixels.shape[0] == pixels.shape[1]
    )
    assert pixels.flags.writeable


def test_short_side_of_a_turned_photo():
    data = encoded(photo(120, 200), "JPEG", exif=orientation_of(6))
    assert load_short_side(data, 60).pixels.shape == (100, 60, 3)
    assert image_size(data) == (200, 120)


@given(sizes, st.integers(1, 64))
@settings(deadline=None)
def test_a_thumbnail_fits_its_square_however_long_the_photo(size, side):
    pixels = load_thumbnail(encoded(photo(*size)), side)
    assert max(pixels.shape[:2]) == side
    assert load_thumbnail(encoded(photo(2000, 1)), side).shape == (side, 1, 3)


def test_transparent_pixels_of_a_whole_image_get_the_fill():
    data = encoded(np.zeros((30, 30, 4), np.uint8))
    assert (load_short_side(data, 8, fill=(9, 8, 7)).pixels == (9, 8, 7)).all()


def test_normalise():
    preprocessing = Preprocessing(mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    pixels = np.array([[[[0, 0, 0], [255, 255, 255]]]], np.uint8)
    normal = normalise(pixels, preprocessing)
    assert normal.dtype == np.float32
    assert normal[0, 0].tolist() == [[-1, -1, 0], [1, 3, 1]]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_prepare_refuses_what_is_no_image(array):
    with pytest.raises(ImageError) as error:
        prepare(array, Preprocessing())
    assert error.value.given == f"the image is an array of {array.dtype}, shape {array.shape}"
    assert error.value.expected == "uint8, (height, width, 3)"


@pytest.mark.slow
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_real_photos_of_twelve_megapixels(shared_data, interpolation):
    preprocessing = Preprocessing(interpolation=interpolation)
    paths = sorted((shared_data / "coco128").rglob("*.jpg"))[::25]
    assert paths
    for path in paths:
        large = Image.fromarray(decode_image(path)).resize((4000, 3000), Image.Resampling.LANCZOS)
        data = encoded(np.asarray(large), "JPEG", quality=90)
        plain = prepare(decode_image(data), preprocessing)
        assert difference(load_prepared(data, preprocessing), plain) < 0.5, path.name
