"""A run killed at any moment goes on to the same bytes."""

import csv
import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mobilens.errors import WeightsError
from mobilens.observer import SilentObserver
from mobilens.training.augment import Augmentation
from mobilens.training.folder import settings_of_run
from mobilens.training.recipe import Recipe, build_recipe
from mobilens.training.run import run_training
from mobilens.training.settings import TrainSettings

SEED = 20240229
EPOCHS = 12


def settings(photos, epochs, **others):
    # Mixing, erasing, dropout, momentum, moving average: everything that a restart could lose.
    rough = Augmentation(random_erasing=0.3, mixup=0.2, cutmix=1.0)
    recipe = Recipe("rough", epochs, batch_size=8, ema_epochs=1, dropout=0.3, augmentation=rough)
    return TrainSettings(
        source=(str(photos),),
        recipe=recipe,
        width=0.25,
        resolution=32,
        weights="none",
        device="cpu",
        **others,
    )


@pytest.fixture(scope="module")
def photos(write_photos, tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("data") / "tints", count=20)


def contents(folder, *names):
    return {name: (folder / name).read_bytes() for name in names}


def logged(folder):
    """Epochs in the log, and their figures less the time they took."""
    with (folder / "log.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


# Every moment between two writes, in one process


class Killed(BaseException):
    """Stands for a kill; nothing catches it."""


class Deadline:
    """Kills the run at the n-th time that a file is about to be renamed, or just was."""

    def __init__(self, patch, at):
        self.left, self._replace = at, Path.replace
        patch.setattr(Path, "replace", lambda path, target: self.replace(path, target))

    def replace(self, path, target):
        self.count()
        result = self._replace(path, target)
        self.count()
        return result

    def count(self):
        self.left -= 1
        if self.left == 0:
            raise Killed


@pytest.fixture(scope="module")
def weights(photos, tmp_path_factory):
    """A checkpoint to begin with."""
    folder = tmp_path_factory.mktemp("weights")
    return run_training(settings(photos, 1), folder, SilentObserver()).checkpoint


@pytest.mark.slow
@pytest.mark.parametrize("transfer", [False, True], ids=["scratch", "transfer"])
def test_a_run_stopped_at_any_write_goes_on_to_the_same_bytes(
    photos, weights, tmp_path, monkeypatch, transfer
):
    names = ("best.safetensors", "last.safetensors", "recipe.json")
    asked = settings(photos, 2)
    if transfer:
        recipe = replace(build_recipe("transfer"), epochs=2, cycles=2, batch_size=8)
        asked = replace(asked, weights=str(weights), recipe=recipe)
    whole = tmp_path / "whole"
    run_training(asked, whole, SilentObserver())
    for at in range(1, 100):
        folder = tmp_path / str(at)
        try:
            with monkeypatch.context() as patch:
                Deadline(patch, at)
                run_training(asked, folder, SilentObserver())
        except Killed:
            # Before its settings are there a run has not begun, and is begun anew.
            begun = (folder / "recipe.json").exists()
            again = settings_of_run(folder) if begun else asked
            run_training(again, folder, SilentObserver())
            assert contents(folder, *names) == contents(whole, *names), at
            assert logged(folder) == logged(whole), at
        else:
            break
    # Settings twice, the log once, and in each epoch the state and, at first at least, the best.
    assert at > 2 * (2 + 1 + 2 + 1)


def test_what_a_killed_process_left_half_written_is_removed(photos, tmp_path):
    for name in (
        ".best.4194999.tmp.safetensors",
        ".model.4194999.tmp.onnx",
        ".report.4194999.tmp.html",
    ):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".mine.tmp").write_bytes(b"not ours")
    run_training(settings(photos, 1), tmp_path, SilentObserver())
    left = {file.name for file in tmp_path.iterdir() if file.name.startswith(".")}
    assert left == {".mine.tmp"}


def test_a_damaged_state_is_named(photos, tmp_path):
    run_training(settings(photos, 1), tmp_path, SilentObserver())
    (tmp_path / "last.safetensors").write_bytes(b"half a file")
    with pytest.raises(WeightsError, match=r"last\.safetensors is not a readable safetensors"):
        run_training(settings_of_run(tmp_path), tmp_path, SilentObserver())


# Real kills


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "mobilens", "train", *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out, err


def wait_for(process, folder, epoch):
    """Wait until the log has this many epochs, or until the settings are there for none."""
    path = folder / ("log.csv" if epoch else "recipe.json")
    for _ in range(6000):
        assert process.poll() is None, process.stderr.read()
        if path.is_file() and (epoch == 0 or len(logged(folder)) >= epoch):
            return
        time.sleep(0.02)
    pytest.fail(f"{path} never came")


@pytest.fixture(scope="module")
def uninterrupted(photos, tmp_path_factory):
    root = tmp_path_factory.mktemp("uninterrupted")
    settings(photos, EPOCHS).save(root / "rough.json")
    finish(start("--recipe", root / "rough.json", "--out", root / "run"))
    return root / "run"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
def test_a_run_killed_again_and_again_ends_in_the_same_bytes(uninterrupted, tmp_path):
    moments = random.Random(SEED)
    folder = tmp_path / "run"
    recipe = uninterrupted.parent / "rough.json"
    process = start("--recipe", recipe, "--out", folder)
    # Before the first epoch; by Ctrl-C; in the middle; after the last, while the file is made.
    stops = [
        (0, signal.SIGKILL, 1.0),
        (2, signal.SIGINT, 0.5),
        (moments.randint(4, 10), signal.SIGKILL, 0.5),
        (EPOCHS, signal.SIGKILL, 0.1),  # a fast machine makes the file in half a second
    ]
    for epoch, stop, spread in stops:
        wait_for(process, folder, epoch)
        time.sleep(moments.uniform(0, spread))
        process.send_signal(stop)
        out, err = process.communicate(timeout=60)
        # What comes after the last epoch may be done before a busy machine sends the signal.
        assert out == "" or (epoch == EPOCHS and "verified: every answer" in out)
        if stop == signal.SIGINT:
            _require_clean_stop(process, folder, err)
        process = start("--resume", folder)
    out, err = finish(process)
    assert f"going on after epoch {EPOCHS} of {EPOCHS}" in err
    assert "verified: every answer is the checkpoint's" in out
    names = ("best.safetensors", "last.safetensors", "model.onnx")
    assert contents(folder, *names) == contents(uninterrupted, *names)
    assert [row["epoch"] for row in logged(folder)] == [str(n + 1) for n in range(EPOCHS)]
    assert logged(folder) == logged(uninterrupted)
    assert not [file.name for file in folder.iterdir() if file.name.startswith(".")]


def _require_clean_stop(process, folder, err):
    assert process.returncode == 130
    assert err.endswith(
        f"mobilens train: stopped; {folder} holds what is done\n"
        f"  try: mobilens train --resume {folder}\n"
    )
    assert "Traceback" not in err
    assert not [file.name for file in folder.iterdir() if re.match(r"\..*tmp", file.name)]
