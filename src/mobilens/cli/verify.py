"""``mobilens verify``: prove again that a model file gives the answers it promises."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mobilens.cli.terminal import print_json
from mobilens.errors import BundleError

if TYPE_CHECKING:
    from mobilens.runtime.manifest import Accuracy, Reduction
    from mobilens.runtime.verify import VerificationReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", metavar="FILE", help="model file that mobilens export wrote")
    parser.add_argument(
        "--json", action="store_true", help="print JSON with ok and, on failure, error"
    )


def run(args: argparse.Namespace) -> int:
    """Check the file and print what was found; exit code 1 when it does not keep its word."""
    from mobilens.runtime.verify import check_bundle

    try:
        report = check_bundle(args.file)
    except BundleError as error:
        if not args.json:
            raise
        print_json({"ok": False, "path": args.file, "error": str(error)})
        return 1
    if args.json:
        failed = [check.detail for check in report.checks if check.result == "failed"]
        print_json(report.to_json() | ({"error": failed[0]} if failed else {}))
    else:
        print(_text(report))
    return 0 if report.ok else 1


def _text(report: VerificationReport) -> str:
    well = "proved" if report.unproven is None else "as exported; its answers are UNPROVEN"
    lines = [f"{report.path}: {well if report.ok else 'NOT what was exported'}"]
    lines += [f"  {check.name:9} {check.result:8} {check.detail}" for check in report.checks]
    if report.largest_difference is not None:
        lines.append(
            f"  {report.engine} {report.engine_version}: largest difference "
            f"{report.largest_difference:.2g}, allowed {report.tolerance:.2g}"
        )
    if report.accuracy is not None:
        lines.append(f"  {_claim(report.accuracy)}")
    if report.reduction is not None:
        lines.append(f"  {_cost(report.reduction)}")
    if report.unproven is not None:
        lines.append(f"  unproven: {report.unproven}")
    lines.append(f"  sha256 {report.sha256}, {report.size_bytes:,} bytes")
    return "\n".join(lines)


def _cost(reduction: Reduction) -> str:
    from mobilens.vision.intervals import Estimate

    lost, speed = Estimate(reduction.drop, *reduction.drop_interval), reduction.speed
    slower = "; slower than in float" if speed.slower else ""
    return (
        f"claims a loss of {lost.percent()} points by fewer bits, {speed.ms:.2f} ms beside "
        f"{speed.float_ms:.2f} in float on {speed.cpu}{slower}"
    )


def _claim(accuracy: Accuracy) -> str:
    held = accuracy.file or accuracy.checkpoint
    figures = ", ".join(f"{name} {value:.4g}" for name, value in held.items())
    of = "" if accuracy.file else "of its checkpoint, not of this file, "
    dataset = accuracy.dataset
    return f"claims {figures} {of}on {dataset.name}, {dataset.num_images:,} images"
