"""Masks: read as they are, outlines filled to a pixel, moved as their images are."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from mobilens.errors import DataError
from mobilens.spec.task import Preprocessing
from mobilens.vision.masks import (
    VOID,
    MaskArray,
    MaskFile,
    MaskValuesError,
    Polygons,
    Runs,
    move_mask,
    painted,
    read_values,
    resized,
)
from mobilens.vision.resize import place
from mobilens.vision.view import View

VALUES = np.array([[0, 1, 2], [3, 7, 255]], np.uint8)
TABLE = np.full(256, VOID, np.uint8)
TABLE[:3] = (5, 4, 3)


def save(path: Path, values: np.ndarray, mode: str | None = None) -> Path:
    picture = Image.fromarray(values)
    (picture.convert(mode) if mode else picture).save(path)
    return path


def ring(*corners: float) -> np.ndarray:
    return np.array(corners, np.float32).reshape(-1, 2)


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return ring(left, top, right, top, right, bottom, left, bottom)


# Files


def test_values_are_read_as_they_are(tmp_path: Path):
    palette = Image.fromarray(VALUES).convert("P")
    palette.putdata(VALUES.ravel().tolist())
    palette.putpalette([200, 30, 10] * 256)
    palette.save(tmp_path / "p.png")
    save(tmp_path / "l.png", VALUES)
    save(tmp_path / "rgb.png", np.dstack([VALUES] * 3))
    save(tmp_path / "i16.png", VALUES.astype(np.uint16))
    save(tmp_path / "i.tif", VALUES.astype(np.int32))
    for name in ("p.png", "l.png", "rgb.png", "i16.png", "i.tif"):
        values = read_values(tmp_path / name)
        assert values.dtype == np.uint8, name
        assert np.array_equal(values, VALUES), name
    save(tmp_path / "1.png", np.array([[0, 255]], np.uint8), "1")
    assert read_values(tmp_path / "1.png").tolist() == [[0, 255]]
    colours = read_values(tmp_path / "p.png", colours=True)
    assert colours.tolist() == [[[200, 30, 10]] * 3] * 2


def test_values_that_stand_for_no_classes(tmp_path: Path):
    colours = save(tmp_path / "colours.png", np.array([[[1, 2, 3]]], np.uint8))
    with pytest.raises(MaskValuesError, match=r"colours.png tells classes by colour") as error:
        read_values(colours)
    assert "a class map that says which colour is which" in error.value.expected
    wide = save(tmp_path / "wide.png", np.array([[0, 3000]], np.uint16))
    with pytest.raises(MaskValuesError, match=r"wide.png holds values from 0 to 3000"):
        read_values(wide)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    for name in ("broken.png", "missing.png"):
        with pytest.raises(DataError, match=f"the mask .*{name} cannot be read"):
            read_values(tmp_path / name)


def test_a_mask_file_gives_classes_in_the_size_of_its_image(tmp_path: Path):
    source = MaskFile(save(tmp_path / "a.png", VALUES), TABLE)
    assert source.mask((2, 3)).tolist() == [[5, 4, 3], [VOID, VOID, VOID]]
    assert source.mask((4, 6))[0].tolist() == [5, 5, 4, 4, 3, 3]
    assert source.mask((1, 3)).shape == (1, 3)


def test_a_mask_file_of_colours(tmp_path: Path):
    pixels = np.array([[[9, 0, 0], [0, 9, 0], [1, 1, 1]]], np.uint8)
    path = save(tmp_path / "a.png", pixels)
    source = MaskFile(path, TABLE, (((9, 0, 0), 0), ((0, 9, 0), 6)))
    assert source.mask((1, 3)).tolist() == [[0, 6, VOID]]


def test_a_mask_of_stored_pixels_is_turned_with_its_image(tmp_path: Path):
    path = save(tmp_path / "a.png", np.array([[0, 1, 2]], np.uint8))
    for orientation, expected in ((6, [[5], [4], [3]]), (8, [[3], [4], [5]]), (3, [[3, 4, 5]])):
        mask = MaskFile(path, TABLE, orientation=orientation).mask(np.shape(expected))
        assert mask.tolist() == expected


def test_other_masks_have_other_texts(tmp_path: Path):
    path = save(tmp_path / "a.png", VALUES)
    other = save(tmp_path / "b.png", VALUES[::-1])
    square = Polygons(((1, (box(0, 0, 2, 2),)),), (4, 4))
    runs = Polygons(((1, Runs(np.array([0, 2, 14]), (4, 4))),), (4, 4))
    sources = [
        MaskFile(path, TABLE),
        MaskFile(other, TABLE),
        MaskFile(path, TABLE + 1),
        MaskFile(path, TABLE, (((1, 2, 3), 4),)),
        MaskFile(path, TABLE, orientation=3),
        square,
        Polygons(square.outlines, (4, 5)),
        Polygons(square.outlines, (4, 4), 0),
        Polygons(square.outlines, (4, 4), orientation=3),
        Polygons(((2, (box(0, 0, 2, 2),)),), (4, 4)),
        Polygons(((1, (box(0, 0, 2, 3),)),), (4, 4)),
        runs,
        Polygons(((1, Runs(np.array([1, 2, 13]), (4, 4))),), (4, 4)),
        MaskArray(VALUES),
        MaskArray(VALUES.reshape(3, 2)),
    ]
    assert len({source.text() for source in sources}) == len(sources)
    assert MaskFile(path, TABLE).text() == MaskFile(path, TABLE.copy()).text()


# Outlines


@pytest.mark.parametrize(
    ("corners", "filled"),
    [
        ((2, 1, 5, 3), (2, 1, 5, 3)),
        ((0, 0, 8, 6), (0, 0, 8, 6)),
        ((-9, -9, 99, 99), (0, 0, 8, 6)),
        ((1.5, 1.5, 4.5, 3.5), (1, 1, 4, 3)),  # a middle on the left edge is in, on the right not
        ((1.6, 1.6, 4.4, 3.4), (2, 2, 4, 3)),
        ((1.4, 1.4, 4.6, 3.6), (1, 1, 5, 4)),
        ((3.6, 1, 4.4, 3), (0, 0, 0, 0)),  # between two middles
        ((20, 20, 30, 30), (0, 0, 0, 0)),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_box_is_filled_to_a_pixel(corners: tuple, filled: tuple, turned: bool):
    outline = box(*corners)
    mask = Polygons(((3, (outline[::-1] if turned else outline,)),), (6, 8), 0).mask((6, 8))
    left, top, right, bottom = filled
    expected = np.zeros((6, 8), np.uint8)
    expected[top:bottom, left:right] = 3
    assert np.array_equal(mask, expected)


def test_any_ring_is_filled_where_middles_are_inside():
    stream = np.random.default_rng(0)
    y, x = np.mgrid[:30, :40] + 0.5
    for _ in range(50):
        corners = stream.uniform(-10, 50, (stream.integers(3, 9), 2)).astype(np.float32)
        inside = np.zeros(x.shape, bool)
        for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, 0), strict=True):
            crosses = (ay > y) != (by > y)
            with np.errstate(divide="ignore", invalid="ignore"):
                inside ^= crosses & (x > ax + (y - ay) * (bx - ax) / (by - ay))
        mask = Polygons(((1, (corners,)),), (30, 40), 0).mask((30, 40))
        assert np.array_equal(mask == 1, inside)


def test_later_outlines_lie_on_earlier_ones_and_rings_beside_each_other():
    outlines = ((1, (box(0, 0, 3, 1), box(5, 0, 6, 1))), (2, (box(2, 0, 4, 1),)))
    assert Polygons(outlines, (1, 6)).mask((1, 6)).tolist() == [[1, 1, 2, 2, VOID, 1]]
    assert Polygons(outlines, (1, 6), 0).mask((2, 12))[1].tolist() == [
        *(1, 1, 1, 1, 2, 2, 2, 2, 0, 0, 1, 1)
    ]


def test_what_is_no_ring_fills_nothing():
    for corners in (ring(), ring(1, 1, 5, 5), ring(1, 1, np.nan, 5, 5, 1), ring(1, 1, 3, 1, 5, 1)):
        assert not Polygons(((1, (corners,)),), (6, 6), 0).mask((6, 6)).any()


def test_run_lengths_go_down_the_columns():
    runs = Runs(np.array([1, 2, 2, 1]), (2, 4))
    assert runs.inside().astype(int).tolist() == [[0, 1, 0, 0], [1, 0, 1, 0]]
    mask = Polygons(((7, runs),), (2, 4), 0).mask((4, 8))
    assert np.array_equal(mask, np.kron(runs.inside(), np.full((2, 2), 7)))


def test_outlines_of_stored_pixels_are_turned_with_their_image():
    outlines = ((1, (box(0, 0, 1, 1),)), (2, (box(2, 0, 3, 1),)))
    source = Polygons(outlines, (1, 3), 0, orientation=6)
    assert source.mask((3, 1)).tolist() == [[1], [0], [2]]


# Sizes and views


def test_resized_mixes_no_classes():
    stream = np.random.default_rng(0)
    mask = stream.choice(np.array([0, 200], np.uint8), (50, 70))
    for size in ((50, 70), (20, 30), (99, 33), (1, 1)):
        small = resized(mask, size)
        assert small.shape == size
        assert set(np.unique(small)) <= {0, 200}
    assert resized(mask, (100, 140))[1::2, ::2].tolist() == mask.tolist()
    assert resized(resized(mask, (150, 210)), (50, 70)).tolist() == mask.tolist()


def test_a_flipped_view():
    flip = View(np.array([[-1.0, 0, 3], [0, 1, 0]]), (0, 0, 3, 2), (2, 3), VALUES.shape)
    assert np.array_equal(move_mask(VALUES, flip), VALUES[:, ::-1])


def one_by_one(mask: np.ndarray, view: View) -> np.ndarray:
    """What ``move_mask`` gives, looked up pixel by pixel."""
    back = np.linalg.inv(np.vstack([view.matrix, [0, 0, 1]]))
    left, top, right, bottom = view.window
    moved = np.full(view.size, VOID, np.uint8)
    for row, column in np.ndindex(view.size):
        x, y = column + 0.5, row + 0.5
        at = [math.floor(a * x + b * y + shift) for a, b, shift in back[:2]]
        inside = all(0 <= place < side for place, side in zip(at[::-1], mask.shape, strict=True))
        if inside and left <= x <= right and top <= y <= bottom:
            moved[row, column] = mask[at[1], at[0]]
    return moved


@given(st.data())
def test_any_view_shows_what_lies_under_each_pixel(data: st.DataObject):
    def draw(low: float, high: float) -> float:
        return data.draw(st.floats(low, high, allow_subnormal=False))

    stream = np.random.default_rng(data.draw(st.integers(0, 99)))
    mask = stream.integers(0, 256, stream.integers(1, 12, 2), np.uint8)
    x, y = (data.draw(st.sampled_from((-1, 1))) * draw(0.2, 4) for _ in range(2))
    # Turned or sheared in every other example.
    turns = [draw(-0.5, 0.5) for _ in range(2)] if data.draw(st.booleans()) else [0.0, 0.0]
    assume(abs(x * y - turns[0] * turns[1]) > 0.05)
    matrix = np.array([[x, turns[0], draw(-9, 9)], [turns[1], y, draw(-9, 9)]])
    (left, right), (top, bottom) = (sorted((draw(-2, 14), draw(-2, 14))) for _ in range(2))
    size = (data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12)))
    view = View(matrix, (left, top, right, bottom), size, mask.shape)
    assert np.array_equal(move_mask(mask, view), one_by_one(mask, view))


def test_a_turned_view():
    # A quarter to the right: what was at the left edge is at the upper one.
    turned = View(np.array([[0.0, -1, 2], [1, 0, 0]]), (0, 0, 2, 3), (3, 2), VALUES.shape)
    assert np.array_equal(move_mask(VALUES, turned), np.rot90(VALUES, -1))


def test_a_scaled_view():
    double = View(np.array([[2.0, 0, 0], [0, 2, 0]]), (0, 0, 6, 4), (4, 6), VALUES.shape)
    assert np.array_equal(move_mask(VALUES, double), np.kron(VALUES, np.ones((2, 2), np.uint8)))


def test_around_a_letterboxed_mask_nothing_counts():
    placement = place((2, 4), Preprocessing(size=(8, 8), resize="letterbox"))
    moved = move_mask(np.array([[0, 1, 2, 3]] * 2, np.uint8), View.of(placement))
    assert (moved[:2] == VOID).all()
    assert (moved[6:] == VOID).all()
    assert moved[2:6].tolist() == [[0, 0, 1, 1, 2, 2, 3, 3]] * 4


def test_what_lies_outside_the_mask_does_not_count():
    shifted = View(np.array([[1.0, 0, 2], [0, 1, 0]]), (0, 0, 3, 2), (2, 3), VALUES.shape)
    assert move_mask(VALUES, shifted).tolist() == [[VOID, VOID, 0], [VOID, VOID, 3]]


def test_painting_over():
    below, above = np.array([[1, 2]], np.uint8), np.array([[VOID, 3]], np.uint8)
    assert painted([below, above]).tolist() == [[1, 3]]
    assert below.tolist() == [[1, 2]]
