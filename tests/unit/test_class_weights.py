"""Weights of classes: when, and of what size."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mobilens.data.dataset import Dataset, Sample
from mobilens.observer import SILENT
from mobilens.training.recipe import Recipe
from mobilens.training.run import _class_weights

CPU = torch.device("cpu")


def weights(counts, balance="auto"):
    names = tuple(str(index) for index in range(len(counts)))
    samples = tuple(
        Sample(Path(f"{target}-{number}"), target)
        for target, count in enumerate(counts)
        for number in range(count)
    )
    recipe = Recipe("test", epochs=1, balance=balance)
    return _class_weights(Dataset(Path(), "train", names, samples), recipe, CPU, SILENT)


@given(st.lists(st.integers(1, 300), min_size=2, max_size=12))
def test_over_the_images_their_mean_is_one(counts):
    found = weights(counts, "weights")
    mean = sum(w * n for w, n in zip(found.tolist(), counts, strict=True)) / sum(counts)
    assert mean == pytest.approx(1, rel=1e-4)


def test_the_rarer_a_class_the_more_each_image_weighs():
    found = weights([10, 40, 160], "weights")
    assert (found[0] / found[1]).item() == pytest.approx(2)
    assert (found[1] / found[2]).item() == pytest.approx(2)


def test_they_come_by_themselves_from_ten_to_one_on():
    assert weights([99, 10]) is None
    assert weights([100, 10]) is not None


def test_they_can_be_had_always_and_never():
    assert weights([10, 10], "weights").tolist() == [1, 1]
    assert weights([1000, 1], "none") is None


def test_a_class_without_training_images_divides_by_nothing():
    found = weights([10, 0])
    assert found.isfinite().all()
