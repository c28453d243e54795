"""Every task's nets in 8 bits: built, measured, proven.

All of them on all runtimes take two minutes; here each task meets two, each runtime one or more.
"""

from dataclasses import replace

import pytest
from tests.contract.test_task_training import settings_for

from mobilens.cli import main
from mobilens.exporting.targets import TARGETS
from mobilens.observer import SilentObserver
from mobilens.runtime.bundle import read_manifest
from mobilens.runtime.formats import FORMATS
from mobilens.training.recipe import OF_TASK
from mobilens.training.run import run_training
from mobilens.vision.tasks import task_vision

pytestmark = pytest.mark.slow
MET = {
    "detect": ("onnx", "litert"),
    "segment": ("openvino", "executorch"),
    "keypoints": ("ncnn", "onnx"),
    "embed": ("litert", "openvino"),
}


def test_every_task_and_every_runtime_with_integers_is_here():
    assert set(MET) == set(OF_TASK)
    met = {target for targets in MET.values() for target in targets}
    assert met == {name for name, kind in TARGETS.items() if "int8" in kind.precisions}


@pytest.fixture(scope="module", params=MET)
def trained(request, write_scenes, tmp_path_factory):
    """A checkpoint of a task that has hardly learnt anything, and the data."""
    folder = tmp_path_factory.mktemp(request.param)
    settings = replace(settings_for(request.param, write_scenes, folder), epochs=1)
    return request.param, run_training(settings, folder / "run", SilentObserver()).checkpoint


@pytest.mark.parametrize("number", range(2))
def test_a_task_in_8_bits_says_what_it_lost_and_proves_itself(trained, number, tmp_path, capsys):
    task, checkpoint = trained
    target = MET[task][number]
    path = tmp_path / f"model{FORMATS[target].suffix}"
    command = ["export", str(checkpoint), "--to", target, "--int8", "--out", str(path)]
    assert main([*command, "--max-drop", "100"]) == 0, capsys.readouterr().err
    manifest = read_manifest(path)
    assert manifest.precision == "int8"
    assert manifest.reduction.integers.layers > 10
    main_score, stated = task_vision(task).MAIN_SCORE, manifest.accuracy
    assert stated.checkpoint[main_score] - stated.file[main_score] == pytest.approx(
        manifest.reduction.drop
    )
    assert main(["verify", str(path)]) == 0
