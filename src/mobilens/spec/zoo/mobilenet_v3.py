"""MobileNetV3 and its minimalistic variants.

Source: arXiv 1905.02244, Tables 1 and 2, with the two places where the released code differs from
the print: V3-Small's penultimate layer has 1024 channels and its 576 convolution no squeeze-excite.
"""

from __future__ import annotations

from dataclasses import dataclass

from mobilens.spec.blocks import Activation, ConvNormAct, InvertedResidual
from mobilens.spec.heads.classifier import ClassifierHead
from mobilens.spec.model import ModelSpec, WidthRule
from mobilens.spec.zoo.widths import make_divisible

STEM = 16

# kernel k, expanded exp, out, squeeze-excite SE, nonlinearity NL, stride s
LARGE = [
    (3, 16, 16, 0, "RE", 1),
    (3, 64, 24, 0, "RE", 2),
    (3, 72, 24, 0, "RE", 1),
    (5, 72, 40, 1, "RE", 2),
    (5, 120, 40, 1, "RE", 1),
    (5, 120, 40, 1, "RE", 1),
    (3, 240, 80, 0, "HS", 2),
    (3, 200, 80, 0, "HS", 1),
    (3, 184, 80, 0, "HS", 1),
    (3, 184, 80, 0, "HS", 1),
    (3, 480, 112, 1, "HS", 1),
    (3, 672, 112, 1, "HS", 1),
    (5, 672, 160, 1, "HS", 2),
    (5, 960, 160, 1, "HS", 1),
    (5, 960, 160, 1, "HS", 1),
]

SMALL = [
    (3, 16, 16, 1, "RE", 2),
    (3, 72, 24, 0, "RE", 2),
    (3, 88, 24, 0, "RE", 1),
    (5, 96, 40, 1, "HS", 2),
    (5, 240, 40, 1, "HS", 1),
    (5, 240, 40, 1, "HS", 1),
    (5, 120, 48, 1, "HS", 1),
    (5, 144, 48, 1, "HS", 1),
    (5, 288, 96, 1, "HS", 2),
    (5, 576, 96, 1, "HS", 1),
    (5, 576, 96, 1, "HS", 1),
]

ACT: dict[str, Activation] = {"RE": "relu", "HS": "hard_swish"}


@dataclass(frozen=True)
class _Widths:
    """One width rule: channels of the stem, inside a block, and of the penultimate layer.

    With a reduced tail, what comes after the last stride has half as many: section 6.3 of the
    paper, for heads that do not tell a thousand classes apart.
    """

    width_mult: float
    rule: WidthRule
    reduced_tail: bool = False

    def stem(self) -> int:
        # timm holds the stem at 16 below 0.75, which is also what the rule gives from 0.75 on.
        if self.rule == "paper" and self.width_mult < 0.75:
            return STEM
        return make_divisible(STEM * self.width_mult)

    def expanded(self, at_one: int, inputs_at_one: int, inputs: int) -> int:
        if self.rule == "torchvision":
            return make_divisible(at_one * self.width_mult)
        if at_one == inputs_at_one:
            return inputs
        return make_divisible(inputs * (at_one / inputs_at_one))

    def expands(self, at_one: int, inputs_at_one: int, expanded: int, inputs: int) -> bool:
        # torchvision looks at the channels after scaling, which matters below a width of 0.2.
        return expanded != inputs if self.rule == "torchvision" else at_one != inputs_at_one

    def penultimate(self, at_one: int) -> int:
        scale = self.width_mult if self.rule == "torchvision" else max(1.0, self.width_mult)
        return make_divisible(at_one * scale)

    def last_conv(self, at_one: int, last_row_out: int) -> int:
        if self.rule == "torchvision":
            return 6 * last_row_out
        return make_divisible(at_one * self.width_mult)


def mobilenet_v3_large(
    width_mult: float, width_rule: WidthRule = "paper", *, reduced_tail: bool = False
) -> ModelSpec:
    """MobileNetV3-Large (Table 1)."""
    widths = _Widths(width_mult, width_rule, reduced_tail)
    return _build("mobilenet_v3_large", LARGE, 1280, widths)


def mobilenet_v3_small(
    width_mult: float, width_rule: WidthRule = "paper", *, reduced_tail: bool = False
) -> ModelSpec:
    """MobileNetV3-Small (Table 2)."""
    widths = _Widths(width_mult, width_rule, reduced_tail)
    return _build("mobilenet_v3_small", SMALL, 1024, widths)


def mobilenet_v3_large_minimalistic(
    width_mult: float, width_rule: WidthRule = "paper", *, reduced_tail: bool = False
) -> ModelSpec:
    """V3-Large with 3x3 kernels, ReLU and no squeeze-excite throughout (released code)."""
    return _build(
        "mobilenet_v3_large_minimalistic",
        _minimalistic(LARGE),
        1280,
        _Widths(width_mult, width_rule, reduced_tail),
        act="relu",
    )


def mobilenet_v3_small_minimalistic(
    width_mult: float, width_rule: WidthRule = "paper", *, reduced_tail: bool = False
) -> ModelSpec:
    """V3-Small with 3x3 kernels, ReLU and no squeeze-excite throughout (released code)."""
    return _build(
        "mobilenet_v3_small_minimalistic",
        _minimalistic(SMALL),
        1024,
        _Widths(width_mult, width_rule, reduced_tail),
        act="relu",
    )


_Row = tuple[int, int, int, int, str, int]


def _reduced(table: list[_Row]) -> list[_Row]:
    """Halve what comes after the last stride: widths, and inner widths of the rows behind it."""
    last = max(index for index, row in enumerate(table) if row[-1] == 2)
    head = table[:last]
    k, exp, out, se, nl, s = table[last]
    tail = [(k, exp // 2, out // 2, se, nl, s) for k, exp, out, se, nl, s in table[last + 1 :]]
    return [*head, (k, exp, out // 2, se, nl, s), *tail]


def _minimalistic(rows: list[_Row]) -> list[_Row]:
    return [(3, exp, out, 0, "RE", s) for _, exp, out, _, _, s in rows]


def _build(
    name: str,
    table: list[_Row],
    penultimate: int,
    widths: _Widths,
    act: Activation = "hard_swish",
) -> ModelSpec:
    if widths.reduced_tail:
        table = _reduced(table)
    inputs_at_one, inputs = STEM, widths.stem()
    stem = ConvNormAct(3, inputs, stride=2, act=act)
    rows: list[InvertedResidual | ConvNormAct] = []
    for k, exp, out, se, nl, s in table:
        expanded = widths.expanded(exp, inputs_at_one, inputs)
        channels = make_divisible(out * widths.width_mult)
        rows.append(
            InvertedResidual(
                k,
                expanded,
                channels,
                stride=s,
                act=ACT[nl],
                squeeze_channels=make_divisible(expanded / 4) if se else 0,
                expand=widths.expands(exp, inputs_at_one, expanded, inputs),
                residual=s == 1 and inputs == channels,
            )
        )
        inputs_at_one, inputs = out, channels
    last = widths.last_conv(6 * inputs_at_one, inputs)
    rows.append(ConvNormAct(1, last, act=act))
    return ModelSpec(
        name=name,
        stem=stem,
        rows=tuple(rows),
        head=ClassifierHead(
            num_classes=1000,
            hidden_channels=widths.penultimate(penultimate),
            act=act,
            dropout=0.2,
        ),
        width_mult=widths.width_mult,
        width_rule=widths.rule,
    )
