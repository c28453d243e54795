"""Where a head reads: values inside the rows of a backbone."""

from __future__ import annotations

from dataclasses import dataclass

from mobilens.errors import SpecError
from mobilens.spec.blocks import Block, ConvNormAct, InvertedResidual, out_channels

STEM = -1


@dataclass(frozen=True, slots=True, order=True)
class Tap:
    """A value that a backbone makes.

    Attributes:
        row: Index of the row that makes it; ``STEM`` for the stem.
        expanded: What the row's expansion gives, before its depthwise convolution, in place of what
            the row gives.
    """

    row: int
    expanded: bool = False


@dataclass(frozen=True)
class Body:
    """Stem and rows of a model, as heads look at them.

    Attributes:
        stem: First convolution.
        rows: Blocks in order.
    """

    stem: ConvNormAct
    rows: tuple[Block, ...]

    @property
    def last(self) -> Tap:
        """What the last row gives."""
        return Tap(len(self.rows) - 1)

    @property
    def strides(self) -> dict[int, Tap]:
        """The last value of each size, by input size over its own."""
        reached = self.stem.stride
        found = {reached: Tap(STEM)}
        for index, row in enumerate(self.rows):
            reached *= row.stride
            found[reached] = Tap(index)
        return found

    def at(self, stride: int) -> Tap:
        """The last value of a stride.

        Raises:
            SpecError: The model has no such stride.
        """
        found = self.strides
        if stride not in found:
            raise SpecError(
                f"the model has no feature of stride {stride}",
                expected="one of " + ", ".join(map(str, found)),
            )
        return found[stride]

    def first_at(self, stride: int) -> Tap:
        """The first value of a stride.

        Raises:
            SpecError: The model has no such stride.
        """
        reached = [tap for at, tap in self.strides.items() if at < stride]
        self.at(stride)
        return Tap(reached[-1].row + 1 if reached else STEM)

    def channels(self, tap: Tap) -> int:
        """Channels of a value.

        Raises:
            SpecError: There is no such row, or it has no expansion.
        """
        if not STEM <= tap.row < len(self.rows):
            raise SpecError(f"there is no row {tap.row}", expected=f"{STEM} to {self.last.row}")
        if tap.expanded:
            row = self.rows[tap.row] if tap.row >= 0 else self.stem
            if not (isinstance(row, InvertedResidual) and row.expand):
                raise SpecError(f"row {tap.row} has no expansion", expected="an inverted residual")
            return row.expanded_channels
        channels = self.stem.out_channels
        for row in self.rows[: tap.row + 1]:
            channels = out_channels(row, channels)
        return channels

    def stride(self, tap: Tap) -> int:
        """Input size over that of a value."""
        reached = self.stem.stride
        for index, row in enumerate(self.rows[: tap.row + 1]):
            if not (tap.expanded and index == tap.row):
                reached *= row.stride
        return reached
