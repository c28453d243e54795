"""Are there enough images, or things in them, of each class, to learn from and to measure on?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from mobilens.data.lint.finding import Finding, Item, Severity, counted
from mobilens.vision.intervals import wilson

MIN_TO_LEARN = 10
MIN_TO_MEASURE = 10
# With fewer than these a class can hardly be learnt, or is not measured: a problem.
LEAST_TO_LEARN = 5
LEAST_TO_MEASURE = 2
NOTED_RATIO, UNBALANCED_RATIO = 3.0, 10.0
# The accuracy at which the width of an interval is told.
ASSUMED_ACCURACY = 0.9

Counts = Mapping[str, int]


@dataclass(frozen=True)
class Counted:
    """What is counted of each class, and what is said of it.

    Attributes:
        noun: One of them.
        right: What becomes of one that is answered as it should be.
        figure: What is measured of each class.
        whole: What is measured of all together.
    """

    noun: str
    right: str
    figure: str
    whole: str


IMAGES = Counted("image", "right", "accuracy", "total")
THINGS = Counted("thing", "found", "precision", "mean")


def find_small_classes(train: Counts, val: Counts, what: Counted = IMAGES) -> list[Finding]:
    """Find classes with too few images to learn from or to measure on.

    Args:
        train: Readable images of each class to learn from, or things in them.
        val: The same to measure on.
        what: Which of these.
    """
    findings = []
    few = _below(MIN_TO_LEARN, train)
    if few:
        severity: Severity = "problem" if few[0][1] < LEAST_TO_LEARN else "warning"
        findings.append(
            Finding(
                "few_to_learn",
                severity,
                f"{counted(len(few), 'class', 'classes')} with fewer than {MIN_TO_LEARN} "
                f"{what.noun}s to learn from",
                "add images, or merge them with a class that is like them",
                tuple(Item(f"{name}: {counted(count, what.noun)}") for name, count in few),
            )
        )
    few = _below(MIN_TO_MEASURE, val)
    if few:
        severity = "problem" if few[0][1] < LEAST_TO_MEASURE else "warning"
        findings.append(
            Finding(
                "few_to_measure",
                severity,
                f"{counted(len(few), 'class', 'classes')} with fewer than {MIN_TO_MEASURE} "
                f"{what.noun}s to measure on: their own figures are rough",
                f"hold out more images of them, or judge by the {what.whole} only",
                tuple(Item(_measured_on(name, count, what)) for name, count in few),
            )
        )
    return findings


def find_imbalance(train: Counts, what: Counted = IMAGES) -> list[Finding]:
    """Compare the largest class with the smallest."""
    least, name = min((count, name) for name, count in train.items())
    most, other = max((count, name) for name, count in train.items())
    if not least or most < NOTED_RATIO * least:
        return []
    ratio = most / least
    return [
        Finding(
            "imbalance",
            "warning" if ratio >= UNBALANCED_RATIO else "note",
            f"the largest class has {ratio:.1f} times as many {what.noun}s to learn from as the "
            f"smallest ({other} {most:,}, {name} {least:,})",
            f"look at the {what.figure} of each class, not at the {what.whole} alone",
        )
    ]


def find_precision(val: Counts) -> list[Finding]:
    """Say how sure a share of right answers, one to an image, can be."""
    total = sum(val.values())
    estimate = wilson(round(ASSUMED_ACCURACY * total), total)
    if estimate is None:
        return []
    return [
        Finding(
            "precision",
            "note",
            f"on {counted(total, 'image')} to measure on, a top-1 of {100 * estimate.value:.0f} % "
            f"stands for anything from {100 * estimate.low:.0f} to {100 * estimate.high:.0f} % "
            "(95 % interval)",
        )
    ]


def find_similar_names(names: Mapping[str, int]) -> list[Finding]:
    """Find classes whose names differ in case, spaces, hyphens or underscores only."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        groups["".join(char for char in name.casefold() if char not in " -_")].append(name)
    alike = [group for group in groups.values() if len(group) > 1]
    if not alike:
        return []
    return [
        Finding(
            "similar_names",
            "warning",
            f"{counted(len(alike), 'group')} of class names that are almost the same",
            "merge them if they mean the same",
            tuple(Item(" ~ ".join(map(repr, group))) for group in alike),
        )
    ]


def _below(limit: int, counts: Counts) -> list[tuple[str, int]]:
    """Classes with fewer images, the smallest first, else in their order."""
    return sorted(
        ((name, count) for name, count in counts.items() if count < limit),
        key=lambda one: one[1],
    )


def _measured_on(name: str, count: int, what: Counted) -> str:
    estimate = wilson(count, count)
    if estimate is None:
        return f"{name}: none, so it is not measured at all"
    return (
        f"{name}: {counted(count, what.noun)}; all of them {what.right} would still mean anything "
        f"from {100 * estimate.low:.0f} to 100 %"
    )
