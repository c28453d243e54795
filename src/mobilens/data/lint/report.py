"""All checks over one data set, and what they found."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from mobilens.data.dataset import Dataset, DataSplits
from mobilens.data.labels import label_kind
from mobilens.data.lint.balance import (
    IMAGES,
    THINGS,
    find_imbalance,
    find_precision,
    find_similar_names,
    find_small_classes,
)
from mobilens.data.lint.duplicates import find_exact_duplicates, find_near_duplicates
from mobilens.data.lint.finding import SEVERITIES, Finding, Severity
from mobilens.data.lint.looks import find_odd_looks
from mobilens.data.lint.photo import Photo, look_at, name_in, root_of
from mobilens.data.lint.unreadable import find_unreadable
from mobilens.observer import SILENT, Observer


@dataclass(frozen=True)
class LintReport:
    """What a data set holds, and what would spoil a result.

    Attributes:
        counts: Readable images of each class, or things in them, by split; splits and classes in
            their order.
        notes: How the data was read, one sentence each.
        findings: Problems first, then warnings, then notes.
        short_side: (smallest, median, largest) short side of the readable images, pixels; zeros
            where there is none.
        num_images: Readable images of all splits.
    """

    counts: dict[str, dict[str, int]]
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]
    short_side: tuple[int, float, int]
    num_images: int

    @property
    def has_problems(self) -> bool:
        """Whether something would spoil a result."""
        return any(finding.severity == "problem" for finding in self.findings)

    def count(self, severity: Severity) -> int:
        """How many findings are of this severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def with_findings(self, findings: Iterable[Finding]) -> LintReport:
        """The same report with more findings, in the order of severity."""
        return replace(self, findings=_ordered([*self.findings, *findings]))

    def to_json(self) -> dict[str, Any]:
        """Give the report as JSON values."""
        smallest, middle, largest = self.short_side
        return {
            "num_images": self.num_images,
            "counts": self.counts,
            "short_side": {"min": smallest, "median": middle, "max": largest},
            "notes": list(self.notes),
            "num_problems": self.count("problem"),
            "num_warnings": self.count("warning"),
            "findings": [finding.to_json() for finding in self.findings],
        }


def check_splits(splits: DataSplits, *, observer: Observer = SILENT) -> LintReport:
    """Read and decode every file once, and look for what would spoil a result.

    Args:
        splits: The data, as ``load_splits`` gives it.
        observer: Is told of progress.
    """
    datasets = [part for part in (splits.train, splits.val, splits.test) if part is not None]
    photos = list(observer.progress(look_at(datasets), sum(map(len, datasets)), "read"))
    root, broken = root_of(datasets), {photo.name for photo in photos if not photo.is_readable}
    counts = {dataset.split: _readable_counts(dataset, root, broken) for dataset in datasets}
    sides = [min(photo.size) for photo in photos if photo.is_readable]
    labels = splits.train.labels
    is_open = label_kind(labels).OPEN
    # An image is of one class, not a place for things of several.
    one_class = labels == "class" or is_open
    what = IMAGES if one_class else THINGS
    unnamed = photos if one_class else _without_labels(photos)
    return LintReport(
        counts=counts,
        notes=splits.notes,
        findings=_ordered(
            [
                *find_unreadable(photos),
                *find_exact_duplicates(photos, labels),
                *find_near_duplicates(unnamed, observer),
                *(() if is_open else find_small_classes(counts["train"], counts["val"], what)),
                *find_similar_names(counts["train"]),
                *find_odd_looks(unnamed),
                *find_imbalance(counts["train"], what),
                *(find_precision(counts["val"]) if labels == "class" else ()),
            ]
        ),
        short_side=(min(sides), median(sides), max(sides)) if sides else (0, 0, 0),
        num_images=len(sides),
    )


def _without_labels(photos: Sequence[Photo]) -> list[Photo]:
    """Photos whose labels are no classes: two of one scene differ, and no two images share one."""
    return [replace(photo, label="") for photo in photos]


def _readable_counts(dataset: Dataset, root: Path, broken: Collection[str]) -> dict[str, int]:
    lost = [one.path for one in dataset.samples if name_in(root, one.path) in broken]
    return dataset.without(lost).class_counts()


def _ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))
