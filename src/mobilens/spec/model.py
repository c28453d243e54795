"""ModelSpec: a whole model as plain data, with its checks, its JSON and its cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from mobilens.errors import SpecError
from mobilens.spec import codec
from mobilens.spec.blocks import (
    Block,
    ClassifierHead,
    ConvNormAct,
    MobileAttention,
    out_channels,
)
from mobilens.spec.cost import Cost, RowCost, Shape, Walk, row_cost

Padding = Literal["symmetric", "same"]


@dataclass(frozen=True)
class ModelSpec:
    """A model from images to class scores; every channel count stands in it.

    A table of a paper, a narrower net, a pruned one and one that a search found are all of this
    type. Building one checks it.

    Attributes:
        name: Name of the architecture, such as ``"mobilenet_v3_small"``.
        stem: First convolution.
        rows: Blocks in order.
        head: Features to class scores.
        resolution: (height, width) of the input, pixels.
        in_channels: Channels of the input image.
        width_mult: Width multiplier that it was made with; for the record.
        width_rule: Rule by which its channels were rounded; for the record.
        padding: ``"symmetric"`` pads both sides alike; ``"same"`` as TensorFlow does, which at
            stride 2 on even sizes pads only after.
        bn_eps: Epsilon of every BatchNorm.
        output_stride: Input size over feature size; below 32 strides became dilation.
    """

    name: str
    stem: ConvNormAct
    rows: tuple[Block, ...]
    head: ClassifierHead
    resolution: tuple[int, int] = (224, 224)
    in_channels: int = 3
    width_mult: float = 1.0
    width_rule: str = "paper"
    padding: Padding = "symmetric"
    bn_eps: float = 1e-3
    output_stride: int = 32

    def __post_init__(self) -> None:
        if min(self.resolution) < 1:
            raise SpecError(f"resolution is {self.resolution}", expected="1 or more on both sides")
        if self.in_channels < 1:
            raise SpecError(f"in_channels is {self.in_channels}", expected="1 or more")
        if not 0 < self.bn_eps < 1:
            raise SpecError(f"bn_eps is {self.bn_eps}", expected="above 0, below 1")
        if not 0 < self.width_mult < float("inf"):
            raise SpecError(f"width_mult is {self.width_mult}", expected="a number above 0")
        if not self.name:
            raise SpecError("the model has no name", expected="such as 'mobilenet_v3_small'")
        channels = self.in_channels
        for where, block in self.named_rows():
            try:
                block.check(channels)
            except SpecError as error:
                raise SpecError(
                    f"{where} ({block.kind}): {error.given}",
                    expected=error.expected,
                    remedy=error.remedy,
                ) from None
            if not isinstance(block, ClassifierHead):
                channels = out_channels(block, channels)
        self._check_output_stride()

    def _check_output_stride(self) -> None:
        """Strides, and dilations in the place of strides, come to what the spec says."""
        reached = self.stem.stride
        for row in self.rows:
            reached *= 1 if isinstance(row, MobileAttention) else row.stride
        if self.output_stride < 32 and reached > self.output_stride:
            raise SpecError(
                f"output_stride is {self.output_stride}, but the strides of stem and rows come "
                f"to {reached}",
                expected=f"{self.output_stride} or less",
            )

    @property
    def num_classes(self) -> int:
        """Scores given."""
        return self.head.num_classes

    @property
    def feature_channels(self) -> int:
        """Channels that the last row gives to the head."""
        channels = self.stem.out_channels
        for row in self.rows:
            channels = out_channels(row, channels)
        return channels

    def named_rows(self) -> Iterator[tuple[str, Block | ClassifierHead]]:
        """Stem, rows and head with their names in messages and tables."""
        yield "stem", self.stem
        for index, row in enumerate(self.rows):
            yield f"row {index}", row
        yield "head", self.head

    def cost(self) -> Cost:
        """Count params, MACs and memory, row by row, for one image."""
        shape = Shape(self.in_channels, *self.resolution)
        rows: list[RowCost] = []
        for where, block in self.named_rows():
            walk = Walk(shape)
            block.walk(walk)
            rows.append(row_cost(where, block.kind, walk.ops))
            shape = walk.shape
        return Cost(tuple(rows))

    def with_classes(self, num_classes: int) -> ModelSpec:
        """The same model for another number of classes."""
        return replace(self, head=replace(self.head, num_classes=num_classes))

    def with_resolution(self, resolution: tuple[int, int]) -> ModelSpec:
        """The same model for another input size, (height, width) in pixels."""
        return replace(self, resolution=resolution)

    def with_output_stride(self, output_stride: int) -> ModelSpec:
        """The same model with dilation for the strides beyond ``output_stride``.

        The row whose stride goes keeps the dilation so far, later rows take the larger one
        (DeepLab's rule). Only a spec that has its strides can be changed.

        Raises:
            SpecError: The stride is not 8, 16 or 32, or the spec is dilated already.
        """
        if output_stride not in (8, 16, 32):
            raise SpecError(f"output_stride is {output_stride}", expected="8, 16 or 32")
        if output_stride == self.output_stride:
            return self
        if self.output_stride != 32:
            raise SpecError(
                f"output_stride {output_stride} from a model of {self.output_stride}",
                expected="a model of output stride 32",
            )
        rows: list[Block] = []
        reached, dilation = self.stem.stride, 1
        for row in self.rows:
            if isinstance(row, MobileAttention):
                rows.append(row)
                continue
            stride = row.stride
            if reached * stride > output_stride:
                rows.append(replace(row, stride=1, dilation=dilation))
                dilation *= stride
            else:
                rows.append(replace(row, dilation=dilation))
                reached *= stride
        return replace(self, rows=tuple(rows), output_stride=output_stride)

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
            except json.JSONDecodeError as error:
                raise SpecError(f"the spec is not JSON: {error}") from None
        if not isinstance(value, dict) or value.get("format") != 1:
            given = value.get("format") if isinstance(value, dict) else value
            raise SpecError(f"spec format is {given!r}", expected="an object with format 1")
        fields = {key: item for key, item in value.items() if key != "format"}
        return codec.from_json(cls, fields, "spec")
