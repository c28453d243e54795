"""Every task's training goes on where it was stopped, and may be shared by two processes."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from mobilens.nn.checkpoint import Checkpoint
from mobilens.observer import SilentObserver
from mobilens.training.recipe import OF_TASK
from mobilens.training.run import run_training
from mobilens.training.settings import TrainSettings

FILES = ("best.safetensors", "last.safetensors")


def settings_for(task, write_scenes, folder):
    return TrainSettings(
        source=(str(write_scenes(folder / "scenes", task)),),
        task=task,
        epochs=3,
        batch_size=4,
        width=0.25,
        resolution=64,
        weights="none",
        device="cpu",
    )


class StopsAfterTheSecondEpoch(SilentObserver):
    """An observer in whose hands Ctrl-C is pressed."""

    def say(self, text):
        if text.startswith("epoch   2/3"):
            raise KeyboardInterrupt


@pytest.mark.parametrize("task", OF_TASK)
def test_a_stopped_run_ends_in_the_same_bytes(task, write_scenes, tmp_path):
    settings = settings_for(task, write_scenes, tmp_path)
    whole = run_training(settings, tmp_path / "whole", SilentObserver())
    with pytest.raises(KeyboardInterrupt):
        run_training(settings, tmp_path / "stopped", StopsAfterTheSecondEpoch())
    resumed = run_training(
        TrainSettings.load(tmp_path / "stopped" / "recipe.json"),
        tmp_path / "stopped",
        SilentObserver(),
    )
    assert resumed.history == whole.history
    for name in FILES:
        assert (tmp_path / "stopped" / name).read_bytes() == (
            tmp_path / "whole" / name
        ).read_bytes()


def test_a_run_says_in_its_checkpoint_that_boxes_are_chosen_whatever_their_class(
    write_scenes, tmp_path
):
    settings = replace(
        settings_for("detect", write_scenes, tmp_path), epochs=1, class_agnostic=True
    )
    result = run_training(settings, tmp_path / "run", SilentObserver())
    assert Checkpoint.load(result.checkpoint).task.class_agnostic
    assert TrainSettings.load(tmp_path / "run" / "recipe.json").class_agnostic


@pytest.mark.slow
@pytest.mark.parametrize("task", OF_TASK)
def test_two_processes_train_and_one_delivers(task, write_scenes, tmp_path):
    settings = replace(settings_for(task, write_scenes, tmp_path), epochs=1)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words = ["train", *settings.source, "--task", task, "--epochs", "1", "--batch-size", "4"]
    words += ["--width", "0.25", "--resolution", "64", "--weights", "none", "--json"]
    done = subprocess.run(
        [*launcher, "-m", "mobilens", *words, "--out", tmp_path / "run"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == str(tmp_path / "run" / "model.onnx")
