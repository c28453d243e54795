"""Charts as inline SVG; colours are the page's own, so that they follow its scheme."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

from mobilens.vision.calibration import ReliabilityBin

_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 18, 16, 38
# With the name of what is counted upwards.
_ROOM_ABOVE = (_LEFT, _RIGHT, 30, _BOTTOM)


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        name: What it shows.
        style: CSS class that colours it.
        points: (x, y), in the order of x.
    """

    name: str
    style: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Frame:
    """The plotting area and how values map into it.

    Attributes:
        x: Values at its left and right edge.
        y: Values at its lower and upper edge.
        width: Of the whole drawing.
        height: Of the whole drawing.
        margins: Left, right, above and below the plotting area.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    width: int = 460
    height: int = 290
    margins: tuple[int, int, int, int] = (_LEFT, _RIGHT, _TOP, _BOTTOM)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Give the place of a value in the drawing."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        left, right, above, below = self.margins
        return (
            round(left + across * (self.width - left - right), 1),
            round(self.height - below - up * (self.height - above - below), 1),
        )


def ticks(low: float, high: float, about: int = 5, *, whole: bool = False) -> list[float]:
    """Choose round numbers that span a range, from at or below ``low`` to at or above ``high``.

    Args:
        low: Smallest value to show.
        high: Largest value, not below ``low``.
        about: How many steps are wanted.
        whole: Whole numbers only.
    """
    span, size = high - low, max(abs(low), abs(high), 1e-3)
    # A range too narrow to tell apart is shown as a flat line.
    rough = (span if span > 1e-6 * size else size) / about
    power = 10 ** floor(log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    if whole:
        step = max(1, round(step))
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    last = max(last, first + 1)
    return [round(index * step, 10) for index in range(first, last + 1)]


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    y_text: Callable[[float], str],
    mark: tuple[float, float, str] | None = None,
) -> str:
    """Draw lines against the epoch.

    Args:
        title: For those who cannot see it: what it shows and its main result.
        series: One line or more, one point or more in all.
        y_text: Writes a value of the axis.
        mark: A point to ring, (x, y, words).
    """
    points = [point for one in series for point in one.points]
    values = [y for _, y in points]
    epochs = [x for x, _ in points]
    y_ticks = ticks(min(values), max(values))
    left, right = min(epochs), max(epochs)
    # A single epoch stands in the middle.
    around = 0.5 if left == right else 0.0
    frame = Frame((left - around, right + around), (y_ticks[0], y_ticks[-1]))
    x_ticks = [x for x in ticks(left, right, 6, whole=True) if left <= x <= right]
    parts = [
        _axes(frame, x_ticks, y_ticks, lambda x: f"{x:g}", y_text, "epoch"),
        *(_line(frame, one) for one in series if one.points),
    ]
    if mark:
        x, y = frame.at(mark[0], mark[1])
        end = x > frame.width * 0.6
        parts.append(
            f'<circle class="ring" cx="{x}" cy="{y}" r="6"/>'
            f'<text class="strong {"end" if end else ""}" x="{x + (-10 if end else 10)}" '
            f'y="{y + 18}">{escape(mark[2])}</text>'
        )
    return _svg(frame, title, parts)


def curve_chart(title: str, series: Sequence[Series], x_name: str, y_name: str) -> str:
    """Draw lines over the unit square.

    Args:
        title: For those who cannot see it.
        series: One line or more.
        x_name: What is counted to the right.
        y_name: What is counted upwards.
    """
    frame = Frame((0.0, 1.0), (0.0, 1.0), width=440, height=360, margins=_ROOM_ABOVE)
    parts = [
        _axes(frame, _FIFTHS, _FIFTHS, _percent, _percent, f"{x_name}, %"),
        f'<text x="6" y="14">{escape(y_name)}, %</text>',
        *(_line(frame, one) for one in series),
    ]
    return _svg(frame, title, parts)


def reliability_diagram(title: str, bins: Sequence[ReliabilityBin]) -> str:
    """Draw the share of right answers against the confidence given.

    Bars are shares of right answers, the dashed line is perfect calibration, the small bars
    below say how many answers each bin holds.

    Args:
        title: For those who cannot see it.
        bins: The bins, from low to high confidence.
    """
    frame = Frame((0.0, 1.0), (0.0, 1.0), width=400, height=360)
    most = max(one.count for one in bins)
    parts = [_axes(frame, _FIFTHS, _FIFTHS, _percent, _percent, "confidence, %")]
    for one in bins:
        if one.accuracy is None or one.confidence is None:
            continue
        left, top = frame.at(one.low, one.accuracy)
        right, base = frame.at(one.high, 0.0)
        words = (
            f"{one.count} answers with {100 * one.confidence:.0f} % confidence: "
            f"{100 * one.accuracy:.0f} % are right"
        )
        # The area of opaque ink grows with the number of answers: few are no evidence.
        solid = 0.25 + 0.75 * (one.count / most) ** 0.5
        parts.append(
            f'<rect class="bar" x="{left + 1}" y="{top}" width="{right - left - 2:.1f}" '
            f'height="{base - top:.1f}" fill-opacity="{solid:.2f}"><title>{words}</title></rect>'
        )
    (x1, y1), (x2, y2) = frame.at(0, 0), frame.at(1, 1)
    parts.append(f'<line class="ideal" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>')
    return _svg(frame, title, parts)


_FIFTHS = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def _percent(value: float) -> str:
    return f"{100 * value:.0f}"


def _svg(frame: Frame, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {frame.width} {frame.height}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def _axes(
    frame: Frame,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    x_text: Callable[[float], str],
    y_text: Callable[[float], str],
    x_name: str,
) -> str:
    parts = []
    for value in y_ticks:
        left, y = frame.at(frame.x[0], value)
        parts.append(
            f'<line class="rule" x1="{left}" y1="{y}" x2="{frame.width - _RIGHT}" y2="{y}"/>'
            f'<text class="end" x="{left - 6}" y="{y + 4}">{escape(y_text(value))}</text>'
        )
    base = frame.height - _BOTTOM
    for value in x_ticks:
        x, _ = frame.at(value, frame.y[0])
        parts.append(f'<text class="mid" x="{x}" y="{base + 17}">{escape(x_text(value))}</text>')
    middle = (_LEFT + frame.width - _RIGHT) / 2
    parts.append(f'<text class="mid" x="{middle}" y="{base + 34}">{escape(x_name)}</text>')
    return "".join(parts)


def _line(frame: Frame, series: Series) -> str:
    places = [frame.at(x, y) for x, y in series.points]
    path = " ".join(f"{x},{y}" for x, y in places)
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="2.6"/>' for x, y in places)
    shown = dots if len(places) <= 30 else ""
    return (
        f'<g class="{series.style}"><title>{escape(series.name)}</title>'
        f'<polyline points="{path}"/>{shown}</g>'
    )
