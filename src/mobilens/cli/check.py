"""``mobilens check``: what would spoil a result in a data set."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mobilens.cli.arguments import share
from mobilens.cli.terminal import print_json, table
from mobilens.errors import MobilensError
from mobilens.observer import TerminalObserver

if TYPE_CHECKING:
    from mobilens.data.lint import Finding, LintReport

EXAMPLES = 5
LISTED_CLASSES = 40
HEADINGS = {
    "problem": ("problem that would spoil a result", "problems that would spoil a result"),
    "warning": ("warning", "warnings"),
    "note": ("note", "notes"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "data", nargs="+", metavar="DATA", help="folder of class folders, CSV file, or patterns"
    )
    parser.add_argument(
        "--task",
        default="classify",
        metavar="NAME",
        help="what it shall be learnt for, as train takes it (default: classify)",
    )
    parser.add_argument(
        "--val-fraction",
        type=share,
        metavar="F",
        help="share of the images that train shall hold out to measure on, where the data is not "
        "divided into parts (default: 0.2)",
    )
    parser.add_argument(
        "--model", metavar="FILE", help="model file or checkpoint that looks for wrong labels"
    )
    parser.add_argument("--json", action="store_true", help="print JSON: every case, or the error")


def run(args: argparse.Namespace) -> int:
    """Check and print; the exit code is 1 if something would spoil a result."""
    from mobilens.api import check
    from mobilens.vision.predictor import VAL_FRACTION

    name = " ".join(args.data)
    try:
        report = check(
            args.data,
            task=args.task,
            val_fraction=VAL_FRACTION if args.val_fraction is None else args.val_fraction,
            model=args.model,
            observer=TerminalObserver(),
        )
    except MobilensError as error:
        if not args.json:
            raise
        print_json({"data": name, "error": str(error)})
        return error.exit_code
    if args.json:
        print_json({"data": name} | report.to_json())
    else:
        print(_text(name, report))
    return 1 if report.has_problems else 0


def _text(name: str, report: LintReport) -> str:
    smallest, middle, largest = report.short_side
    parts = [
        f"{name}: {report.num_images:,} images, "
        f"{len(report.counts['train']):,} classes, short side {smallest:,} to {largest:,} pixels "
        f"(median {middle:,g})",
        _class_table(report.counts),
    ]
    if report.notes:
        parts.append("\n".join(f"- {note}" for note in report.notes))
    for severity, headings in HEADINGS.items():
        found = [finding for finding in report.findings if finding.severity == severity]
        if found:
            heading = f"{len(found)} {headings[len(found) > 1]}"
            parts.append("\n".join([heading, *map(_finding_text, found)]))
    if not report.has_problems:
        parts.append("Nothing found that would spoil a result.")
    return "\n\n".join(parts)


def _class_table(counts: dict[str, dict[str, int]]) -> str:
    # The parts may have other classes each.
    names = list(dict.fromkeys(name for split in counts.values() for name in split))
    left_out = len(names) - LISTED_CLASSES
    if left_out > 0:
        names.sort(key=lambda name: max(split.get(name, 0) for split in counts.values()))
        names = names[:LISTED_CLASSES]
    rows: list[tuple[object, ...]] = [
        (name, *(split.get(name, "") for split in counts.values())) for name in names
    ]
    if left_out > 0:
        rows.append((f"({left_out:,} larger ones)", *("" for _ in counts)))
    rows.append(("all", *(f"{sum(split.values()):,}" for split in counts.values())))
    return table(("class", *counts), rows)


def _finding_text(finding: Finding) -> str:
    lines = [f"  {finding.message}"]
    lines += [f"      {item.text}" for item in finding.items[:EXAMPLES]]
    more = len(finding.items) - EXAMPLES
    if more > 0:
        lines.append(f"      ... and {more:,} more (--json lists all)")
    if finding.remedy:
        lines.append(f"    try: {finding.remedy}")
    return "\n".join(lines)
