"""Scenes of the demo: what is drawn is what the labels say."""

import numpy as np
import pytest

from mobilens.data.dataset import load_splits
from mobilens.demo.scenes import LARGE_SIDES, SCENES, SIDE, SIDES, scenes, write_boxes, write_masks
from mobilens.vision.image import decode_image


def test_boxes_lie_around_the_ink_of_the_masks():
    for scene in list(scenes("val"))[:20]:
        assert scene.image.shape == (SIDE, SIDE, 3)
        assert set(np.unique(scene.mask)) - {0} == {value + 1 for value in scene.values}
        for value, box in zip(scene.values, scene.boxes.astype(int), strict=True):
            left, top, right, bottom = box
            rows, columns = np.nonzero(scene.mask[top:bottom, left:right] == value + 1)
            assert (columns.min(), columns.max() + 1) == (0, right - left)
            assert (rows.min(), rows.max() + 1) == (0, bottom - top)


def test_scenes_are_the_same_every_time():
    first, second = (next(scenes("train")) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.mask, second.mask)


@pytest.mark.parametrize(("write", "labels"), [(write_boxes, "boxes"), (write_masks, "masks")])
def test_what_is_written_is_read_as_any_data(write, labels, tmp_path):
    assert write(tmp_path) == sum(SCENES.values())
    splits = load_splits(tmp_path, labels=labels)
    assert splits.notes == ()
    digits = tuple(str(value) for value in range(10))
    assert splits.train.class_names == (digits if labels == "boxes" else ("paper", *digits))
    assert {"train": len(splits.train), "val": len(splits.val)} == SCENES
    scene = next(scenes("val", LARGE_SIDES if labels == "masks" else SIDES))
    sample = min(splits.val.samples, key=lambda one: one.path)
    assert np.array_equal(decode_image(sample.path), scene.image)
    if labels == "masks":
        assert np.array_equal(sample.target.mask((SIDE, SIDE)), scene.mask)
    else:
        assert np.allclose(sample.target.boxes, scene.boxes, atol=0.01)
        assert sample.target.classes.tolist() == list(scene.values)
