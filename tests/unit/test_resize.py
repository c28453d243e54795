"""Where images land in the net's input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilens.spec.task import Preprocessing
from mobilens.vision.resize import (
    REDUCED_PIXELS_PER_PIXEL,
    decode_reduction,
    place,
    place_whole,
)

sides = st.integers(1, 5000)
sizes = st.tuples(sides, sides)
preprocessings = st.builds(
    Preprocessing,
    size=st.tuples(st.integers(1, 600), st.integers(1, 600)),
    resize=st.sampled_from(["crop", "squash", "letterbox"]),
    crop_fraction=st.floats(0.05, 1.0),
)


@given(sizes, preprocessings)
def test_the_source_lies_in_the_image_and_the_target_in_the_input(size, preprocessing):
    placement = place(size, preprocessing)
    left, top, right, bottom = placement.source
    assert 0 <= left < right <= size[1] * (1 + 1e-12)
    assert 0 <= top < bottom <= size[0] * (1 + 1e-12)
    left, top, right, bottom = placement.target
    assert 0 <= left < right <= preprocessing.size[1]
    assert 0 <= top < bottom <= preprocessing.size[0]


@given(sizes, preprocessings, st.lists(st.tuples(*[st.floats(-100, 6000)] * 2), min_size=1))
def test_points_go_to_the_input_and_back(size, preprocessing, points):
    placement = place(size, preprocessing)
    there = placement.to_input(np.array(points))
    np.testing.assert_allclose(placement.to_image(there), points, rtol=1e-9, atol=1e-6)


@given(sizes, preprocessings)
def test_the_corners_of_the_source_land_on_the_corners_of_the_target(size, preprocessing):
    placement = place(size, preprocessing)
    corners = np.array(placement.source).reshape(2, 2)
    target = np.array(placement.target).reshape(2, 2)
    np.testing.assert_allclose(placement.to_input(corners), target, rtol=1e-9, atol=1e-9)


@given(sizes, preprocessings)
def test_letterbox_shows_all_of_the_image_in_the_middle_and_fills_one_axis(size, preprocessing):
    preprocessing = Preprocessing(size=preprocessing.size, resize="letterbox")
    placement = place(size, preprocessing)
    assert placement.source == (0, 0, size[1], size[0])
    left, top, right, bottom = placement.target
    height, width = preprocessing.size
    assert (left, right) == (0, width) or (top, bottom) == (0, height)
    assert 0 <= (width - right) - left <= 1
    assert 0 <= (height - bottom) - top <= 1


@given(st.tuples(*[st.integers(300, 5000)] * 2))
def test_letterbox_keeps_the_aspect(size):
    x, y = place(size, Preprocessing(resize="letterbox")).scale
    # Whole pixels of the target are the only deviation.
    inner = min(place(size, Preprocessing(resize="letterbox")).target_size)
    assert x / y == pytest.approx(1, abs=0.6 / max(inner - 0.5, 0.5))


def test_crop_is_torchvisions_to_the_pixel():
    # 256 / 3000 * 4000 is 341.3, cut to 341; the middle of 341 - 224 is 58.5, rounded to even.
    placement = place((3000, 4000), Preprocessing())
    assert placement.source == pytest.approx(
        (58 * 4000 / 341, 16 * 3000 / 256, 282 * 4000 / 341, 240 * 3000 / 256)
    )
    assert placement.target == (0, 0, 224, 224)


def test_crop_fraction_one_takes_the_largest_square():
    placement = place((300, 500), Preprocessing(crop_fraction=1.0))
    left, top, right, bottom = placement.source
    assert (top, bottom) == (0, 300)
    assert right - left == pytest.approx(300, rel=0.01)


def test_crop_of_an_oblong_input_covers_it():
    placement = place((1000, 1000), Preprocessing(size=(100, 200), crop_fraction=0.5))
    left, top, right, bottom = placement.source
    assert (left, right) == (250, 750)
    assert (top, bottom) == (375, 625)


@given(sizes, st.integers(1, 600))
def test_whole_image_keeps_its_aspect_within_a_pixel(size, short_side):
    height, width = place_whole(size, short_side).target_size
    assert min(height, width) == short_side
    long_side = short_side * max(size) / min(size)
    assert long_side - 1 < max(height, width) <= long_side


@given(sizes, preprocessings)
def test_a_reduced_image_still_has_enough_pixels(size, preprocessing):
    placement = place(size, preprocessing)
    reduction = decode_reduction(placement)
    scale = min(placement.scale)
    assert reduction == 1 or scale / reduction >= REDUCED_PIXELS_PER_PIXEL[reduction]
    assert all(scale / k < REDUCED_PIXELS_PER_PIXEL[k] for k in (2, 4, 8) if k > reduction)


@pytest.mark.parametrize(
    ("size", "reduction"),
    [
        ((375, 500), 1),
        ((1080, 1920), 1),
        ((1536, 2048), 1),
        ((1944, 2592), 2),
        ((3000, 4000), 4),
        ((3024, 4032), 4),
        ((9000, 12000), 8),
    ],
)
def test_reductions_of_common_photos_at_224(size, reduction):
    assert decode_reduction(place(size, Preprocessing())) == reduction
