"""Files to predictions, as a stream."""

import itertools
import threading
import time

import numpy as np
import pytest
from PIL import Image

from mobilens.errors import UsageError
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.vision import tasks
from mobilens.vision.files import predict_files


class Mean:
    """A toy task: its answer is the mean of the image."""

    @staticmethod
    def decode(outputs, _task, _placements):
        return list(outputs["mean"])


class MeanPredictor:
    task = TaskSpec("toy_mean", (), Preprocessing(size=(8, 8)))

    def __init__(self):
        self.batches = []

    def forward(self, pixels):
        assert pixels.dtype == np.uint8
        assert pixels.shape[1:] == (8, 8, 3)
        self.batches.append(len(pixels))
        return {"mean": pixels.mean((1, 2, 3), dtype=np.float32)}


@pytest.fixture(autouse=True)
def toy_task(monkeypatch):
    monkeypatch.setattr(tasks, "TASKS", dict(tasks.TASKS))
    tasks.register_task("toy_mean", Mean)


@pytest.fixture
def grey_files(tmp_path):
    """Twenty files, the n-th of grey n."""
    files = []
    for grey in range(20):
        files.append(tmp_path / f"{grey:02}.png")
        Image.new("RGB", (16, 12), (grey,) * 3).save(files[-1])
    return files


def decoding_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def wait_for(condition):
    until = time.monotonic() + 10
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize("threads", [None, 1, 3])
@pytest.mark.parametrize("batch_size", [1, 6, 100])
def test_answers_come_in_order_and_in_batches(grey_files, threads, batch_size):
    predictor = MeanPredictor()
    results = list(predict_files(predictor, grey_files, batch_size=batch_size, threads=threads))
    assert [result.path for result in results] == [str(path) for path in grey_files]
    assert [result.prediction for result in results] == list(range(20))
    assert all(result.error is None for result in results)
    assert max(predictor.batches) == min(batch_size, 20)
    assert len(predictor.batches) == -(-20 // batch_size)


def test_a_bad_file_is_a_row_in_its_place(grey_files, tmp_path):
    text = tmp_path / "notes.jpg"
    text.write_text("no image")
    files = [*grey_files[:3], tmp_path / "missing.png", *grey_files[3:5], text, tmp_path]
    predictor = MeanPredictor()
    results = list(predict_files(predictor, files, batch_size=4))
    assert [result.prediction for result in results] == [0, 1, 2, None, 3, 4, None, None]
    assert [result.error for result in results] == [
        None,
        None,
        None,
        "there is no such file",
        None,
        None,
        "not an image of a known format",
        "this is a folder, not an image",
    ]
    assert predictor.batches == [3, 2]


def test_the_engine_is_not_asked_about_nothing(tmp_path):
    predictor = MeanPredictor()
    assert list(predict_files(predictor, [])) == []
    (result,) = predict_files(predictor, [tmp_path / "missing.png"])
    assert result.error == "there is no such file"
    assert predictor.batches == []


def test_an_endless_list_of_files_is_taken_as_it_is_needed(grey_files):
    taken = 0

    def paths():
        nonlocal taken
        for path in itertools.cycle(grey_files):
            taken += 1
            yield path

    results = predict_files(MeanPredictor(), paths(), batch_size=4, threads=2)
    assert taken == 0
    first = list(itertools.islice(results, 40))
    assert [result.prediction for result in first] == [*range(20), *range(20)]
    assert 40 <= taken <= 40 + 12
    results.close()


def test_closing_ends_the_threads(grey_files):
    results = predict_files(MeanPredictor(), itertools.cycle(grey_files), threads=3)
    next(results)
    assert decoding_threads()
    results.close()
    assert wait_for(lambda: not decoding_threads())


def test_ctrl_c_while_the_engine_answers_ends_the_threads(grey_files):
    class Interrupted(MeanPredictor):
        def forward(self, pixels):
            if self.batches:
                raise KeyboardInterrupt
            return super().forward(pixels)

    results = predict_files(Interrupted(), itertools.cycle(grey_files), batch_size=5, threads=2)
    seen = []
    with pytest.raises(KeyboardInterrupt):
        seen.extend(iter(results.__next__, None))
    assert wait_for(lambda: not decoding_threads())


def test_ctrl_c_while_files_are_listed_ends_the_threads(grey_files):
    def paths():
        yield from grey_files
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(predict_files(MeanPredictor(), paths(), batch_size=5, threads=2))
    assert wait_for(lambda: not decoding_threads())


def test_the_next_files_are_decoded_while_the_engine_answers(grey_files, monkeypatch):
    from mobilens.vision import files

    decoded = []
    load = files.load_placed
    monkeypatch.setattr(
        files, "load_placed", lambda *given: (decoded.append(given), load(*given))[1]
    )

    class Waiting(MeanPredictor):
        def forward(self, pixels):
            # Ends only if the files of the next batch are decoded in the meantime.
            needed = min(len(self.batches) * 5 + 10, 20)
            assert wait_for(lambda: len(decoded) >= needed)
            return super().forward(pixels)

    assert len(list(predict_files(Waiting(), grey_files, batch_size=5, threads=2))) == 20


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"threads": -1}])
def test_wrong_numbers_are_refused_at_once(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(UsageError) as error:
        predict_files(MeanPredictor(), [], **wrong)
    assert error.value.given == f"{name} is {value}"
    assert error.value.expected == "1 or more"
