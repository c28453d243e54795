"""Images in memory: what decodes is kept in order, what does not is named."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from mobilens.data.dataset import Dataset, Sample
from mobilens.errors import ImageError
from mobilens.training import cache
from mobilens.training.cache import read_all
from mobilens.vision.image import Placed
from mobilens.vision.resize import place_whole


def dataset(count):
    samples = tuple(Sample(Path(f"{index}.png"), index % 2) for index in range(count))
    return Dataset(Path(), "train", ("a", "b"), samples)


def placed(pixels):
    return Placed(pixels, place_whole(pixels.shape[:2], min(pixels.shape[:2])))


def decode(path):
    """An image of its own size and value for every name; every seventh is broken."""
    number = int(path.stem)
    if number % 7 == 3:
        raise ImageError(f"{path} is broken")
    return placed(np.full((4 + number % 3, 5, 3), number % 256, np.uint8))


def test_images_come_in_the_order_of_the_samples():
    got = read_all(dataset(200), decode)
    kept = [number for number in range(200) if number % 7 != 3]
    assert [sample.path.stem for sample in got.dataset.samples] == [str(n) for n in kept]
    assert len(got) == len(kept)
    assert [one.target_size[0] for one in got.placements] == [4 + n % 3 for n in kept]
    for index, number in enumerate(kept):
        assert got[index].shape == (3, 4 + number % 3, 5)
        assert got[index].unique().tolist() == [number % 256]


def test_what_does_not_decode_is_named_with_its_reason():
    got = read_all(dataset(12), decode)
    assert [(item.path, item.reason) for item in got.skipped] == [
        ("3.png", "3.png is broken"),
        ("10.png", "10.png is broken"),
    ]
    assert got.dataset.class_counts() == {"a": 5, "b": 5}


def test_nothing_skipped_keeps_the_data_set():
    whole = dataset(3)
    got = read_all(whole, decode)
    assert got.dataset == whole
    assert got.skipped == ()


def test_other_errors_are_not_swallowed():
    def fail(_):
        raise MemoryError

    with pytest.raises(MemoryError):
        read_all(dataset(3), fail)


def test_images_beyond_the_limit_lie_in_a_file(monkeypatch):
    monkeypatch.setattr(cache, "MEMORY_LIMIT", 500)
    got = read_all(dataset(60), decode)
    in_memory = sum(not isinstance(image, np.memmap) for image in got._images)
    assert 5 <= in_memory <= 8
    kept = [number for number in range(60) if number % 7 != 3]
    for index, number in enumerate(kept):
        assert got[index].shape == (3, 4 + number % 3, 5)
        assert got[index].unique().tolist() == [number % 256]


def test_images_of_one_size_are_stacked(monkeypatch):
    monkeypatch.setattr(cache, "MEMORY_LIMIT", 50)
    got = read_all(dataset(8), lambda path: placed(np.full((2, 3, 3), int(path.stem), np.uint8)))
    assert got.stacked([6, 1]).shape == (2, 2, 3, 3)
    assert got.stacked([6, 1])[:, 0, 0, 0].tolist() == [6, 1]


def test_an_image_is_a_view_in_channels_last():
    image = read_all(dataset(1), decode)[0]
    assert image[None].is_contiguous(memory_format=torch.channels_last)


def test_decoding_runs_on_every_core(monkeypatch):
    monkeypatch.setattr("mobilens.training.cache.usable_cores", lambda: 2)
    both = threading.Barrier(2, timeout=30)

    def meet(_):
        both.wait()  # passes only where two threads come at once
        return placed(np.zeros((1, 1, 3), np.uint8))

    assert len(read_all(dataset(4), meet)) == 4


def test_an_observer_sees_every_sample_once(watcher):
    read_all(dataset(150), decode, observer=watcher, label="reading")
    assert watcher.bars == [("reading", 150)]
    assert [sample.path.stem for sample in watcher.seen] == [str(n) for n in range(150)]
