"""``mobilens info``: an architecture, row by row, with its cost."""

from __future__ import annotations

import argparse

from mobilens.cli.terminal import print_json, table
from mobilens.spec.cost import Cost, RowCost, Shape, weight_bytes
from mobilens.spec.model import WIDTH_RULES, ModelSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", nargs="?", metavar="MODEL", help="name; all are listed without it")
    parser.add_argument("--width", type=float, default=1.0, metavar="W", help="width multiplier")
    parser.add_argument(
        "--resolution", type=int, metavar="R", help="input side, pixels (default: the paper's)"
    )
    parser.add_argument(
        "--width-rule",
        default="paper",
        choices=WIDTH_RULES,
        help="how V3's channels are rounded; up to width 1 slim, Keras and timm agree on 'paper'",
    )
    parser.add_argument("--classes", type=int, default=1000, metavar="N", help="number of classes")
    parser.add_argument(
        "--output-stride",
        type=int,
        default=32,
        choices=(32, 16, 8),
        help="below the model's own: dilation",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the table, or the list of models."""
    from mobilens.spec.zoo import build_spec, list_models

    def build(name: str) -> ModelSpec:
        return build_spec(
            name,
            width_mult=args.width,
            resolution=args.resolution,
            width_rule=args.width_rule,
            num_classes=args.classes,
            output_stride=args.output_stride,
        )

    if args.model is None:
        specs = [build(name) for name in list_models()]
        if args.json:
            print_json([_summary(spec, spec.cost()) for spec in specs])
        else:
            print(_models_table(specs))
        return 0
    spec = build(args.model)
    cost = spec.cost()
    if args.json:
        print_json(_summary(spec, cost) | {"rows": [_row_json(row) for row in cost.rows]})
    else:
        print(_model_table(spec, cost))
    return 0


def _summary(spec: ModelSpec, cost: Cost) -> dict[str, object]:
    height, width = spec.resolution
    return {
        "model": spec.name,
        "width": spec.width_mult,
        "width_rule": spec.width_rule,
        "resolution": height if height == width else [height, width],
        "num_classes": spec.num_classes,
        "output_stride": spec.output_stride,
        "params": cost.params,
        "macs": cost.macs,
        "standard_macs": cost.standard_macs,
        "peak_activation_bytes": cost.peak_activation_bytes(),
        "weight_bytes": cost.weight_bytes(),
    }


def _row_json(row: RowCost) -> dict[str, object]:
    return {
        "name": row.name,
        "block": row.block,
        "input": _shape(row.input),
        "output": _shape(row.output),
        "params": row.params,
        "macs": row.macs,
        "peak_activation_bytes": 4 * row.peak_activation_elements,
        "weight_bytes": weight_bytes(row.params),
        "separable_macs": row.separable_macs,
        "standard_macs": row.standard_macs,
        "separable_ratio": row.separable_ratio,
    }


def _shape(shape: Shape) -> list[int]:
    return [shape.height, shape.width, shape.channels]


def _models_table(specs: list[ModelSpec]) -> str:
    rows = []
    for spec in specs:
        cost = spec.cost()
        rows.append(
            (
                spec.name,
                spec.resolution[0],
                f"{cost.params:,}",
                f"{cost.macs:,}",
                f"{cost.weight_bytes()['fp32'] / 1e6:.1f}",
                f"{cost.weight_bytes()['int8'] / 1e6:.1f}",
            )
        )
    header = ("model", "resolution", "params", "MACs", "fp32 MB", "int8 MB")
    return table(header, rows) + "\n\nOne of them in detail: mobilens info MODEL"


def _model_table(spec: ModelSpec, cost: Cost) -> str:
    rows = [
        (
            row.name,
            row.block.replace("_", " "),
            "x".join(map(str, _shape(row.input))),
            "x".join(map(str, _shape(row.output))),
            f"{row.params:,}",
            f"{row.macs:,}",
            f"{4 * row.peak_activation_elements / 1024:,.0f}",
            f"{1 / row.separable_ratio:.2f}x" if row.separable_ratio else "",
        )
        for row in cost.rows
    ]
    header = ("row", "block", "input", "output", "params", "MACs", "peak KiB", "saved")
    sizes = cost.weight_bytes()
    saving = cost.standard_macs / cost.macs
    height, width = spec.resolution
    return "\n".join(
        [
            f"{spec.name}, width {spec.width_mult:g} ({spec.width_rule} rule), {height}x{width}, "
            f"{spec.num_classes} classes",
            "",
            table(header, rows),
            "",
            f"params             {cost.params:,}",
            f"MACs               {cost.macs:,}  (FLOPs are twice as many)",
            f"weights            {sizes['fp32']:,} bytes fp32, {sizes['fp16']:,} fp16, "
            f"{sizes['int8']:,} int8",
            f"peak activations   {cost.peak_activation_bytes():,} bytes at fp32, one image",
            f"separability       {saving:.2f} times fewer MACs than the same net with standard "
            "convolutions;",
            "                   'saved' is N·K²/(N + K²) for each depthwise KxK and its pointwise "
            "to N channels",
        ]
    )
