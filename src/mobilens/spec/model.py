"""ModelSpec: a whole model as plain data, with its checks, its JSON and its cost."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from mobilens.errors import SpecError, UnknownNameError
from mobilens.spec import codec
from mobilens.spec.blocks import (
    MAX_SIZE,
    Block,
    ConvNormAct,
    MobileAttention,
    out_channels,
)
from mobilens.spec.cost import Cost, RowCost, Shape, Walk, row_cost
from mobilens.spec.heads import HEADS, Head
from mobilens.spec.taps import STEM, Body, Tap

Padding = Literal["symmetric", "same"]
WidthRule = Literal["paper", "torchvision"]
WIDTH_RULES: tuple[WidthRule, ...] = get_args(WidthRule)
# Wider, and counting its cost would outgrow a float.
MAX_WIDTH_MULT = 1e6


@dataclass(frozen=True)
class ModelSpec:
    """A model from images to what its head gives; every channel count stands in it.

    A table of a paper, a narrower net, a pruned one and one that a search found are all of this
    type. Building one checks it, types included.

    Attributes:
        name: Name of the architecture, such as ``"mobilenet_v3_small"``.
        stem: First convolution.
        rows: Blocks in order.
        head: Features to class scores, boxes or whatever it is for.
        resolution: (height, width) of the input, pixels.
        in_channels: Channels of the input image.
        width_mult: Width multiplier that it was made with; for the record.
        width_rule: Rule by which its channels were rounded; for the record.
        padding: ``"symmetric"`` pads both sides alike; ``"same"`` as TensorFlow does, which at
            stride 2 on even sizes pads only after.
        bn_eps: Epsilon of every BatchNorm.
    """

    name: str
    stem: ConvNormAct
    rows: tuple[Block, ...]
    head: Head
    resolution: tuple[int, int] = (224, 224)
    in_channels: int = 3
    width_mult: float = 1.0
    width_rule: WidthRule = "paper"
    padding: Padding = "symmetric"
    bn_eps: float = 1e-3

    def __post_init__(self) -> None:
        for name, item in codec.read_fields(self, "spec").items():
            object.__setattr__(self, name, item)
        if not 1 <= min(self.resolution) <= max(self.resolution) <= MAX_SIZE:
            raise SpecError(
                f"resolution is {self.resolution}", expected=f"1 to {MAX_SIZE} on both sides"
            )
        if not 1 <= self.in_channels <= MAX_SIZE:
            raise SpecError(f"in_channels is {self.in_channels}", expected=f"1 to {MAX_SIZE}")
        if not 0 < self.bn_eps < 1:
            raise SpecError(f"bn_eps is {self.bn_eps}", expected="above 0, below 1")
        if not 0 < self.width_mult <= MAX_WIDTH_MULT:
            raise SpecError(
                f"width_mult is {self.width_mult}",
                expected=f"a number above 0, at most {MAX_WIDTH_MULT:g}",
            )
        if not self.name or not codec.is_plain(self.name):
            raise SpecError(
                f"the model's name is {self.name!a}",
                expected="a name on one line, such as 'mobilenet_v3_small'",
            )
        channels = self.in_channels
        for where, block in self.named_rows():
            with _named(where, block.kind):
                block.check(channels)
            channels = out_channels(block, channels)
        with _named("head", self.head.kind):
            self.head.check(tuple(map(self.body.channels, self.taps)))

    @property
    def body(self) -> Body:
        """Stem and rows."""
        return Body(self.stem, self.rows)

    @property
    def taps(self) -> tuple[Tap, ...]:
        """Where the head reads."""
        return self.head.taps(self.body)

    @property
    def output_stride(self) -> int:
        """Input size over feature size: the strides of stem and rows, multiplied."""
        return math.prod((self.stem.stride, *(row.stride for row in self.rows)))

    @property
    def num_classes(self) -> int:
        """Classes told apart."""
        return self.head.num_classes

    @property
    def feature_channels(self) -> int:
        """Channels that the last row gives."""
        return self.body.channels(self.body.last)

    def named_rows(self) -> Iterator[tuple[str, Block]]:
        """Stem and rows with their names in messages and tables."""
        yield "stem", self.stem
        for index, row in enumerate(self.rows):
            yield f"row {index}", row

    def cost(self) -> Cost:
        """Count params, MACs and memory, row by row, for one image."""
        shape = Shape(self.in_channels, *self.resolution)
        rows: list[RowCost] = []
        tapped: dict[Tap, Shape] = {}
        for index, (where, block) in enumerate(self.named_rows(), start=STEM):
            walk = Walk(shape)
            with walk.keeping(sum(one.elements for one in tapped.values())):
                block.walk(walk)
            rows.append(row_cost(where, block.kind, walk.ops))
            shape = walk.shape
            for tap in self.taps:
                if tap.row == index:
                    tapped[tap] = walk.ops[0].output if tap.expanded else shape
        walk = Walk(shape)
        features = tuple(tapped[tap] for tap in self.taps)
        with walk.keeping(sum(one.elements for one in features[:-1])):
            self.head.walk(walk, features)
        rows.append(row_cost("head", self.head.kind, walk.ops))
        return Cost(tuple(rows))

    def with_classes(self, num_classes: int) -> ModelSpec:
        """The same model for another number of classes."""
        return replace(self, head=replace(self.head, num_classes=num_classes))

    def with_head(self, kind: str, num_classes: int) -> ModelSpec:
        """The same model under another head, as it is usual there.

        Args:
            kind: One of ``spec.heads.HEADS``.
            num_classes: Classes told apart.

        Raises:
            UnknownNameError: No such head.
            SpecError: It cannot stand on this model.
        """
        if kind not in HEADS:
            raise UnknownNameError.among("head", kind, HEADS)
        return replace(self, head=HEADS[kind].on(self, num_classes))

    def with_output_stride(self, output_stride: int, *, dilate_first: bool = False) -> ModelSpec:
        """The same model with dilation for the strides beyond ``output_stride``.

        The row whose stride goes keeps the dilation so far, later rows take the larger one
        (DeepLab's rule). Only a spec that has its strides can be changed.

        Args:
            output_stride: 8, 16 or 32.
            dilate_first: Whether the row whose stride goes takes the larger dilation too, as in
                torchvision's weights.

        Raises:
            SpecError: The stride is not 8, 16 or 32, or the spec is dilated already.
        """
        if output_stride not in (8, 16, 32):
            raise SpecError(f"output_stride is {output_stride}", expected="8, 16 or 32")
        if output_stride == self.output_stride:
            return self
        dilated = any(row.dilation > 1 for row in self.rows)
        if dilated or output_stride > self.output_stride:
            raise SpecError(
                f"output_stride {output_stride} from a model of {self.output_stride}"
                + (", dilated already" if dilated else ""),
                expected="a smaller one than the model's, which still has all its strides",
            )
        rows: list[Block] = []
        reached, dilation = self.stem.stride, 1
        for row in self.rows:
            if reached * row.stride > output_stride and not isinstance(row, MobileAttention):
                larger = dilation * row.stride
                rows.append(replace(row, stride=1, dilation=larger if dilate_first else dilation))
                dilation = larger
            else:
                rows.append(replace(row, dilation=dilation))
                reached *= row.stride
        return replace(self, rows=tuple(rows))

    def to_json(self) -> dict[str, Any]:
        """Give JSON values that ``from_json`` reads back unchanged."""
        return {"format": 1} | dict(codec.to_json(self))

    @classmethod
    def from_json(cls, value: Any) -> ModelSpec:
        """Build from JSON values, or from their text.

        Raises:
            SpecError: The text is not JSON, a field is missing, unknown or wrong, or the model
                cannot be built; the message names the row and the reason.
        """
        if isinstance(value, str):
            try:
                value = json.loads(value)
            # A number of thousands of digits is a ValueError, deep nesting a RecursionError.
            except (ValueError, RecursionError) as error:
                raise SpecError(f"the spec is not JSON: {error}") from None
        given = value.get("format") if isinstance(value, dict) else value
        if not isinstance(value, dict) or type(given) is not int or given != 1:
            raise SpecError(f"spec format is {given!r}", expected="an object with format 1")
        fields = {key: item for key, item in value.items() if key != "format"}
        return codec.from_json(cls, fields, "spec")


@contextmanager
def _named(where: str, kind: str) -> Iterator[None]:
    """Say in an error which row it is about."""
    try:
        yield
    except SpecError as error:
        raise SpecError(
            f"{where} ({kind}): {error.given}", expected=error.expected, remedy=error.remedy
        ) from None
