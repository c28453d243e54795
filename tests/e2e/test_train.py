"""``mobilens train``: what a run leaves, what it says, and how it refuses."""

import csv
import json
import math
import re
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from mobilens.cli import main
from mobilens.deliver import train_and_deliver
from mobilens.errors import DataError, MobilensError, UsageError
from mobilens.nn.checkpoint import Checkpoint, load_tensors
from mobilens.training.augment import Augmentation
from mobilens.training.folder import locked
from mobilens.training.recipe import Recipe
from mobilens.training.run import run_training
from mobilens.training.settings import TrainSettings

SMALL = ["--weights", "none", "--width", "0.25", "--resolution", "32", "--device", "cpu"]
BROKEN = b"\xff\xd8\xff\xe0 no picture"


class Listener:
    """Keeps what a run says."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)

    def progress(self, items, total, label, note=None):  # noqa: ARG002
        return items


def gentle(epochs, **numbers):
    """A recipe by which a few epochs tell three tints apart."""
    plain = Augmentation(crop_scale=(0.6, 1.0), policy="none")
    few_steps = {"batch_size": 8, "lr": 5e-3, "ema_epochs": 0.5}
    return Recipe("gentle", epochs, augmentation=plain, **few_steps | numbers)


def small(photos, recipe, **others):
    return TrainSettings(
        source=(str(photos),),
        recipe=recipe,
        **{"width": 0.25, "resolution": 32, "weights": "none", "device": "cpu"} | others,
    )


@pytest.fixture(scope="module")
def photos(write_photos, tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("data") / "tints")


@pytest.fixture(scope="module")
def finished(photos, tmp_path_factory):
    """A run from the command line, over data with one broken file: folder, stdout, stderr."""
    root = tmp_path_factory.mktemp("finished")
    data = shutil.copytree(photos, root / "tints")
    (data / "green" / "cat.jpg").write_bytes(BROKEN)
    small(data, gentle(4)).save(root / "gentle.json")
    with pytest.MonkeyPatch.context() as patch:
        out, err = StringStream(), StringStream()
        patch.setattr("sys.stdout", out)
        patch.setattr("sys.stderr", err)
        arguments = ["train", "--recipe", str(root / "gentle.json")]
        assert main([*arguments, "--seed", "3", "--out", str(root / "run"), "--json"]) == 0
    return root / "run", out.text(), err.text()


class StringStream:
    """A stream that is no terminal."""

    encoding = "utf-8"

    def __init__(self):
        self._parts = []

    def write(self, text):
        self._parts.append(text)
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return False

    def text(self):
        return "".join(self._parts)


# What a run leaves


@pytest.mark.slow
def test_a_run_leaves_its_files_and_nothing_else(finished):
    folder, _, _ = finished
    assert {file.name for file in folder.iterdir()} - {"tensorboard"} == {
        "best.safetensors",
        "last.safetensors",
        "log.csv",
        "model.onnx",
        "recipe.json",
        "report.html",
    }


@pytest.mark.slow
def test_stdout_is_one_json_value(finished):
    folder, out, _ = finished
    value = json.loads(out)
    assert set(value) >= {"folder", "checkpoint", "model", "report", "bytes", "evaluation"}
    for name in ("checkpoint", "model", "report"):
        assert Path(value[name]).is_file()
    assert value["bytes"] == (folder / "model.onnx").stat().st_size
    assert value["evaluation"]["num_images"] > 3
    assert 0 <= value["evaluation"]["top1"] <= 1


@pytest.mark.slow
def test_stderr_tells_data_weights_and_every_epoch(finished):
    _, _, err = finished
    lines = err.splitlines()
    assert any(line.startswith("no validation part: ") for line in lines)
    assert "weights: none, training from scratch" in lines
    epochs = [line for line in lines if line.startswith("epoch")]
    assert [re.match(r"epoch\s+(\d)/4  train loss", line)[1] for line in epochs] == list("1234")
    assert [bool(re.search(r" s, \d+:\d\d left$", line)) for line in epochs] == [True] * 3 + [False]
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_broken_file_is_named_at_the_start_and_in_the_report(finished):
    folder, _, err = finished
    assert re.search(r"^skipped: .*cat\.jpg", err, re.MULTILINE)
    assert "cat.jpg" in (folder / "report.html").read_text()


@pytest.mark.slow
def test_the_log_has_every_epoch_once(finished):
    with (finished[0] / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert set(rows[0]) == {"epoch", "train_loss", "val_top1", "val_loss", "lr", "seconds"}
    assert all(math.isfinite(float(value)) for row in rows for value in row.values())


@pytest.mark.slow
def test_the_checkpoint_says_where_it_comes_from(finished):
    checkpoint = Checkpoint.load(finished[0] / "best.safetensors")
    assert checkpoint.task.class_names == ("blue", "green", "red")
    assert checkpoint.task.preprocessing.size == (32, 32)
    provenance = checkpoint.provenance
    assert provenance["weights"] is None
    assert provenance["settings"]["seed"] == 3
    assert provenance["settings"]["recipe"]["name"] == "gentle"
    assert re.fullmatch("[0-9a-f]{64}", provenance["data_fingerprint"])
    with (finished[0] / "log.csv").open(newline="") as file:
        best = list(csv.DictReader(file))[int(provenance["scores"]["epoch"]) - 1]
    assert float(best["val_top1"]) == provenance["scores"]["val_top1"]


@pytest.mark.slow
def test_the_recipe_file_repeats_the_run_to_the_same_bytes(finished, tmp_path):
    folder, _, _ = finished
    arguments = ["train", "--recipe", str(folder / "recipe.json"), "--out", str(tmp_path / "again")]
    assert main(arguments) == 0
    for name in ("best.safetensors", "last.safetensors", "model.onnx"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes(), name
    one, other = (json.loads((f / "recipe.json").read_text()) for f in (folder, tmp_path / "again"))
    assert one.pop("command") != other.pop("command")
    assert one == other


@pytest.mark.slow
def test_a_finished_run_resumed_delivers_again_without_training(finished, tmp_path, capsys):
    folder = shutil.copytree(finished[0], tmp_path / "run")
    (folder / "model.onnx").unlink()
    before = (folder / "best.safetensors").read_bytes()
    log = (folder / "log.csv").read_text()
    assert main(["train", "--resume", str(folder)]) == 0
    printed = capsys.readouterr()
    assert "going on after epoch 4 of 4" in printed.err
    assert "epoch   4/4" not in printed.err
    assert "verified: every answer is the checkpoint's" in printed.out
    assert (folder / "best.safetensors").read_bytes() == before
    assert (folder / "model.onnx").read_bytes() == (finished[0] / "model.onnx").read_bytes()
    assert (folder / "log.csv").read_text() == log


# How it trains


def test_a_run_learns(photos, tmp_path):
    result = run_training(small(photos, gentle(12)), tmp_path, Listener())
    assert max(row["val_top1"] for row in result.history) >= 0.8
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]


def test_the_same_seed_is_the_same_bytes_and_another_is_not(photos, tmp_path):
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        run_training(small(photos, gentle(2), seed=seed), tmp_path / name, Listener())
    one, two, three = (
        (tmp_path / name / "last.safetensors").read_bytes() for name in ("one", "two", "three")
    )
    assert one == two
    assert one != three


def test_the_best_epoch_is_kept(photos, tmp_path):
    result = run_training(small(photos, gentle(5)), tmp_path, Listener())
    reached = [(row["val_top1"], -row["val_loss"]) for row in result.history]
    assert result.best_epoch == 1 + reached.index(max(reached))
    scores = Checkpoint.load(tmp_path / "best.safetensors").provenance["scores"]
    assert scores == result.history[result.best_epoch - 1]


def test_weights_of_other_classes_begin_with_a_fresh_head(photos, write_photos, tmp_path):
    classes = ("a", "b", "c", "d", "e")
    others = write_photos(tmp_path / "others", classes=classes, count=4)
    first = run_training(small(others, gentle(1)), tmp_path / "first", Listener())
    listener = Listener()
    recipe = gentle(1, head_penalty=0.03)
    settings = small(photos, recipe, weights=str(first.checkpoint))
    result = run_training(settings, tmp_path / "second", listener)
    assert result.weights == str(first.checkpoint)
    assert result.settings.weights == str(first.checkpoint)
    assert any(line.startswith(f"weights: {first.checkpoint}") for line in listener.said)
    assert any(line.startswith("head alone  val top1") for line in listener.said)
    assert Checkpoint.load(result.checkpoint).model.num_classes == 3


def test_where_training_spoils_the_first_weights_they_are_kept(photos, tmp_path):
    first = run_training(small(photos, gentle(8)), tmp_path / "first", Listener())
    spoilt = gentle(1, head_penalty=0.03, blend=True, warmup_epochs=0, lr=0.3)
    settings = small(photos, spoilt, weights=str(first.checkpoint))
    listener = Listener()
    result = run_training(settings, tmp_path / "second", listener)
    scores = Checkpoint.load(result.checkpoint).provenance["scores"]
    assert scores["blend"] == 0
    assert scores["val_top1"] > result.history[0]["val_top1"]
    head = next(line for line in listener.said if line.startswith("head alone"))
    assert f"top1 {scores['val_top1']:.4f}" in head
    assert any(line.startswith("blend       the first weights alone") for line in listener.said)


def test_images_are_skipped_and_counted(photos, tmp_path):
    data = shutil.copytree(photos, tmp_path / "data")
    for number in range(13):
        (data / "red" / f"broken{number}.png").write_bytes(b"\x89PNG no")
    listener = Listener()
    result = run_training(small(data, gentle(1)), tmp_path / "run", listener)
    assert len(result.skipped) == 13
    skipped = [line for line in listener.said if line.startswith("skipped: ")]
    assert len(skipped) == 11
    assert skipped[-1] == "skipped: 3 more, named in the report"
    assert len(result.splits.train) + len(result.splits.val) == 36


def test_strict_ends_at_a_broken_file(photos, tmp_path):
    data = shutil.copytree(photos, tmp_path / "data")
    (data / "red" / "broken.jpg").write_bytes(BROKEN)
    with pytest.raises(DataError) as error:
        run_training(small(data, gentle(1), strict=True), tmp_path / "run", Listener())
    assert str(error.value) == (
        f"1 images do not decode, the first is {data / 'red' / 'broken.jpg'}: "
        "the file is damaged or cut short (Truncated File Read)\n"
        "  try: mend or remove them, or train without --strict"
    )


def test_nothing_that_decodes_is_an_error(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(5):
            (tmp_path / "data" / name / f"{number}.jpg").write_bytes(BROKEN)
    with pytest.raises(DataError, match=r"none of the \d train images decodes\n.*mobilens check"):
        run_training(small(tmp_path / "data", gentle(1)), tmp_path / "run", Listener())


def weighted(photos, tmp_path, **numbers):
    """Whether a run with rare reds weights its classes, seen in its loss."""
    data = shutil.copytree(photos, tmp_path / "data")
    for number in range(2, 12):
        next((data / "red").glob(f"{number:02}.*")).unlink()
    losses = []
    for name, balance in (("asked", numbers.get("balance", "auto")), ("never", "none")):
        recipe = gentle(1, balance=balance)
        result = run_training(small(data, recipe), tmp_path / name, Listener())
        losses.append(result.history[0]["train_loss"])
    return losses[0] != losses[1]


def test_imbalance_turns_class_weights_on(photos, tmp_path):
    assert weighted(photos, tmp_path)


def test_a_balanced_set_needs_none(photos, tmp_path):
    losses = []
    for name, balance in (("asked", "auto"), ("never", "none")):
        result = run_training(
            small(photos, gentle(1, balance=balance)), tmp_path / name, Listener()
        )
        losses.append(result.history[0]["train_loss"])
    assert losses[0] == losses[1]


def test_minutes_cut_the_epochs(photos, tmp_path):
    listener = Listener()
    settings = small(photos, gentle(100_000, warmup_epochs=20_000), minutes=0.05)
    result = run_training(settings, tmp_path, listener)
    said = next(line for line in listener.said if "epochs fit into the time" in line)
    epochs = int(re.match(r"(\d+) of 100000 epochs", said)[1])
    assert len(result.history) == epochs == result.settings.recipe.epochs
    assert result.settings.recipe.warmup_epochs <= epochs / 5
    assert result.settings.minutes is None


def test_no_time_at_all_is_one_epoch(photos, tmp_path):
    result = run_training(small(photos, gentle(5), minutes=1e-6), tmp_path, Listener())
    assert len(result.history) == 1


# How it ends when something is wrong


def test_a_diverged_run_ends_clearly(photos, tmp_path):
    with pytest.raises(MobilensError) as error:
        run_training(small(photos, gentle(3, lr=1e30, warmup_epochs=0)), tmp_path, Listener())
    given, remedy = str(error.value).split("\n")
    assert re.fullmatch(
        r"the (loss in epoch 1, step \d|validation loss after epoch 1) is (nan|inf): "
        r"training has diverged",
        given,
    )
    assert remedy == "  try: a lower --lr"
    assert not (tmp_path / "best.safetensors").exists()


def test_a_run_that_diverges_later_keeps_its_best(photos, tmp_path):
    # Two epochs are well, then the rate leaps.
    recipe = gentle(5, warmup_epochs=0, schedule="step", gamma=1e30, gamma_epochs=2)
    with pytest.raises(MobilensError, match="training has diverged") as error:
        run_training(small(photos, recipe), tmp_path, Listener())
    checkpoint = Checkpoint.load(tmp_path / "best.safetensors")
    epoch = checkpoint.provenance["scores"]["epoch"]
    assert epoch in (1, 2)
    assert f"a lower --lr; best.safetensors holds the weights of epoch {epoch}" in str(error.value)
    assert all(tensor.isfinite().all() for tensor in checkpoint.tensors.values())


def test_every_cycle_begins_with_the_first_weights_and_the_mean_is_kept(photos, tmp_path):
    first = run_training(small(photos, gentle(1)), tmp_path / "first", Listener())
    listener = Listener()
    recipe = gentle(2, cycles=2, ema_epochs=0.0)
    settings = small(photos, recipe, weights=str(first.checkpoint))
    result = run_training(settings, tmp_path / "second", listener)
    assert (
        "cycle 2/2   from the first weights again; what is measured is the mean of all cycles"
        in listener.said
    )
    state, _ = load_tensors(tmp_path / "second" / "last.safetensors")
    begun = Checkpoint.load(first.checkpoint).tensors
    kept = Checkpoint.load(result.checkpoint).tensors
    name = next(name for name in begun if name.endswith("conv.weight") and "blocks.3" in name)
    origin, mean, end = (state[f"{part}.{name}"] for part in ("origin", "mean", "average"))
    assert not torch.equal(mean, end)
    # Filters are scaled before they learn: in direction they are those of the weights.
    alike = nn.functional.cosine_similarity(origin.flatten(1), begun[name].flatten(1))
    assert alike.min() > 1 - 1e-5
    torch.testing.assert_close(kept[name], mean if result.best_epoch == 1 else (mean + end) / 2)


def test_a_step_needs_two_images(photos, tmp_path):
    with pytest.raises(UsageError) as error:
        run_training(small(photos, gentle(1, batch_size=1)), tmp_path, Listener())
    assert str(error.value) == (
        "a step has 1 of the 30 training images\n"
        "  expected: 2 or more: BatchNorm needs two, and every process one\n"
        "  try: a larger --batch-size, or more images"
    )


def refused(arguments, capsys):
    code = main(["train", *arguments])
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    return code, printed.err


def test_no_data_is_wrong_use(capsys):
    code, err = refused([], capsys)
    assert code == 2
    assert err == (
        "mobilens train: no data was given\n"
        "  expected: a folder with one folder of images for each class\n"
        "  try: mobilens train PHOTOS, or mobilens demo to see it on digits that ship inside\n"
    )


def test_data_that_is_not_there_leaves_no_settings(tmp_path, capsys):
    code, err = refused([str(tmp_path / "none"), *SMALL, "--out", str(tmp_path / "run")], capsys)
    assert code == 1
    assert "none" in err
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_a_folder_without_a_run_cannot_be_resumed(tmp_path, capsys):
    code, err = refused(["--resume", str(tmp_path)], capsys)
    assert code == 1
    assert err == (
        f"mobilens train: {tmp_path} holds no run\n"
        "  expected: a folder that `mobilens train` wrote, with recipe.json in it\n"
        "  try: mobilens train DATA --out FOLDER to begin one\n"
    )


@pytest.mark.parametrize(
    ("others", "named"),
    [
        (["--epochs", "50"], "--epochs"),
        (["--recipe", "scratch", "--batch-size", "8"], "--recipe, --batch-size"),
    ],
)
def test_resume_takes_no_other_settings(tmp_path, capsys, others, named):
    code, err = refused(["--resume", str(tmp_path), *others], capsys)
    assert code == 2
    assert err == (
        f"mobilens train: --resume was given with {named}\n"
        "  expected: the folder, whose recipe.json says the rest\n"
        f"  try: mobilens train --resume {tmp_path}\n"
    )


def test_resume_takes_data_and_folder_again_if_they_are_the_same(finished, tmp_path, capsys):
    data, folder = finished[0].parent / "tints", shutil.copytree(finished[0], tmp_path / "run")
    assert main(["train", str(data), "--out", str(folder), "--resume", str(folder)]) == 0
    capsys.readouterr()
    for others in ([str(tmp_path)], ["--out", str(tmp_path)]):
        code, err = refused([*others, "--resume", str(folder)], capsys)
        assert code == 2
        known = data if len(others) == 1 else folder
        assert err == (
            f"mobilens train: --resume was given with {tmp_path}\n"
            f"  expected: that of the run, {known}, or nothing\n"
            f"  try: mobilens train --resume {folder}\n"
        )


@pytest.mark.parametrize("below", ["", "run"])
def test_a_file_in_place_of_the_folder_is_kept(photos, tmp_path, capsys, below):
    (tmp_path / "notes").write_text("mine")
    code, err = refused([str(photos), *SMALL, "--out", str(tmp_path / "notes" / below)], capsys)
    assert code == 2
    assert err == (
        f"mobilens train: {tmp_path / 'notes'} is a file\n"
        "  expected: a folder for the results, which is made if need be\n"
        "  try: name another with --out\n"
    )
    assert (tmp_path / "notes").read_text() == "mine"


def test_a_folder_that_holds_another_run_is_kept(photos, tmp_path, capsys):
    result = run_training(small(photos, gentle(1)), tmp_path, Listener())
    before = result.checkpoint.read_bytes()
    code, err = refused([str(photos), *SMALL, "--out", str(tmp_path)], capsys)
    assert code == 2
    assert f"mobilens train: {tmp_path} holds another run\n" in err
    assert f"mobilens train --resume {tmp_path}" in err
    assert result.checkpoint.read_bytes() == before


def test_data_that_changed_since_ends_a_resumed_run(photos, write_photos, tmp_path, capsys):
    data = shutil.copytree(photos, tmp_path / "data")
    run_training(small(data, gentle(1)), tmp_path / "run", Listener())
    write_photos(data, count=1, seed=9)
    code, err = refused(["--resume", str(tmp_path / "run")], capsys)
    assert code == 1
    assert (
        f"mobilens train: the data has changed since the run in {tmp_path / 'run'} began\n"
        "  expected: the same images and labels\n"
        "  try: a new run with another --out\n"
    ) in err


def test_an_unknown_recipe_is_wrong_use(photos, capsys):
    code, err = refused([str(photos), *SMALL, "--recipe", "mobilenet_v5"], capsys)
    assert code == 2
    assert "no recipe is named 'mobilenet_v5'" in err


def test_several_processes_need_a_named_folder(photos, capsys, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    code, err = refused([str(photos), *SMALL], capsys)
    assert code == 2
    assert "expected: --out DIR, the same for all" in err


def test_offline_says_where_the_weights_are_to_be_had(photos, tmp_path, monkeypatch):
    for name in ("MOBILENS_CACHE", "HF_HOME", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("MOBILENS_WEIGHTS_DIR", raising=False)
    listener = Listener()
    settings = TrainSettings(
        source=(str(photos),), recipe=gentle(1), resolution=32, device="cpu", offline=True
    )
    run_training(settings, tmp_path / "run", listener)
    said = [line for line in listener.said if line.startswith("weights:")]
    assert len(said) == 2
    assert said[0].startswith("weights: offline, and none of mobilenet_v3_small on this machine")
    assert said[0].endswith("on another one and give the file with --weights FILE")
    assert said[1] == "weights: none available, training from scratch"


def test_a_run_goes_on_without_the_file_that_it_began_with(photos, tmp_path):
    first = run_training(small(photos, gentle(1)), tmp_path / "first", Listener())
    weights = shutil.copy(first.checkpoint, tmp_path / "begin.safetensors")
    second = run_training(
        small(photos, gentle(1), weights=str(weights)), tmp_path / "second", Listener()
    )
    before = second.checkpoint.read_bytes()
    weights.unlink()
    again = run_training(
        TrainSettings.load(tmp_path / "second" / "recipe.json"), tmp_path / "second", Listener()
    )
    assert (again.weights, again.weights_licence) == (second.weights, second.weights_licence)
    assert again.checkpoint.read_bytes() == before


def test_a_finished_run_whose_state_was_deleted_is_kept(photos, tmp_path, capsys):
    run_training(small(photos, gentle(1)), tmp_path, Listener())
    (tmp_path / "model.onnx").write_text("mine")
    (tmp_path / "last.safetensors").unlink()
    # What it learnt is exported as ever, its data found by its own settings.
    code = main(["export", str(tmp_path / "best.safetensors"), "--out", str(tmp_path / "b.onnx")])
    assert code == 0
    capsys.readouterr()
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    code, err = refused([str(photos), *SMALL, "--out", str(tmp_path)], capsys)
    assert (code, err) == (
        2,
        f"mobilens train: {tmp_path / 'best.safetensors'} is there already, and a run would "
        "replace it\n"
        "  expected: a folder without such a file, since a run writes its own\n"
        "  try: name another with --out\n",
    )
    code, err = refused(["--resume", str(tmp_path)], capsys)
    assert (code, err) == (
        2,
        f"mobilens train: the run in {tmp_path} is finished, and its last.safetensors is gone\n"
        "  expected: last.safetensors, to go on from\n"
        f"  try: mobilens train --recipe {tmp_path / 'recipe.json'} to repeat it in a new folder\n",
    )
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["best.safetensors", "model.onnx", "report.html", "log.csv"])
def test_somebodys_files_are_not_replaced(photos, tmp_path, capsys, name):
    (tmp_path / name).write_text("mine")
    code, err = refused([str(photos), *SMALL, "--out", str(tmp_path)], capsys)
    assert code == 2
    assert f"mobilens train: {tmp_path / name} is there already, and a run would replace" in err
    assert [file.read_text() for file in tmp_path.iterdir()] == ["mine"]


def test_a_device_that_is_not_there_is_wrong_use(photos, tmp_path, capsys):
    for name in ("foo", "xpu"):
        code, err = refused(
            [str(photos), *SMALL[:-1], name, "--out", str(tmp_path / "run")], capsys
        )
        assert code == 2
        assert err.startswith(f"mobilens train: the device {name!r} cannot be used: ")
        assert err.endswith("  try: --device auto\n")
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("out", ["taken", "taken/run"])
def test_results_at_or_below_a_file_are_wrong_use(photos, tmp_path, capsys, out):
    (tmp_path / "taken").write_text("a file")
    code, err = refused([str(photos), *SMALL, "--out", str(tmp_path / out)], capsys)
    assert code == 2
    assert err == (
        f"mobilens train: {tmp_path / 'taken'} is a file\n"
        "  expected: a folder for the results, which is made if need be\n"
        "  try: name another with --out\n"
    )


def test_the_demo_leaves_another_run_alone(tmp_path, capsys):
    (tmp_path / "recipe.json").write_text("mine")
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"mobilens demo: {tmp_path} is there already\n"
        "  expected: a new or an empty folder for --out\n"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["recipe.json"]


def test_clipping_bounds_how_far_a_step_goes(photos, tmp_path):
    def moved(clip):
        """How far the classifier goes in the second of two epochs."""
        plain = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "ema_epochs": 0}
        after = []
        for epochs in (1, 2):
            recipe = gentle(epochs, schedule="step", gamma=1.0, clip_norm=clip, **plain)
            folder = tmp_path / f"{clip}-{epochs}"
            run_training(small(photos, recipe), folder, Listener())
            tensors, _ = load_tensors(folder / "last.safetensors")
            after.append(tensors["net.head.classifier.weight"])
        return (after[1] - after[0]).norm().item()

    bound = 4 * 5e-3 * 1e-4  # steps of an epoch, rate, norm
    assert moved(1e-4) <= 1.01 * bound + 1e-6  # the weights' own rounding
    assert moved(0.0) > 100 * bound


def test_a_second_process_is_kept_out_of_a_run(photos, tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(UsageError, match=f"another process trains in {tmp_path}"),
    ):
        train_and_deliver(small(photos, gentle(1)), tmp_path, Listener())
    assert not list(tmp_path.iterdir())
    with locked(tmp_path):
        pass


def test_an_empty_name_of_a_folder_is_wrong_use(photos, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", str(photos), "--out", ""])
    assert stopped.value.code == 2
    assert "argument --out: the name is empty" in capsys.readouterr().err


def test_a_refused_run_leaves_nothing(photos, tmp_path, capsys):
    out = tmp_path / "run"
    assert refused([str(photos), *SMALL, "--batch-size", "1", "--out", str(out)], capsys)[0] == 2
    assert not out.exists()


def test_a_class_that_cannot_be_learnt_is_named(photos, tmp_path):
    data = shutil.copytree(photos, tmp_path / "data")
    for file in (data / "red").iterdir():
        file.write_bytes(BROKEN)
    with pytest.raises(DataError, match="no training image of red decodes"):
        run_training(small(data, gentle(1)), tmp_path / "run", Listener())


def test_a_recipe_file_of_another_program_is_not_overwritten(photos, tmp_path, capsys):
    (tmp_path / "recipe.json").write_text('{"my": "cake"}')
    code, err = refused([str(photos), *SMALL, "--out", str(tmp_path)], capsys)
    assert code == 2
    assert f"{tmp_path / 'recipe.json'} is there already, and a run would replace it" in err
    assert (tmp_path / "recipe.json").read_text() == '{"my": "cake"}'
