"""The log of a run, and what becomes of it after a kill."""

import csv
import sys
import types

import pytest

from mobilens.training.log import EpochLog


def rows(folder):
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def epoch(number):
    return {"epoch": number, "train_loss": 1 / number, "val_top1": 0.5}


def test_each_epoch_is_on_disk_as_soon_as_it_is_written(tmp_path):
    log = EpochLog(tmp_path, [])
    log.write(epoch(1), 2.5)
    assert rows(tmp_path) == [
        {"epoch": "1", "train_loss": "1.0", "val_top1": "0.5", "seconds": "2.5"}
    ]
    log.write(epoch(2), 2.75)
    assert [row["epoch"] for row in rows(tmp_path)] == ["1", "2"]
    log.close()


def test_a_resumed_run_keeps_the_columns_and_the_times(tmp_path):
    log = EpochLog(tmp_path, [])
    log.write(epoch(1), 2.5)
    log.write(epoch(2), 2.75)
    log = EpochLog(tmp_path, [epoch(1), epoch(2)])
    log.write(epoch(3), 3.0)
    assert [row["seconds"] for row in rows(tmp_path)] == ["2.5", "2.75", "3.0"]
    assert all(None not in row for row in rows(tmp_path))


def test_an_epoch_that_will_be_done_again_goes(tmp_path):
    log = EpochLog(tmp_path, [])
    log.write(epoch(1), 2.5)
    log.write(epoch(2), 2.75)  # killed before its state was saved
    EpochLog(tmp_path, [epoch(1)])
    assert [row["epoch"] for row in rows(tmp_path)] == ["1"]


@pytest.mark.parametrize(
    "left", ["", "epoch,train_", "epoch,train_loss,val_top1,seconds\n1,0.", "\0"]
)
def test_a_log_cut_short_is_written_again_from_the_state(tmp_path, left):
    (tmp_path / "log.csv").write_text(left)
    EpochLog(tmp_path, [epoch(1), epoch(2)])
    assert [(row["epoch"], row["seconds"]) for row in rows(tmp_path)] == [("1", ""), ("2", "")]


def test_tensorboard_gets_each_epoch_where_it_is_installed(tmp_path, monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder, purge_step):
            written.append((folder, purge_step))

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def close(self):
            written.append("closed")

    module = types.ModuleType("tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setattr("importlib.util.find_spec", lambda _: True)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    log = EpochLog(tmp_path, [epoch(1)])
    log.write(epoch(2), 1.0)
    log.close()
    assert written == [
        (str(tmp_path / "tensorboard"), 2),
        ("train_loss", 0.5, 2),
        ("val_top1", 0.5, 2),
        "closed",
    ]


def test_nothing_else_is_left_in_the_folder(tmp_path):
    EpochLog(tmp_path, [epoch(1)]).close()
    assert {file.name for file in tmp_path.iterdir()} <= {"log.csv", "tensorboard"}
