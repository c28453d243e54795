"""How channel counts follow the width multiplier."""

from __future__ import annotations


def make_divisible(value: float, divisor: int = 8) -> int:
    """Round to a multiple of ``divisor``, at least one, never more than a tenth below ``value``.

    Source: MobileNetV2's released code; V3 and V4 use the same.
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded
