"""Answers as lines to print: text, JSON or CSV, in the words of the task."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mobilens.cli.terminal import json_text

if TYPE_CHECKING:
    from mobilens.spec.task import TaskSpec
    from mobilens.vision.files import FileResult
    from mobilens.vision.tasks import Shown


@dataclass(frozen=True)
class Rows:
    """What is printed of results.

    Attributes:
        style: ``"text"``, ``"json"`` or ``"csv"``.
        task: Of the model.
        vision: How its answers are shown.
        show: How much of each answer, as the task's functions take it.
    """

    style: str
    task: TaskSpec
    vision: Shown
    show: dict[str, Any] = field(default_factory=dict)

    def header(self) -> list[str]:
        """Lines before the first result."""
        if self.style != "csv":
            return []
        return [_csv_line(["path", *self._columns(), "error"])]

    def of(self, result: FileResult) -> list[str]:
        """Lines of a result: one, or of CSV one for each thing that was found."""
        styles = {"text": self._text, "json": self._json, "csv": self._csv}
        return styles[self.style](result)

    def _text(self, result: FileResult) -> list[str]:
        # A name may hold any character, and a row is one line.
        path = result.path.replace("\n", "\\n").replace("\r", "\\r")
        if result.prediction is None:
            return [f"{path}: error: {_error(result)}"]
        return [f"{path}: {self.vision.text(result.prediction, **self.show)}"]

    def _json(self, result: FileResult) -> list[str]:
        prediction: Any = result.prediction
        if prediction is None:
            return [json_text({"path": result.path, "error": _error(result)})]
        return [json_text({"path": result.path} | prediction.to_json(**self.show))]

    def _csv(self, result: FileResult) -> list[str]:
        found: Sequence[list[str]] = ()
        if result.prediction is not None:
            found = self.vision.csv_rows(result.prediction, **self.show)
        empty = [""] * len(self._columns())
        return [_csv_line([result.path, *cells, _error(result)]) for cells in found or [empty]]

    def _columns(self) -> list[str]:
        return self.vision.csv_header(self.task, **self.show)


def _error(result: FileResult) -> str:
    return " ".join((result.error or "").split())


def _csv_line(cells: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().removesuffix("\n")
