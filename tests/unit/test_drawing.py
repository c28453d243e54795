"""Boxes with words, drawn on pictures of any size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilens.vision.drawing import PAPER, Mark, _dashes, draw_boxes, draw_marks

GREY = (128, 128, 128)
BLUE = (0, 104, 168)
PURPLE = (132, 30, 132)


def page(height: int, width: int):
    return np.full((height, width, 3), GREY, np.uint8)


def where(pixels, colour):
    """Rows and columns of a colour: first and last of each."""
    rows, columns = np.nonzero((pixels == colour).all(2))
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_a_box_lies_on_its_first_and_last_pixels_with_white_around():
    image = page(300, 400)
    drawn = draw_marks(image, [Mark((50.2, 60, 149.8, 210), BLUE, "")])
    assert where(drawn, BLUE) == (60, 209, 50, 149)
    assert where(drawn, PAPER) == (59, 210, 49, 150)
    assert tuple(drawn[120, 100]) == GREY
    assert (image == GREY).all()


def test_a_dashed_box_has_gaps_and_corners():
    drawn = draw_marks(page(300, 400), [Mark((50, 60, 150, 210), PURPLE, "", dashed=True)])
    assert where(drawn, PURPLE) == (60, 209, 50, 149)
    side = (drawn[60, 50:150] == PURPLE).all(1)
    assert side[0]
    assert side[-1]
    assert 0.4 < side.mean() < 0.9


def test_words_of_what_was_missed_do_not_hide_those_of_what_was_found():
    box = (50, 100, 250, 200)
    marks = [Mark(box, BLUE, "cat 90 %"), Mark(box, PURPLE, "dog", dashed=True)]
    drawn = draw_marks(page(300, 400), marks)
    top, _, _, _ = where(drawn, BLUE)
    _, bottom, _, _ = where(drawn, PURPLE)
    assert top < 90
    assert bottom > 210


def test_the_surest_lies_on_top():
    boxes = np.array([[40, 40, 90, 90], [40, 40, 90, 90]], np.float32)
    drawn = draw_boxes(page(120, 120), boxes, np.array([1, 0]), ["", ""])
    assert not (drawn == BLUE).all(2).any()  # the colour of kind 0


@pytest.mark.parametrize("words", ["", "a very long name that no picture of this size can hold"])
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.lists(st.tuples(*[st.floats(-200, 200)] * 4), max_size=3),
    st.booleans(),
)
def test_any_box_on_any_picture(words, height, width, boxes, dashed):
    marks = [Mark(box, BLUE, words, dashed) for box in boxes]
    drawn = draw_marks(page(height, width), marks)
    assert drawn.shape == (height, width, 3)
    if boxes:
        # Whatever lies outside is drawn at the edge: nothing that was found is lost.
        assert (drawn != GREY).any()


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 60))
def test_dashes_begin_and_end_at_the_corners(first, more, length):
    dashes = _dashes(first, first + more, length)
    assert dashes[0][0] == first
    assert dashes[-1][1] == first + more
    assert all(first <= start <= end <= first + more for start, end in dashes)
