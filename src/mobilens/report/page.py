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
from mobilens.data.dataset import Dataset
from mobilens.data.lint.finding import SEVERITIES
from mobilens.errors import ImageError, MissingExtraError
from mobilens.evaluation import WrongAnswer, dataset_name
from mobilens.report.charts import Series, curve_chart, line_chart, reliability_diagram
from mobilens.report.confusion import confusion_table
from mobilens.report.run_report import Epoch, RunReport
from mobilens.vision.classification_scores import ClassificationScores, ClassScores
from mobilens.vision.pictures import mistake_picture
from mobilens.vision.tasks import Chart, Curve, VisionTask, task_vision
from mobilens.vision.words import sentence_start

if TYPE_CHECKING:
    from jinja2 import Environment

# Pictures that something is drawn on are larger, and fewer.
WORST_SHOWN, WORST_DRAWN = 24, 12
THUMBNAIL_SIDE = 200
SHOWN_CLASSES = 40
WEAKEST_SHOWN = 15
SHOWN_CURVES = 8
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
    vision = task_vision(report.task.kind)
    # What a classifier has beyond what every task has.
    classification = scores if isinstance(scores, ClassificationScores) else None
    confused = scores.confused()
    title = sentence_start(vision.MAIN_TITLE)
    return {
        "run": report,
        "data_name": dataset_name(report.train),
        "evaluation": report.evaluation,
        "split_name": _SPLIT_WORDS.get(report.evaluation.dataset.split, ""),
        "scores": scores,
        "title": title,
        "words": vision.WORDS,
        "classification": classification,
        "weakest": _weakest(classification) if classification else (),
        "pictures": [_picture(one) for one in scores.charts()],
        "confusion": confusion_table(confused) if confused else None,
        "reliability": _reliability(classification) if classification else None,
        "loss_chart": _loss_chart(report.epochs),
        "score_chart": _score_chart(report.epochs, title),
        "drawn": vision.MISTAKE_SIDE is not None,
        "thumbnails": _thumbnails(report, vision),
        "cost": report.model.cost(),
        "findings": sorted(report.findings, key=lambda one: SEVERITIES.index(one.severity)),
        "leaks": [
            one.message.partition(":")[0]
            for one in report.findings
            if one.kind in ("leak", "near_leak") and one.severity == "problem"
        ],
        "skipped": (*report.skipped, *report.evaluation.skipped),
        "counts": _counts(report.train, report.evaluation.dataset),
        "recipe_text": json.dumps(report.recipe, indent=2, ensure_ascii=False),
    }


def _counts(train: Dataset, val: Dataset) -> list[tuple[str, int, int]]:
    """Of each class, what there is to learn from and to measure on; each may have its own."""
    learnt, measured = train.class_counts(), val.class_counts()
    names = dict.fromkeys((*learnt, *measured))
    return [(name, learnt.get(name, 0), measured.get(name, 0)) for name in names]


def _weakest(scores: ClassificationScores) -> list[ClassScores]:
    """Of many classes, pick those that need work; a page shows few classes whole."""
    if len(scores.per_class) <= SHOWN_CLASSES:
        return []
    return scores.weakest(WEAKEST_SHOWN)


@dataclass(frozen=True)
class _Picture:
    """A chart of a task, drawn.

    Attributes:
        chart: What it shows.
        svg: The drawing.
        entries: (style, name) of each line.
        left_out: How many lines it does not show, being better ones.
    """

    chart: Chart
    svg: str
    entries: tuple[tuple[str, str], ...]
    left_out: int


def _picture(chart: Chart) -> _Picture:
    curves = _lowest(chart.curves)
    series = [Series(one.name, f"c{index}", one.points) for index, one in enumerate(curves)]
    title = f"{chart.title} of {', '.join(one.name for one in curves)}"
    return _Picture(
        chart,
        curve_chart(title, series, chart.x, chart.y),
        tuple((one.style, one.name) for one in series),
        len(chart.curves) - len(curves),
    )


def _lowest(curves: Sequence[Curve]) -> list[Curve]:
    """Of too many curves, those with the least below them, in their order."""
    heights = [sum(y for _, y in one.points) / len(one.points) for one in curves]
    lowest = sorted(range(len(curves)), key=heights.__getitem__)[:SHOWN_CURVES]
    return [curves[index] for index in sorted(lowest)]


@dataclass(frozen=True)
class _Thumbnail:
    """A wrong answer with its picture, as a data URI; empty if the file is gone."""

    wrong: WrongAnswer
    picture: str


def _thumbnails(report: RunReport, vision: VisionTask) -> list[_Thumbnail]:
    shown = WORST_SHOWN if vision.MISTAKE_SIDE is None else WORST_DRAWN
    return [_thumbnail(one, vision) for one in report.evaluation.wrong[:shown]]


def _thumbnail(wrong: WrongAnswer, vision: VisionTask) -> _Thumbnail:
    sample = wrong.sample
    try:
        pixels = mistake_picture(
            vision, sample.path, wrong.prediction, sample.target, THUMBNAIL_SIDE
        )
    except ImageError:
        return _Thumbnail(wrong, "")
    file = io.BytesIO()
    # Thin lines keep their colours only where these are as fine as the light.
    fine = {} if vision.MISTAKE_SIDE is None else {"subsampling": 0}
    Image.fromarray(pixels).save(file, format="JPEG", quality=80, **fine)
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


def _score_chart(epochs: Sequence[Epoch], title: str) -> str:
    measured = [(one, one.val_score) for one in epochs if one.val_score is not None]
    points = [(float(one.epoch), score) for one, score in measured]
    if not points:
        return ""
    # As training ranks them: of equals, the lower loss.
    best, _, negated = max(
        (score, -one.val_loss if one.val_loss is not None else -math.inf, -one.epoch)
        for one, score in measured
    )
    epoch = -negated
    return line_chart(
        f"{title} on validation over {len(epochs)} epochs; the best is {100 * best:.1f} % at epoch "
        f"{epoch:g}",
        [Series("validation", "val", points)],
        y_text=lambda value: f"{100 * value:g}",
        mark=(float(epoch), best, f"{100 * best:.1f}"),
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
