"""The page: everything in one HTML file that asks the network for nothing."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from mobilens.atomic import written
from mobilens.data.lint.finding import SEVERITIES
from mobilens.errors import ImageError, MissingExtraError
from mobilens.evaluation import WrongAnswer, dataset_name
from mobilens.report.charts import Series, line_chart, reliability_diagram
from mobilens.report.confusion import confusion_table
from mobilens.report.run_report import Epoch, RunReport
from mobilens.vision.classification_scores import ClassificationScores, ClassScores
from mobilens.vision.image import load_thumbnail

if TYPE_CHECKING:
    from jinja2 import Environment

WORST_SHOWN = 24
THUMBNAIL_SIDE = 200
SHOWN_CLASSES = 40
WEAKEST_SHOWN = 15
_SPLIT_WORDS = {"val": "validation", "train": "training", "test": "test"}


def write_report(path: str | Path, report: RunReport) -> None:
    """Write the page of a run, under a temporary name first.

    Args:
        path: The HTML file; its folder exists.
        report: What it shows.

    Raises:
        MissingExtraError: Jinja2 is not installed.
    """
    path = Path(path)
    page = _environment().get_template("report.html").render(_context(report))
    with written(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _environment() -> Environment:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ModuleNotFoundError:
        raise MissingExtraError.needed_for("the report", "train", "jinja2") from None
    environment = Environment(
        loader=PackageLoader("mobilens.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "percent": _percent_text,
        "thousands": "{:,}".format,
        "size": _size_text,
        "short": _short_count,
        "duration": _duration_text,
        "milliseconds": _milliseconds_text,
    }
    environment.filters |= filters
    return environment


def _context(report: RunReport) -> dict[str, Any]:
    scores = report.evaluation.scores
    classification = scores if isinstance(scores, ClassificationScores) else None
    return {
        "run": report,
        "data_name": dataset_name(report.train),
        "evaluation": report.evaluation,
        "split_name": _SPLIT_WORDS.get(report.evaluation.dataset.split, ""),
        "scores": scores,
        "classification": classification,
        "weakest": _weakest(classification) if classification else (),
        "confusion": confusion_table(classification) if classification else None,
        "reliability": _reliability(classification) if classification else None,
        "loss_chart": _loss_chart(report.epochs),
        "top1_chart": _top1_chart(report.epochs),
        "thumbnails": [_thumbnail(one) for one in report.evaluation.wrong[:WORST_SHOWN]],
        "cost": report.model.cost(),
        "findings": sorted(report.findings, key=lambda one: SEVERITIES.index(one.severity)),
        "leaks": [
            one.message.partition(":")[0]
            for one in report.findings
            if one.kind in ("leak", "near_leak") and one.severity == "problem"
        ],
        "skipped": (*report.skipped, *report.evaluation.skipped),
        "train_counts": report.train.class_counts(),
        "val_counts": report.evaluation.dataset.class_counts(),
        "recipe_text": json.dumps(report.recipe, indent=2, ensure_ascii=False),
    }


def _weakest(scores: ClassificationScores) -> list[ClassScores]:
    """Of many classes, pick those that need work; a page shows few classes whole."""
    if len(scores.per_class) <= SHOWN_CLASSES:
        return []
    return scores.weakest(WEAKEST_SHOWN)


@dataclass(frozen=True)
class _Thumbnail:
    """A wrong answer with its picture, as a data URI; empty if the file is gone."""

    wrong: WrongAnswer
    picture: str


def _thumbnail(wrong: WrongAnswer) -> _Thumbnail:
    try:
        pixels = load_thumbnail(wrong.sample.path, THUMBNAIL_SIDE)
    except ImageError:
        return _Thumbnail(wrong, "")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=80)
    return _Thumbnail(wrong, "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode())


def _loss_chart(epochs: Sequence[Epoch]) -> str:
    train = [(float(one.epoch), one.train_loss) for one in epochs if one.train_loss is not None]
    val = [(float(one.epoch), one.val_loss) for one in epochs if one.val_loss is not None]
    if not train and not val:
        return ""
    return line_chart(
        f"Loss over {len(epochs)} epochs",
        [Series("training", "train", train), Series("validation", "val", val)],
        y_text=lambda value: f"{value:g}",
    )


def _top1_chart(epochs: Sequence[Epoch]) -> str:
    measured = [one for one in epochs if one.val_top1 is not None]
    points = [(float(one.epoch), one.val_top1) for one in measured if one.val_top1 is not None]
    if not points:
        return ""
    # As training ranks them: of equals, the lower loss.
    ranked = [
        (top1, -one.val_loss if one.val_loss is not None else -math.inf, -epoch)
        for one, (epoch, top1) in zip(measured, points, strict=True)
    ]
    best, _, negated = max(ranked)
    epoch = -negated
    return line_chart(
        f"Top-1 on validation over {len(epochs)} epochs; the best is {100 * best:.1f} % at epoch "
        f"{epoch:g}",
        [Series("validation", "val", points)],
        y_text=lambda value: f"{100 * value:g}",
        mark=(epoch, best, f"{100 * best:.1f}"),
    )


def _reliability(scores: ClassificationScores) -> str:
    return reliability_diagram(
        "Reliability diagram: share of right answers against confidence; calibration error "
        f"{scores.calibration.ece.percent()} %",
        scores.calibration.bins,
    )


def _percent_text(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f}"


def _size_text(size: int) -> str:
    """Write bytes for a person, in powers of ten as file managers do."""
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"


def _short_count(number: float) -> str:
    """Write a large count in three digits, such as ``"56.5 M"``."""
    for power, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= 0.9995 * power:  # what rounds to 1000 of the smaller unit is 1 of this
            return f"{number / power:.3g}{unit}"
    return f"{number:g}"


def _milliseconds_text(milliseconds: float) -> str:
    """Write a latency in three digits or, of a second and more, to the millisecond."""
    return f"{milliseconds:.3g}" if milliseconds < 999.5 else f"{milliseconds:,.0f}"


def _duration_text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
