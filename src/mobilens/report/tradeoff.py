"""What a millisecond buys: files by latency and accuracy, as one SVG that stands alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import cos, floor, hypot, inf, log10, pi, sin

from mobilens.report.charts import Frame, ticks

# Made for a telephone held upright: text of 12 units is then 11 points high.
WIDTH, PLOT_HEIGHT, ROW = 400, 318, 20
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 14, 52, 44
DOT, LETTER = 4.5, 7.0
# Colours that stay apart for eyes that tell red from green badly, on white and on black.
_LIGHT = ("#166584", "#b4480c", "#5a3fa0", "#2c7a3f", "#a02c6d", "#6b5a00")
_DARK = ("#60b6d6", "#f09458", "#b09cf0", "#74c98a", "#ec86bd", "#d6c25a")


@dataclass(frozen=True)
class Point:
    """A file in the picture.

    Attributes:
        name: What the key calls it.
        kind: What its colour stands for, such as the engine.
        ms: Time of an image, milliseconds.
        value: Accuracy, 0 to 1, or size, megabytes.
        interval: Lower and upper end of the value's 95 % interval, where there is one.
    """

    name: str
    kind: str
    ms: float
    value: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Panel:
    """The files of one machine.

    Attributes:
        title: The machine.
        points: One or more.
    """

    title: str
    points: Sequence[Point]


@dataclass(frozen=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: _Box) -> float:
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, wide) * max(0.0, high)


def front(points: Sequence[Point], *, more_is_better: bool) -> list[Point]:
    """Give the points that none beats in both ways, by time: the Pareto front.

    Args:
        points: In any order.
        more_is_better: Whether a larger value is the better one.
    """
    sign = -1 if more_is_better else 1
    best: list[Point] = []
    for point in sorted(points, key=lambda one: (one.ms, sign * one.value)):
        equal = bool(best) and (best[-1].ms, best[-1].value) == (point.ms, point.value)
        if not best or equal or sign * point.value < sign * best[-1].value:
            best.append(point)
    return best


def tradeoff(panels: Sequence[Panel], *, accuracy: bool) -> str:
    """Draw files of each machine by latency, with the Pareto front.

    Args:
        panels: One or more machines.
        accuracy: Whether the values are accuracies; sizes otherwise.
    """
    kinds = list(dict.fromkeys(point.kind for panel in panels for point in panel.points))
    legend, top = _legend(kinds)
    parts = [legend]
    for panel in panels:
        height = PLOT_HEIGHT + ROW * len(panel.points) + 16
        drawn = _panel(panel, kinds, accuracy=accuracy)
        parts.append(f'<g transform="translate(0 {top:g})">{drawn}</g>')
        top += height
    words = "; ".join(_words(panel, accuracy=accuracy) for panel in panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:g}" role="img" '
        f'aria-label="{escape(words)}"><style>{_style(len(kinds))}</style>'
        f'<rect class="page" width="{WIDTH}" height="{top:g}"/>{"".join(parts)}</svg>\n'
    )


def _legend(kinds: Sequence[str]) -> tuple[str, float]:
    """What colours and fillings stand for, and how high that is."""
    parts, x, y = [], 12.0, 22.0
    for index, kind in enumerate(kinds):
        wide = 26 + 6.4 * len(kind)
        if x + wide > WIDTH:
            x, y = 12.0, y + ROW
        parts.append(
            f'<circle class="k{index}" cx="{x + 5}" cy="{y - 4}" r="{DOT}"/>'
            f'<text x="{x + 14}" y="{y}">{escape(kind)}</text>'
        )
        x += wide
    y += ROW
    parts.append(
        f'<path class="front" d="M12 {y - 4}H40"/>'
        f'<text x="47" y="{y}">Pareto front: filled dots are on it</text>'
    )
    return "".join(parts), y + 10


def place_labels(
    dots: Sequence[tuple[float, float]], texts: Sequence[str], frame: _Box
) -> list[tuple[float, float]]:
    """Find a place for each dot's label where it covers no dot and no other label.

    Nearby places are tried first, then farther ones; where all are taken, the least bad.

    Args:
        dots: Centres.
        texts: A few letters for each.
        frame: What labels stay within.

    Returns:
        The middle of each label.
    """
    taken = [_Box(x - DOT, y - DOT, x + DOT, y + DOT) for x, y in dots]
    places = []
    for (x, y), text in zip(dots, texts, strict=True):
        best, least = (x, y), inf
        for across, down in _around():
            box = _label_box(x + across, y + down, text)
            inside = box.overlap(frame)
            outside = (box.right - box.left) * (box.bottom - box.top) - inside
            cost = outside + sum(box.overlap(other) for other in taken)
            if cost < least - 1e-6:
                best, least = (x + across, y + down), cost
            if least < 1e-6:
                break
        places.append(best)
        taken.append(_label_box(*best, text))
    return places


def _around() -> Iterator[tuple[float, float]]:
    for distance in (13, 20, 28, 38, 50, 64, 80):
        for step in range(16):
            # Above first: beside a dot it could be its neighbour's.
            angle = -pi / 2 + (step + 1) // 2 * (-1) ** step * pi / 8
            yield distance * cos(angle), distance * sin(angle)


def _label_box(x: float, y: float, text: str) -> _Box:
    wide = LETTER * len(text) / 2 + 1
    return _Box(x - wide, y - 7, x + wide, y + 7)


def _panel(panel: Panel, kinds: Sequence[str], *, accuracy: bool) -> str:
    points = sorted(panel.points, key=lambda one: one.ms)
    best = front(points, more_is_better=accuracy)
    x_ticks = time_ticks(min(one.ms for one in points), max(one.ms for one in points))
    ends = [end for one in points for end in (one.interval or (one.value, one.value))]
    y_ticks = ticks(min(ends), max(ends)) if accuracy else ticks(0, max(ends))
    frame = Frame(
        (log10(x_ticks[0]), log10(x_ticks[-1])),
        (y_ticks[0], y_ticks[-1]),
        WIDTH,
        PLOT_HEIGHT,
        (_LEFT, _RIGHT, _TOP, _BOTTOM),
    )
    dots = [frame.at(log10(one.ms), one.value) for one in points]
    parts = [
        f'<text class="strong" x="12" y="20">{escape(panel.title)}</text>',
        _axes(frame, x_ticks, y_ticks, accuracy=accuracy),
        _staircase(frame, best),
        *(_whisker(frame, one, kinds) for one in points if one.interval),
    ]
    inside = _Box(_LEFT, _TOP, WIDTH - _RIGHT, PLOT_HEIGHT - _BOTTOM)
    texts = [str(number) for number in range(1, len(points) + 1)]
    labels = place_labels(dots, texts, inside)
    for one, dot, label, text in zip(points, dots, labels, texts, strict=True):
        parts.append(_dot(one, dot, label, text, kinds, on_front=one in best))
    for row, one in enumerate(points):
        y = PLOT_HEIGHT + 14 + ROW * row
        parts.append(_key(row + 1, one, y, kinds, on_front=one in best, accuracy=accuracy))
    return "".join(parts)


def time_ticks(low: float, high: float) -> list[float]:
    """Choose round times that span a range on a logarithmic axis.

    Args:
        low: Shortest time, above 0.
        high: Longest, not below it.
    """
    steps: tuple[float, ...] = (1.0, 2.0, 5.0)
    if high / low < 5:
        steps = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
    elif high / low > 100:
        steps = (1.0,)
    powers = range(floor(log10(low)) - 1, floor(log10(high)) + 2)
    marks = [float(f"{step * 10.0**power:.2g}") for power in powers for step in steps]
    first = max(index for index, mark in enumerate(marks) if mark <= low)
    last = min(index for index, mark in enumerate(marks) if mark >= high)
    return marks[first : max(last, first + 1) + 1]


def _axes(
    frame: Frame, x_ticks: Sequence[float], y_ticks: Sequence[float], *, accuracy: bool
) -> str:
    parts = []
    right, base = WIDTH - _RIGHT, PLOT_HEIGHT - _BOTTOM
    for value in y_ticks:
        _, y = frame.at(frame.x[0], value)
        words = f"{100 * value:g}" if accuracy else f"{value:g}"
        parts.append(
            f'<line class="rule" x1="{_LEFT}" y1="{y}" x2="{right}" y2="{y}"/>'
            f'<text class="end" x="{_LEFT - 6}" y="{y + 4}">{words}</text>'
        )
    for value in x_ticks:
        x, _ = frame.at(log10(value), frame.y[0])
        parts.append(
            f'<line class="rule" x1="{x}" y1="{base}" x2="{x}" y2="{base + 4}"/>'
            f'<text class="mid" x="{x}" y="{base + 17}">{value:g}</text>'
        )
    across = (_LEFT + right) / 2
    up = "score, %" if accuracy else "MB"
    return (
        "".join(parts) + f'<text class="mid" x="{across}" y="{base + 35}">ms an image</text>'
        f'<text x="12" y="{_TOP - 13}">{up}</text>'
    )


def _staircase(frame: Frame, best: Sequence[Point]) -> str:
    """What the files of the front reach, at each time."""
    first, *rest = [frame.at(log10(one.ms), one.value) for one in best]
    path = f"M{first[0]} {first[1]}" + "".join(f"H{x}V{y}" for x, y in rest)
    return f'<path class="front" d="{path}H{WIDTH - _RIGHT}"/>'


def _whisker(frame: Frame, one: Point, kinds: Sequence[str]) -> str:
    assert one.interval is not None
    x, low = frame.at(log10(one.ms), one.interval[0])
    _, high = frame.at(log10(one.ms), one.interval[1])
    return (
        f'<line class="whisker k{kinds.index(one.kind)}" x1="{x}" y1="{low}" x2="{x}" y2="{high}"/>'
    )


def _dot(
    one: Point,
    dot: tuple[float, float],
    label: tuple[float, float],
    text: str,
    kinds: Sequence[str],
    *,
    on_front: bool,
) -> str:
    (x, y), (across, down) = dot, label
    distance = hypot(across - x, down - y)
    # A label that had to go far is led back to its dot.
    near = 9 / distance
    lead = (
        f'<line class="lead" x1="{x}" y1="{y}" x2="{across + (x - across) * near:.1f}" '
        f'y2="{down + (y - down) * near:.1f}"/>'
        if distance > 14
        else ""
    )
    style = f"k{kinds.index(one.kind)}{'' if on_front else ' hollow'}"
    return (
        f'{lead}<circle class="{style}" cx="{x}" cy="{y}" r="{DOT}">'
        f"<title>{escape(one.name)}</title></circle>"
        f'<text class="mid halo{" strong" if on_front else ""}" x="{across:.1f}" '
        f'y="{down + 4:.1f}">{text}</text>'
    )


def _key(
    number: int, one: Point, y: float, kinds: Sequence[str], *, on_front: bool, accuracy: bool
) -> str:
    style = f"k{kinds.index(one.kind)}{'' if on_front else ' hollow'}"
    weight = " strong" if on_front else ""
    figures = f"{one.ms:.2f} ms"
    value = _value_text(one, accuracy=accuracy)
    return (
        f'<text class="end{weight}" x="24" y="{y}">{number}</text>'
        f'<circle class="{style}" cx="35" cy="{y - 4}" r="{DOT}"/>'
        f'<text class="name{weight}" x="46" y="{y}">{escape(one.name)}</text>'
        f'<text class="end{weight}" x="{WIDTH - 78}" y="{y}">{figures}</text>'
        f'<text class="end{weight}" x="{WIDTH - 12}" y="{y}">{value}</text>'
    )


def _value_text(one: Point, *, accuracy: bool) -> str:
    return f"{100 * one.value:.1f} %" if accuracy else f"{one.value:.2f} MB"


def _words(panel: Panel, *, accuracy: bool) -> str:
    best = front(panel.points, more_is_better=accuracy)
    listed = ", ".join(
        f"{one.name} {one.ms:.2f} ms {_value_text(one, accuracy=accuracy)}" for one in best
    )
    what = "Accuracy" if accuracy else "Size"
    return f"{what} against latency on {panel.title}; on the Pareto front: {listed}"


def _style(kinds: int) -> str:
    """Its own colours, for light and dark alike."""

    def colours(palette: Sequence[str]) -> str:
        return "".join(
            f".k{index}{{--k:{palette[index % len(palette)]}}}" for index in range(kinds)
        )

    return (
        "svg{--page:#fff;--ink:#1a1f24;--soft:#5b656e;--line:#d9dee2}"
        f"{colours(_LIGHT)}"
        "@media(prefers-color-scheme:dark){"
        f"svg{{--page:#14181b;--ink:#e7eaec;--soft:#9ba6ae;--line:#333b41}}{colours(_DARK)}}}"
        ".page{fill:var(--page)}"
        "text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif;"
        "fill:var(--soft);font-variant-numeric:tabular-nums}"
        ".strong{fill:var(--ink);font-weight:600}.end{text-anchor:end}.mid{text-anchor:middle}"
        ".halo{paint-order:stroke;stroke:var(--page);stroke-width:3px;stroke-linejoin:round}"
        ".rule{stroke:var(--line)}.lead{stroke:var(--soft);stroke-width:.75}"
        "circle{fill:var(--k);stroke:var(--k);stroke-width:1.5}circle.hollow{fill:var(--page)}"
        ".whisker{stroke:var(--k);stroke-opacity:.35;stroke-width:1.5}"
        ".front{fill:none;stroke:var(--ink);stroke-opacity:.55;stroke-width:1.5;"
        "stroke-dasharray:5 3}"
    )
