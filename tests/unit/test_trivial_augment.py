"""TrivialAugment: each operation against Pillow's, or against what it should do to a picture."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from mobilens.training.trivial_augment import OPERATIONS, trivial_augment

NAMES = [operation.__name__.lstrip("_") if operation else "identity" for operation, _ in OPERATIONS]


def photo(seed=0, size=(60, 84)):
    """Something with edges, gradients and noise, as a photo has."""
    height, width = size
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    ramps = np.stack([180 * x / width + 30, 160 * y / height + 20, 90 + 60 * np.sin(x / 9)], 2)
    ramps[15:40, 20:50] *= 0.4
    return (ramps + rng.normal(0, 12, ramps.shape)).clip(0, 255).astype(np.uint8)


def apply(name, image, strength, *, negative=False):
    """Run one operation through the public function, as training does."""
    draws = np.array(
        [[(NAMES.index(name) + 0.5) / len(NAMES), strength, 0.0 if negative else 0.9]], np.float32
    )
    batch = torch.from_numpy(image).permute(2, 0, 1)[None]
    return trivial_augment(batch, draws)[0].permute(1, 2, 0).numpy()


def largest_difference(one, other):
    return int(np.abs(one.astype(int) - np.asarray(other).astype(int)).max())


ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "colour": ImageEnhance.Color,
    "contrast": ImageEnhance.Contrast,
    "sharpness": ImageEnhance.Sharpness,
}


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("strength", [0.2, 0.55, 0.999])
@pytest.mark.parametrize("name", ENHANCERS)
def test_blending_operations_are_pillows(name, strength, negative):
    image = photo()
    factor = 1 + 0.99 * (-strength if negative else strength)
    expected = np.asarray(ENHANCERS[name](Image.fromarray(image)).enhance(factor))
    got = apply(name, image, strength, negative=negative)
    # Pillow leaves the border of a filtered image as it was, ours repeats the edge.
    inner = np.s_[1:-1, 1:-1]
    assert largest_difference(got[inner], expected[inner]) <= 2


@pytest.mark.parametrize("strength", [0.0, 0.2, 0.5, 0.8, 0.999])
def test_posterize_keeps_as_many_bits_as_pillow(strength):
    image = photo()
    bits = 8 - round(6 * strength)
    expected = ImageOps.posterize(Image.fromarray(image), bits)
    assert largest_difference(apply("posterize", image, strength), expected) == 0


def test_the_strongest_posterize_leaves_two_bits():
    assert set(np.unique(apply("posterize", photo(), 0.999))) <= {0, 64, 128, 192}


@pytest.mark.parametrize("strength", [0.0, 0.25, 0.5, 0.75])
def test_solarize_inverts_what_pillow_inverts(strength):
    image = photo()
    image[:5] = 255
    expected = ImageOps.solarize(Image.fromarray(image), threshold=round(256 * (1 - strength)))
    assert largest_difference(apply("solarize", image, strength), expected) == 0


def test_autocontrast_is_pillows_for_each_channel():
    image = (photo() * 0.4 + 60).astype(np.uint8)
    expected = ImageOps.autocontrast(Image.fromarray(image))
    assert largest_difference(apply("autocontrast", image, 0.5), expected) <= 1


@pytest.mark.parametrize("size", [(60, 84), (20, 20), (12, 12)])
def test_equalize_is_pillows(size):
    image = (photo(size=size) * 0.5 + 40).astype(np.uint8)
    expected = ImageOps.equalize(Image.fromarray(image))
    assert largest_difference(apply("equalize", image, 0.5), expected) == 0


@pytest.mark.parametrize("name", ["autocontrast", "equalize"])
def test_a_picture_of_one_colour_has_nothing_to_spread(name):
    image = np.full((32, 32, 3), (10, 128, 250), np.uint8)
    assert largest_difference(apply(name, image, 0.5), image) == 0


# Autocontrast and equalize have no strength.
GRADED = [name for name in NAMES if name not in ("autocontrast", "equalize")]


@pytest.mark.parametrize("name", GRADED)
def test_without_strength_the_picture_stays(name):
    image = photo()
    image[:3] = 255
    image[-3:] = 0
    assert largest_difference(apply(name, image, 0.0), image) == 0


@pytest.mark.parametrize("name", [name for name in NAMES if name != "identity"])
def test_every_operation_changes_a_dull_picture(name):
    image = (photo() * 0.5 + 40).astype(np.uint8)
    assert largest_difference(apply(name, image, 0.8), image) > 10


def dot(y, x, size=(71, 101)):
    """A bright square of five pixels around a point, on grey."""
    image = np.full((*size, 3), 128, np.uint8)
    image[y - 2 : y + 3, x - 2 : x + 3] = 255
    return image


def where_bright(image):
    """(y, x) of the dot's centre."""
    weight = image[..., 0].astype(float) - 128
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return (y * weight).sum() / weight.sum(), (x * weight).sum() / weight.sum()


# A dot 20 pixels right of the centre (35, 50) of 71 x 101, or 20 below it, goes where?
@pytest.mark.parametrize("negative", [False, True])
def test_rotation_turns_about_the_centre_by_its_angle(negative):
    strength = 1 / 3  # of 135 degrees
    y, x = where_bright(apply("rotate", dot(35, 70), strength, negative=negative))
    assert np.hypot(y - 35, x - 50) == pytest.approx(20, abs=0.3)
    assert abs(np.degrees(np.arctan2(y - 35, x - 50))) == pytest.approx(45, abs=1)


def test_the_sign_turns_the_other_way():
    one, _ = where_bright(apply("rotate", dot(35, 70), 0.3))
    other, _ = where_bright(apply("rotate", dot(35, 70), 0.3, negative=True))
    assert one - 35 == pytest.approx(35 - other, abs=0.1)
    assert abs(one - 35) > 5


@pytest.mark.parametrize("strength", [0.25, 0.5])
def test_shear_moves_by_its_share_of_the_distance(strength):
    y, x = where_bright(apply("shear_x", dot(55, 50), strength))
    assert y == pytest.approx(55, abs=0.2)
    assert abs(x - 50) == pytest.approx(20 * 0.99 * strength, abs=0.5)
    y, x = where_bright(apply("shear_y", dot(35, 70), strength))
    assert x == pytest.approx(70, abs=0.2)
    assert abs(y - 35) == pytest.approx(20 * 0.99 * strength, abs=0.5)


@pytest.mark.parametrize("negative", [False, True])
def test_translation_moves_by_a_seventh_at_most(negative):
    y, x = where_bright(apply("translate_x", dot(35, 50), 0.999, negative=negative))
    assert y == pytest.approx(35, abs=0.2)
    assert abs(x - 50) == pytest.approx(101 / 7, abs=0.6)  # whole pixels
    y, x = where_bright(apply("translate_y", dot(35, 50), 0.5, negative=negative))
    assert x == pytest.approx(50, abs=0.2)
    assert abs(y - 35) == pytest.approx(71 / 14, abs=0.6)


@pytest.mark.parametrize("name", ["rotate", "shear_x", "translate_y"])
def test_what_comes_in_from_outside_is_grey(name):
    white = np.full((40, 40, 3), 255, np.uint8)
    assert 128 in np.unique(apply(name, white, 0.9))


def test_each_image_takes_its_own_operation():
    image = photo()
    batch = torch.from_numpy(np.stack([image] * len(NAMES))).permute(0, 3, 1, 2)
    before = batch.clone()
    operations = (np.arange(len(NAMES)) + 0.5) / len(NAMES)
    draws = np.stack([operations, np.full(len(NAMES), 0.6), np.full(len(NAMES), 0.9)], 1)
    together = trivial_augment(batch, draws.astype(np.float32)).permute(0, 2, 3, 1).numpy()
    assert torch.equal(batch, before)
    for name, result in zip(NAMES, together, strict=True):
        assert largest_difference(result, apply(name, image, 0.6)) == 0, name


def test_every_operation_is_as_likely():
    draws = np.random.default_rng(0).random((14_000, 3), dtype=np.float32)
    white = torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)
    counts = np.bincount((draws[:, 0] * len(OPERATIONS)).astype(int))
    assert len(counts) == len(OPERATIONS) == 14
    assert counts.min() > 850
    # The largest number below one is still an operation.
    largest = np.full((1, 3), np.nextafter(np.float32(1), np.float32(0)))
    assert torch.equal(trivial_augment(white, largest), white)
