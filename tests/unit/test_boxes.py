"""Box geometry: overlaps, suppression, and boxes that keep up with their image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilens.spec.task import Preprocessing
from mobilens.training.cut import Cut, Rectangle
from mobilens.vision.boxes import (
    BoxTarget,
    areas,
    best_boxes,
    iou,
    merge_boxes,
    move_boxes,
    suppress,
)
from mobilens.vision.resize import place
from mobilens.vision.view import View


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


def target(*rows, classes=None):
    count = len(rows)
    numbers = np.array(classes if classes is not None else [0] * count, np.int64)
    return BoxTarget(boxes(*rows), numbers, np.zeros(count, bool))


def test_areas_and_overlaps_by_hand():
    a = boxes((0, 0, 4, 2), (2, 2, 1, 5))
    assert areas(a).tolist() == [8, 0]
    overlap = iou(boxes((0, 0, 4, 2)), boxes((2, 0, 6, 2), (0, 0, 4, 2), (9, 9, 10, 10)))
    assert overlap[0] == pytest.approx([4 / 12, 1, 0])
    assert iou(boxes((1, 1, 1, 1)), boxes((1, 1, 1, 1))).tolist() == [[0]]
    assert iou(boxes(), boxes((0, 0, 1, 1))).shape == (0, 1)


def test_suppression_leaves_the_best_of_each_class():
    found = boxes((0, 0, 10, 10), (1, 0, 11, 10), (1, 0, 11, 10), (30, 30, 40, 40))
    classes = np.array([0, 0, 1, 0])
    assert suppress(found, classes, 0.5, 10).tolist() == [0, 2, 3]
    assert suppress(found, np.zeros(4, int), 0.5, 10).tolist() == [0, 3]
    assert suppress(found, classes, 0.5, 2).tolist() == [0, 2]
    # An overlap of exactly as much is allowed.
    exact = iou(found[:1], found[1:2]).item()
    assert suppress(found, classes, exact, 10).tolist() == [0, 1, 2, 3]
    assert suppress(boxes(), np.zeros(0, int), 0.5, 10).tolist() == []


def test_best_boxes_are_sorted_limited_and_of_equals_the_first():
    cells = boxes((0, 0, 10, 10), (20, 20, 30, 30), (40, 40, 50, 50))
    scores = np.array([[0.5, 0.1], [0.9, 0.5], [0.05, 0.5]], np.float32)
    found, values, classes = best_boxes(cells, scores, 10, 10, 0.5, 0.1, False)
    assert values.tolist() == pytest.approx([0.9, 0.5, 0.5, 0.5, 0.1])
    assert classes.tolist() == [0, 0, 1, 1, 1]
    assert found[1].tolist() == [0, 0, 10, 10]
    assert len(best_boxes(cells, scores, 2, 10, 0.5, 0.1, False)[0]) == 2
    assert len(best_boxes(cells, scores, 10, 3, 0.5, 0.1, False)[0]) == 3


def test_whatever_their_class_each_cell_counts_once_and_all_are_rivals():
    cells = boxes((0, 0, 10, 10), (1, 0, 11, 10), (40, 40, 50, 50))
    scores = np.array([[0.5, 0.4], [0.3, 0.9], [0.2, 0.2]], np.float32)
    found, values, classes = best_boxes(cells, scores, 10, 10, 0.5, 0.1, True)
    assert found.tolist() == [[1, 0, 11, 10], [40, 40, 50, 50]]
    assert values.tolist() == pytest.approx([0.9, 0.2])
    assert classes.tolist() == [1, 0]  # of equals the first


def naive(cells, scores, candidates, most, max_iou, least, class_agnostic):
    """The definition, pair by pair."""
    numbers = range(scores.shape[1])
    pairs = [
        (-score, cell, label)
        for cell, row in enumerate(scores.tolist())
        for label, score in enumerate(row)
        if score >= least and (label == max(numbers, key=row.__getitem__) or not class_agnostic)
    ]
    kept = []
    for score, cell, label in sorted(pairs)[:candidates]:
        rivals = [one for _, one, other in kept if class_agnostic or other == label]
        overlaps = iou(cells[[cell]], cells[rivals])[0]
        if len(kept) < most and (overlaps <= max_iou).all():
            kept.append((score, cell, label))
    return kept


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 30),
    st.integers(1, 4),
    st.integers(1, 40),
    st.integers(1, 20),
    st.booleans(),
)
def test_chosen_boxes_are_those_of_the_definition(seed, count, classes, candidates, most, agnostic):
    stream = np.random.default_rng(seed)
    low = stream.integers(0, 12, (count, 2))
    cells = np.concatenate([low, low + stream.integers(1, 9, (count, 2))], 1).astype(np.float32)
    scores = (stream.integers(0, 8, (count, classes)) / 7).astype(np.float32)  # many are equal
    found, values, labels = best_boxes(cells, scores, candidates, most, 0.4, 0.2, agnostic)
    kept = naive(cells, scores, candidates, most, 0.4, 0.2, agnostic)
    assert found.tolist() == [cells[cell].tolist() for _, cell, _ in kept]
    assert values.tolist() == [-score for score, _, _ in kept]
    assert labels.tolist() == [label for _, _, label in kept]


@given(
    st.tuples(st.integers(8, 200), st.integers(8, 200)),
    st.lists(st.floats(0.02, 0.98), min_size=4, max_size=4),
    st.sampled_from(["letterbox", "squash", "crop"]),
)
def test_boxes_go_into_the_input_and_come_back(size, corners, resize):
    height, width = size
    x0, x1 = sorted((corners[0] * width, corners[1] * width))
    y0, y1 = sorted((corners[2] * height, corners[3] * height))
    placement = place(size, Preprocessing(size=(64, 96), resize=resize))
    view = View.of(placement)
    points = np.array([[x0, y0], [x1, y1]])
    assert placement.to_image(view.points(points)) == pytest.approx(points, abs=1e-6)
    assert view.points(points) == pytest.approx(placement.to_input(points), abs=1e-6)


def test_a_mirrored_cut_mirrors_its_boxes():
    cut = Cut(Rectangle(10, 20, 40, 60), Rectangle(0, 0, 80, 120), (80, 120), (50, 80), flip=True)
    moved = move_boxes(target((20, 10, 50, 50)), cut.view())
    assert moved.boxes.tolist() == [[60, 0, 120, 80]]


def test_what_a_view_cuts_off_is_cut_and_what_it_hardly_shows_is_left_out():
    cut = Cut(Rectangle(0, 0, 50, 50), Rectangle(0, 0, 50, 50), (50, 50), (70, 70))
    things = target((40, 0, 60, 20), (46, 0, 66, 20), (60, 60, 70, 70), classes=[2, 1, 0])
    moved = move_boxes(things, cut.view())
    assert moved.boxes.tolist() == [[40, 0, 50, 20], [46, 0, 50, 20]]
    assert moved.classes.tolist() == [2, 1]
    thin = move_boxes(target((49, 0, 69, 20)), cut.view())
    assert len(thin) == 0


def test_views_after_each_other_are_one():
    first = Cut(Rectangle(0, 0, 20, 40), Rectangle(5, 6, 10, 20), (32, 32), (20, 40)).view()
    second = Cut(
        Rectangle(2, 3, 30, 30), Rectangle(0, 0, 60, 60), (60, 60), (32, 32), flip=True
    ).view()
    points = np.array([[3.0, 4.0], [17.0, 8.0]])
    assert first.then(second).points(points) == pytest.approx(second.points(first.points(points)))


def test_merging_keeps_everything_in_order():
    both = merge_boxes([target((0, 0, 1, 1), classes=[3]), target((2, 2, 3, 3), classes=[1])])
    assert both.boxes.tolist() == [[0, 0, 1, 1], [2, 2, 3, 3]]
    assert both.classes.tolist() == [3, 1]
