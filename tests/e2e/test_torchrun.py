"""``torchrun``: two processes train the net that one would."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mobilens.nn.checkpoint import Checkpoint
from mobilens.observer import SilentObserver
from mobilens.tasks import build_trained
from mobilens.training.augment import Augmentation
from mobilens.training.recipe import Recipe
from mobilens.training.run import run_training
from mobilens.training.settings import TrainSettings

pytestmark = pytest.mark.slow

WORKER = Path(__file__).with_name("torchrun_worker.py")
EPOCHS, BATCH = 3, 9  # an odd batch, so that the shares are uneven


@pytest.fixture(scope="module")
def runs(write_photos, tmp_path_factory):
    """The same run by one process and by two: their folders, and what the two noted."""
    root = tmp_path_factory.mktemp("torchrun")
    photos = write_photos(root / "tints")
    # At 32 pixels BatchNorm would see one value a channel and image, and a rounding of 1e-7 in the
    # first weights would become 1 % in the answers, with one process too; at 64 it stays small.
    recipe = Recipe(
        "plain",
        EPOCHS,
        batch_size=BATCH,
        optimizer="sgd",
        lr=0.02,
        dropout=0.4,
        ema_epochs=0.5,
        augmentation=Augmentation(random_erasing=0.2, mixup=0.2, cutmix=1.0),
    )
    settings = TrainSettings(
        source=(str(photos),),
        recipe=recipe,
        width=0.25,
        resolution=64,
        weights="none",
        device="cpu",
    )
    run_training(settings, root / "one", SilentObserver())
    settings.save(root / "plain.json")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    rendezvous = ["--rdzv_backend", "c10d", "--rdzv_endpoint", "localhost:0"]
    train = ["train", "--recipe", root / "plain.json", "--out", root / "two", "--json"]
    done = subprocess.run(
        [*torchrun, *rendezvous, WORKER, root, *train],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    notes = [json.loads((root / f"{rank}.json").read_text()) for rank in range(2)]
    return root / "one", root / "two", notes, done


def test_two_processes_answer_as_one(runs):
    one, two, _, _ = runs
    torch.manual_seed(0)
    images = torch.randn(16, 3, 64, 64)
    with torch.inference_mode():
        expected, got = (
            build_trained(Checkpoint.load(folder / "best.safetensors"))(images)
            for folder in (one, two)
        )
    # Sums in another order, over a dozen steps.
    assert (got - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_two_processes_log_what_one_does(runs):
    rows = []
    for folder in runs[:2]:
        with (folder / "log.csv").open(newline="") as file:
            rows.append(list(csv.DictReader(file)))
    for one, two in zip(*rows, strict=True):
        assert one["epoch"] == two["epoch"]
        for name in ("train_loss", "val_loss", "val_top1", "lr"):
            assert float(two[name]) == pytest.approx(float(one[name]), rel=1e-3), name


def test_each_image_is_shown_once_an_epoch(runs):
    _, _, notes, _ = runs
    # Every second time a process loads what its images are mixed with.
    for note in notes:
        note["shown"] = note["shown"][::2]
    steps = len(notes[0]["shown"]) // EPOCHS
    assert len(notes[1]["shown"]) == len(notes[0]["shown"]) == steps * EPOCHS
    orders = []
    for epoch in range(EPOCHS):
        part = slice(epoch * steps, (epoch + 1) * steps)
        order = [i for note in notes for shown in note["shown"][part] for i in shown]
        assert sorted(order) == list(range(30))
        orders.append(order)
    assert orders[0] != orders[1]
    sizes = {len(shown) for note in notes for shown in note["shown"]}
    assert max(sizes) - min(sizes) <= 1


def test_the_first_process_alone_writes(runs):
    _, two, notes, _ = runs
    assert notes[1]["written"] == []
    assert any(name.startswith(".best.") for name in notes[0]["written"])
    assert {"best.safetensors", "last.safetensors", "model.onnx", "report.html"} <= {
        file.name for file in two.iterdir()
    }


def test_the_first_process_alone_speaks(runs):
    done = runs[3]
    assert json.loads(done.stdout)["evaluation"]["num_images"] == 6
    for epoch in range(1, EPOCHS + 1):
        assert done.stderr.count(f"epoch {epoch:>3}/{EPOCHS}") == 1
    assert "Traceback" not in done.stderr
