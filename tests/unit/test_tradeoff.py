"""The picture of accuracy against latency: its front, its axes, its labels."""

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilens.report.tradeoff import (
    DOT,
    Panel,
    Point,
    _Box,
    _label_box,
    front,
    place_labels,
    time_ticks,
    tradeoff,
)

SVG = "{http://www.w3.org/2000/svg}"


def point(ms: float, value: float, name: str = "", interval=None) -> Point:
    return Point(name or f"{ms}", "onnxruntime", ms, value, interval)


def test_the_front_holds_what_none_beats():
    quick, good, both = point(1, 0.7), point(3, 0.9), point(2, 0.8)
    worse, slower = point(2.5, 0.75), point(4, 0.9)
    found = front([good, slower, worse, quick, both], more_is_better=True)
    assert found == [quick, both, good]


def test_of_sizes_the_smaller_is_better():
    small, quick, neither = point(3, 2.0), point(1, 9.0), point(4, 9.0)
    assert front([neither, small, quick], more_is_better=False) == [quick, small]


def test_twins_are_on_the_front_together():
    one, other = point(1, 0.7, "a"), point(1, 0.7, "b")
    assert front([one, other, point(1, 0.6)], more_is_better=True) == [one, other]


@given(st.lists(st.tuples(st.floats(0.01, 1e3), st.floats(0, 1)), min_size=1))
def test_every_other_point_is_beaten_by_one_of_the_front(pairs):
    points = [point(ms, value, str(index)) for index, (ms, value) in enumerate(pairs)]
    best = front(points, more_is_better=True)
    for one in points:
        beaten = any(
            other.ms <= one.ms
            and other.value >= one.value
            and (other.ms, other.value) != (one.ms, one.value)
            for other in points
        )
        assert (one in best) == (not beaten)


@given(st.floats(1e-3, 1e4), st.floats(1, 1e3))
def test_times_span_their_range_with_few_marks(low, factor):
    marks = time_ticks(low, low * factor)
    assert marks == sorted(set(marks))
    assert marks[0] <= low
    assert marks[-1] >= low * factor
    assert 2 <= len(marks) <= 10


@given(st.lists(st.tuples(st.floats(60, 370), st.floats(60, 260)), min_size=1, max_size=16))
def test_labels_do_not_collide(dots):
    texts = [str(number) for number in range(1, len(dots) + 1)]
    inside = _Box(44, 52, 386, 274)
    places = place_labels(dots, texts, inside)
    boxes = [_label_box(x, y, text) for (x, y), text in zip(places, texts, strict=True)]
    for one, other in combinations(boxes, 2):
        assert one.overlap(other) < 1e-6
    for x, y in dots:
        circle = _Box(x - DOT, y - DOT, x + DOT, y + DOT)
        assert all(circle.overlap(box) < 1e-6 for box in boxes)


def test_sixteen_files_on_one_spot_are_told_apart():
    dots = [(200.0, 150.0)] * 16
    texts = [str(number) for number in range(1, 17)]
    boxes = [
        _label_box(x, y, text)
        for (x, y), text in zip(
            place_labels(dots, texts, _Box(44, 52, 386, 274)), texts, strict=True
        )
    ]
    assert all(one.overlap(other) == 0 for one, other in combinations(boxes, 2))


def test_the_picture_is_well_formed_and_names_its_front():
    points = [
        point(1.5, 0.8, "a & b.onnx", (0.75, 0.85)),
        point(3.0, 0.9, "<c>.onnx", (0.86, 0.93)),
        point(4.0, 0.6, "d.onnx", (0.5, 0.7)),
    ]
    drawn = tradeoff([Panel('Board "9"', points)], accuracy=True)
    root = ElementTree.fromstring(drawn)
    words = root.attrib["aria-label"]
    assert "a & b.onnx 1.50 ms 80.0 %, <c>.onnx 3.00 ms 90.0 %" in words
    assert "d.onnx" not in words
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"a & b.onnx", "<c>.onnx", "d.onnx", 'Board "9"', "60.0 %"} <= set(texts)
    assert len([one for one in root.iter(f"{SVG}line") if "whisker" in one.attrib["class"]]) == 3
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("points", [[point(2, 0.5)], [point(2, 0.5)] * 3, [point(2, 0.0)]])
def test_a_single_place_is_drawn_too(points):
    for accuracy in (True, False):
        root = ElementTree.fromstring(tradeoff([Panel("one", points)], accuracy=accuracy))
        width, height = map(float, root.attrib["viewBox"].split()[2:])
        for circle in root.iter(f"{SVG}circle"):
            assert 0 < float(circle.attrib["cx"]) < width
            assert 0 < float(circle.attrib["cy"]) < height


def test_each_machine_has_its_own_plot():
    drawn = tradeoff([Panel("one", [point(1, 5.0)]), Panel("two", [point(9, 5.0)])], accuracy=False)
    offsets = [float(found) for found in re.findall(r"translate\(0 ([\d.]+)\)", drawn)]
    assert len(offsets) == 2
    assert offsets[1] - offsets[0] > 300
