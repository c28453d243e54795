"""EXIF orientation: reading it, and carrying boxes and pixels through it."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mobilens.vision.orientation import (
    read_orientation,
    stored_box,
    swaps_sides,
    turn_upright,
    upright_box,
)

ORIENTATIONS = range(1, 9)


def exif_block(order: str, value: int, *, kind: int = 3, prefix: bytes = b"") -> bytes:
    head = b"II" if order == "<" else b"MM"
    other = struct.pack(f"{order}HHLL", 0x0100, 4, 1, 4000)
    orientation = struct.pack(f"{order}HHLHH", 0x0112, kind, 1, value, 0)
    directory = struct.pack(f"{order}H", 2) + other + orientation + bytes(4)
    return prefix + head + struct.pack(f"{order}HL", 42, 8) + directory


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_reads_both_byte_orders(order, prefix, orientation):
    assert read_orientation(exif_block(order, orientation, prefix=prefix)) == orientation


def test_reads_what_pillow_writes():
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    exif[0x0112] = 6
    assert read_orientation(exif.tobytes()) == 6


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_a_value_that_means_nothing_is_as_stored(value):
    assert read_orientation(exif_block("<", value)) == 1


def test_a_value_of_another_kind_is_as_stored():
    assert read_orientation(exif_block("<", 6, kind=4)) == 1


@given(st.integers(0, 40))
def test_a_cut_block_is_as_stored_or_right(length):
    assert read_orientation(exif_block(">", 8)[:length]) in (1, 8)


@given(st.binary(max_size=80), st.sampled_from([b"", b"II*\0", b"MM\0*", b"Exif\0\0II*\0"]))
def test_no_bytes_make_it_fail(noise, head):
    assert read_orientation(head + noise) in ORIENTATIONS


@given(
    st.integers(1, 8),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.tuples(*[st.floats(0, 1)] * 4),
)
def test_a_box_cut_from_stored_pixels_is_the_box_of_the_upright_image(orientation, size, shares):
    stored = np.arange(size[0] * size[1], dtype=np.uint8).reshape(size)
    upright = np.asarray(turn_upright(Image.fromarray(stored), orientation))
    height, width = upright.shape
    left, right = sorted((int(shares[0] * width), int(shares[1] * width)))
    top, bottom = sorted((int(shares[2] * height), int(shares[3] * height)))
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    left, top = min(left, width - 1), min(top, height - 1)
    right, bottom = min(right, width), min(bottom, height)

    box = stored_box((left, top, right, bottom), (height, width), orientation)
    x0, y0, x1, y1 = (round(side) for side in box)
    cut = turn_upright(Image.fromarray(stored[y0:y1, x0:x1].copy()), orientation)
    assert np.array_equal(np.asarray(cut), upright[top:bottom, left:right])


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_sides_are_swapped_by_the_four_that_turn_a_quarter(orientation):
    upright = turn_upright(Image.new("L", (5, 3)), orientation)
    assert (upright.size == (3, 5)) == swaps_sides(orientation)


@given(
    st.integers(1, 8),
    st.tuples(st.integers(1, 10_000), st.integers(1, 10_000)),
    st.tuples(*[st.floats(-100, 20_000)] * 4),
)
def test_a_box_comes_back_from_the_stored_pixels(orientation, size, box):
    there = stored_box(box, size, orientation)
    assert upright_box(there, size, orientation) == pytest.approx(box, abs=1e-6)
    back = upright_box(box, size, orientation)
    assert stored_box(back, size, orientation) == pytest.approx(box, abs=1e-6)
