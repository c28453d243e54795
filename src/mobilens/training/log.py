"""The log of a run: one row an epoch, as CSV and, if it is installed, for TensorBoard."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from typing import Any

from mobilens.atomic import written

LOG_FILE = "log.csv"


class EpochLog:
    """Writes each epoch's figures as soon as they are known.

    Args:
        folder: The run's folder.
        history: Rows of the epochs that were done before; later rows in the file are dropped.
    """

    def __init__(self, folder: Path, history: list[dict[str, float]]) -> None:
        self._path = folder / LOG_FILE
        seconds = _seconds(self._path)
        with written(self._path) as temporary:
            temporary.write_text("", encoding="utf-8")
            for row in history:
                _append(temporary, row, seconds.get(int(row["epoch"]), ""))
        self._board = _tensorboard_writer(folder, len(history) + 1)

    def write(self, row: dict[str, float], seconds: float) -> None:
        """Add an epoch: ``epoch`` and its figures, and how long it took."""
        _append(self._path, row, seconds)
        if self._board is not None:
            for name, value in row.items():
                if name != "epoch":
                    self._board.add_scalar(name, value, int(row["epoch"]))

    def close(self) -> None:
        """Finish the files."""
        if self._board is not None:
            self._board.close()


def _append(path: Path, row: dict[str, float], seconds: float | str) -> None:
    is_first = path.stat().st_size == 0
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*row, "seconds"])
        if is_first:
            writer.writeheader()
        writer.writerow(row | {"seconds": seconds})


def _seconds(path: Path) -> dict[int, str]:
    """What an earlier log says of each epoch's time, as far as it can be read."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    # A row may have been cut short when the run was killed.
    whole = [row for row in rows if (row.get("epoch") or "").isdigit() and row.get("seconds")]
    return {int(row["epoch"]): row["seconds"] for row in whole}


def _tensorboard_writer(folder: Path, first_epoch: int) -> Any:
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    # Epochs of an earlier process that will be done again are hidden.
    return SummaryWriter(str(folder / "tensorboard"), purge_step=first_epoch)
