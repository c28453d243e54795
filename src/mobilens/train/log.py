"""The log of a run: one row an epoch, as CSV and, if it is installed, for TensorBoard."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from typing import Any

LOG_FILE = "log.csv"


class EpochLog:
    """Writes each epoch's figures as soon as they are known.

    Args:
        folder: The run's folder.
        history: Rows of the epochs that were done before; later rows in the file are dropped.
    """

    def __init__(self, folder: Path, history: list[dict[str, float]]) -> None:
        self._path = folder / LOG_FILE
        self._path.write_text("", encoding="utf-8")
        self._board = _tensorboard_writer(folder)
        for row in history:
            self.write(row)

    def write(self, row: dict[str, float]) -> None:
        """Add an epoch: ``epoch`` and its figures."""
        is_first = self._path.stat().st_size == 0
        with self._path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row)
            if is_first:
                writer.writeheader()
            writer.writerow(row)
        if self._board is not None:
            for name, value in row.items():
                if name != "epoch":
                    self._board.add_scalar(name, value, int(row["epoch"]))

    def close(self) -> None:
        """Finish the files."""
        if self._board is not None:
            self._board.close()


def _tensorboard_writer(folder: Path) -> Any:
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"))
