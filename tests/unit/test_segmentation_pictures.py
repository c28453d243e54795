"""Pictures of classes: masks that keep every value, and photos that lose their background."""

import numpy as np
import pytest

from mobilens.errors import UsageError
from mobilens.spec.task import TaskSpec
from mobilens.vision.drawing import PALETTE
from mobilens.vision.segmentation import PICTURES, SegmentationPrediction, colour_of

TWO = TaskSpec("segment", ("background", "person"))
MANY = TaskSpec("segment", tuple(f"class {number}" for number in range(12)))
IMAGE = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
CLASSES = np.arange(24, dtype=np.uint8).reshape(4, 6) % 12
CHANCES = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6)


def two(chances=CHANCES):
    return SegmentationPrediction((chances > 0.5).astype(np.uint8), TWO.class_names, chances)


def many():
    return SegmentationPrediction(CLASSES, MANY.class_names)


def test_every_class_has_a_colour_of_its_own():
    colours = [colour_of(number) for number in range(255)]
    assert colours[: len(PALETTE)] == list(PALETTE)
    assert len(set(colours)) == 255


def test_a_palette_mask_holds_classes_and_shows_their_colours():
    picture = PICTURES["palette"](MANY)(IMAGE, many())
    assert (picture.mode, picture.size) == ("P", (6, 4))
    assert np.array_equal(np.asarray(picture), CLASSES)
    shown = np.asarray(picture.convert("RGB"))
    colours = np.array([colour_of(number) for number in range(12)])
    assert np.array_equal(shown, colours[CLASSES])


def test_an_alpha_mask_is_the_second_classs_probability():
    picture = PICTURES["alpha"](TWO)(IMAGE, two())
    assert picture.mode == "L"
    assert np.array_equal(np.asarray(picture), (255 * CHANCES).round())
    beyond = PICTURES["alpha"](TWO)(IMAGE, two(CHANCES * 1.2 - 0.1))
    assert (np.asarray(beyond).min(), np.asarray(beyond).max()) == (0, 255)


def test_alpha_of_many_classes_is_refused():
    with pytest.raises(UsageError) as refused:
        PICTURES["alpha"](MANY)
    assert str(refused.value) == (
        "the model has 12 classes: which one alpha masks show is not known\n"
        "  expected: a model of two classes\n"
        "  try: --mask-style palette"
    )


def test_what_is_cut_out_is_soft_of_two_classes_and_has_edges_of_many():
    soft = np.asarray(PICTURES["cutout"](TWO)(IMAGE, two()))
    assert np.array_equal(soft[..., :3], IMAGE)
    assert np.array_equal(soft[..., 3], (255 * CHANCES).round())
    hard = np.asarray(PICTURES["cutout"](MANY)(IMAGE, many()))
    assert np.array_equal(hard[..., :3], IMAGE)
    assert np.array_equal(hard[..., 3], 255 * (CLASSES != 0))


def test_an_answer_of_another_size_is_brought_to_the_images():
    large = IMAGE.repeat(2, 0).repeat(2, 1)
    doubled = np.kron(CLASSES, np.ones((2, 2), np.uint8))
    assert np.array_equal(np.asarray(PICTURES["palette"](MANY)(large, many())), doubled)
    assert PICTURES["cutout"](TWO)(large, two()).size == (12, 8)
