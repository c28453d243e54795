"""Draw the README's picture from the files that ``mobilens demo`` left.

    mobilens demo --out runs/picture && python tools/make_picture.py runs/picture

Everything shown is read from the run: the photos, the curve, the size of the file, its answers.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import mobilens
from mobilens.demo import digits

TARGET = Path(__file__).resolve().parents[1] / "docs/images/way.svg"
WIDTH, HEIGHT = 980, 300
INK, FAINT, LINE, RIGHT, WRONG = "#1f2328", "#6a737d", "#d0d7de", "#1a7f37", "#cf222e"
FONT = "ui-sans-serif, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace"


def text(x: float, y: float, words: str, *, size: int = 13, fill: str = INK, more: str = "") -> str:
    """A line of text; ``more`` holds further attributes."""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{fill}" {more}>{words}</text>'


def code(x: float, y: float, words: str) -> str:
    """A line that one types."""
    return text(x, y, words, size=12, more=f'font-family="{MONO}" font-weight="600"')


def digit(pixels: NDArray[np.uint8], x: float, y: float, scale: float) -> str:
    """A digit's own pixels as squares, sixteen greys."""
    shades: defaultdict[int, list[str]] = defaultdict(list)
    for row, column in np.argwhere(pixels >= 16):
        shades[int(pixels[row, column]) // 16].append(f"M{column} {row}h1v1h-1z")
    paths = "".join(
        f'<path fill="#{shade:x}{shade:x}{shade:x}" d="{"".join(squares)}"/>'
        for shade, squares in sorted(shades.items())
    )
    return (
        f'<g transform="translate({x:g} {y:g}) scale({scale:g})" shape-rendering="crispEdges">'
        f'<rect width="8" height="8"/>{paths}</g>'
    )


def photos(sheet: list[NDArray[np.uint8]], labels: list[int]) -> str:
    """Class folders with their first photos."""
    parts = [code(24, 50, "photos/")]
    for place, value in enumerate((0, 1, 2, 7, 8, 9)):
        y = 64 + 31 * place + (14 if place > 2 else 0)
        parts.append(text(36, y + 18, f"{value}/", size=12, fill=FAINT))
        chosen = [index for index, label in enumerate(labels) if label == value][:5]
        parts += [digit(sheet[index], 62 + 29 * i, y, 3.25) for i, index in enumerate(chosen)]
    parts.append(text(36, 170, "&#8942;", fill=FAINT))
    return "".join(parts)


def curve(run: Path) -> str:
    """Validation accuracy, epoch by epoch."""
    with (run / "log.csv").open(newline="") as file:
        values = [float(row["val_top1"]) for row in csv.DictReader(file)]
    left, top, width, height = 288, 72, 170, 150
    points = " ".join(
        f"{left + width * i / (len(values) - 1):.1f},{top + height * (1 - value):.1f}"
        for i, value in enumerate(values)
    )
    grid = "".join(
        f'<path d="M{left} {top + height * (1 - level):g}h{width}" stroke="{LINE}"/>'
        + text(left - 6, top + height * (1 - level) + 4, f"{100 * level:g}", size=10, fill=FAINT,
               more='text-anchor="end"')
        for level in (0, 0.5, 1)
    )  # fmt: skip
    return (
        code(260, 50, "mobilens train photos")
        + grid
        + f'<polyline points="{points}" fill="none" stroke="#0969da" stroke-width="2"/>'
        + text(left, top + height + 18, f"top-1 %, {len(values)} epochs", size=11, fill=FAINT)
    )


def file(run: Path, top1: str) -> str:
    """The model file and what it proves."""
    bundle = run / "model.onnx"
    proof = mobilens.verify(bundle)
    lines = [f"{check.name}: {check.result}" for check in proof.checks]
    x = 510
    body = "".join(
        text(x + 14, 134 + 19 * i, f'<tspan fill="{RIGHT}">&#10003;</tspan> {line}', size=11)
        for i, line in enumerate(lines)
    )
    return (
        code(x, 50, "mobilens verify model.onnx")
        + f'<rect x="{x}" y="70" width="222" height="152" rx="6" fill="#f6f8fa" stroke="{LINE}"/>'
        + text(x + 14, 94, "model.onnx", size=14, more='font-weight="600"')
        + text(x + 14, 112, f"{proof.size_bytes / 1e6:.1f} MB, {top1}", size=11, fill=FAINT)
        + body
        + text(x + 14, 212, "it answers without torch", size=11, fill=FAINT)
    )


def answers(run: Path, sheet: list[NDArray[np.uint8]]) -> str:
    """Photos that the model has not seen: the first right answers, and a wrong one if any."""
    model = mobilens.load(run / "model.onnx")
    right, wrong = [], []
    for path in sorted((run / "photos/validation").rglob("*.png")):
        answer = model.predict(path)
        (right if answer.label == path.parent.name else wrong).append((path, answer))
    shown = [*right[:: len(right) // 3][:3], *wrong[:1]]
    parts = [code(782, 50, "mobilens predict")]
    for place, (path, answer) in enumerate(shown):
        y = 70 + 40 * place
        colour = RIGHT if answer.label == path.parent.name else WRONG
        says = f"{answer.label}, {100 * answer.confidence:.0f} %"
        says += "" if colour == RIGHT else f" (is {path.parent.name})"
        parts += [
            digit(sheet[int(path.stem)], 782, y, 4),
            text(824, y + 13, says, fill=colour),
            f'<rect x="824" y="{y + 20}" width="130" height="6" rx="3" fill="{LINE}"/>',
            f'<rect x="824" y="{y + 20}" width="{130 * answer.confidence:.0f}" height="6" rx="3" '
            f'fill="{colour}"/>',
        ]
    return "".join(parts)


def main() -> None:
    """Draw, and say how large it is."""
    run = Path(sys.argv[1])
    sheet, labels = [], []
    for image, label in digits():
        sheet.append(np.asarray(image))
        labels.append(label)
    evaluation = mobilens.evaluate(run / "model.onnx", run / "photos")
    figure = f"{100 * evaluation.scores.main.value:.1f} % of {evaluation.num_images} digits"
    arrows = "".join(text(x, 152, "&#8594;", size=20, fill=FAINT) for x in (228, 478, 748))
    foot = (
        "A run of `mobilens demo`: 1,797 handwritten digits of 8x8 pixels (UCI, CC BY 4.0), "
        "V3-Small at half width, from scratch."
    )
    body = "".join(
        [
            f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="#ffffff"/>',
            photos(sheet, labels),
            curve(run),
            file(run, figure),
            answers(run, sheet),
            arrows,
            text(24, 284, foot, size=11, fill=FAINT),
        ]
    )
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="{FONT}">{body}</svg>\n',
        encoding="utf-8",
    )
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
