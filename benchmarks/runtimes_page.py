"""The page of ``runtimes.py``: a table for each family, what misses its goal in bold, and why."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from mobilens.runtime.device import Device
from mobilens.spec import codec

FAMILIES = {
    "mobilenet_v1": "MobileNetV1",
    "mobilenet_v2": "MobileNetV2",
    "mobilenet_v3_large": "MobileNetV3-Large",
    "mobilenet_v3_small": "MobileNetV3-Small",
    "mobilenet_v4_conv_small": "MobileNetV4-Conv-Small",
}
RUNTIMES = {
    "onnx": "onnxruntime",
    "openvino": "OpenVINO",
    "litert": "LiteRT",
    "executorch": "ExecuTorch",
    "ncnn": "ncnn",
}
LIBRARIES = ("torchvision", "timm")
PRECISIONS = {"float32": "float", "int8": "INT8"}

# Times faster than the same net in float, at one thread; ncnn has no goal.
FASTER = {"onnx": 1.5, "openvino": 1.8, "litert": 1.8, "executorch": 1.8}
# Time over that of a plain export, at most.
SLOWER = 1.03
DROP = 1.0

# Why a cell misses its goals, by family, runtime and precision; shown where it does miss one.
# What stands here was measured; docs/log.md tells how.
REASONS = {
    ("mobilenet_v3_large", "executorch", "int8"): (
        "44 % of the time are filters of single channels, which XNNPACK as ExecuTorch ships it "
        "computes no faster in integers (0.74 ms) than in floats (0.70 ms)"
    ),
    ("mobilenet_v3_small", "onnx", "int8"): (
        "46 % of the time are 52 small convolutions, 31 % the products and sums of hard swish and "
        "squeeze-excite, which in float are a part of the convolutions, 18 % the image and the "
        "stem, which are faster in float"
    ),
    ("mobilenet_v3_small", "openvino", "int8"): (
        "29 % of the time is spent in float, most of it in three layers without which it loses "
        "more than a point, and 43 % in 40 convolutions of 10 us"
    ),
    ("mobilenet_v3_small", "litert", "int8"): (
        "its channels must be equalised, or it loses 11 points at best, which makes a filter for "
        "each channel of every gate of a hard swish: 32 % of the time are filters of single "
        "channels, 19 % products, 22 % is spent in float"
    ),
    ("mobilenet_v3_small", "executorch", "int8"): (
        "its channels must be equalised, or it loses 11 points at best, which makes a filter for "
        "each channel of every gate of a hard swish: 45 % of the time are filters of single "
        "channels, in which this XNNPACK is no faster by integers, 17 % products"
    ),
}
# The same for the speed of 8 bits where a processor has no instructions for their products.
WITHOUT_INSTRUCTIONS = (
    "without instructions for products of 8 bits (VNNI) this processor multiplies them as 16 bits, "
    "hardly faster than floats"
)
# The same where a ratio's interval holds the goal.
WITHIN_NOISE = (
    "the rounds differ by more than what is missing; what our file does more is to turn bytes into "
    "normalised floats, which a plain export leaves to its caller"
)
UNEXPLAINED = "not explained yet"

Cell = dict[str, Any]


class Notes:
    """Numbered reasons, for a page."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def mark(
        self, text: str, cell: Cell, precision: str, missed: str, reason: str | None = None
    ) -> str:
        """Put a figure in bold, with the number of a new note on why it misses a goal."""
        family, runtime = cell["family"], cell["runtime"]
        reason = reason or REASONS.get((family, runtime, precision), UNEXPLAINED)
        name = f"{FAMILIES[family]}, {RUNTIMES[runtime]}, {PRECISIONS[precision]}"
        self.lines.append(f"{len(self.lines) + 1}. {name}: {missed}: {reason}.")
        return f"**{text}**<sup>{len(self.lines)}</sup>"


def page(cells: Sequence[Cell], command: str) -> str:
    """Write the page.

    Args:
        cells: What ``runtimes.py`` measured, for each family and runtime.
        command: What measured it.
    """
    by_place = {(cell["family"], cell["runtime"]): cell for cell in cells}
    notes = Notes()
    lines = [*head(cells, command)]
    for family in FAMILIES:
        lines += [f"## {FAMILIES[family]}", "", *about(family, by_place), *columns()]
        for runtime in RUNTIMES:
            cell = by_place.get((family, runtime))
            if cell is None:
                lines.append(row([RUNTIMES[runtime], "", "not measured", *["–"] * 8]))
                continue
            lines += [line(cell, precision, notes) for precision in PRECISIONS]
        lines += ["", *rungs(family, by_place), *left_out(family, by_place)]
    lines += ["## Where a goal is missed", "", *(notes.lines or ["Nowhere."]), ""]
    lines += ["## By runtime", "", *summary(cells), ""]
    return "\n".join(lines)


def head(cells: Sequence[Cell], command: str) -> Iterator[str]:
    """What was measured, on what, with what."""
    yield "# Five families on five runtimes"
    yield ""
    yield (
        "Written by `benchmarks/runtimes.py` down to [Beyond labels](#beyond-labels); edit that, "
        "not this part."
    )
    yield ""
    yield "```text"
    yield command
    yield "```"
    yield ""
    yield "Which data and checkpoints these are: [log.md](log.md)."
    yield ""
    for device in dict.fromkeys(device_of(cell) for cell in cells):
        yield f"Machine: {device.processor}, {device.cores} cores, {device.system}."
    versions = {pair for cell in cells for pair in cell["versions"].items()}
    yield f"Packages: {', '.join(' '.join(pair) for pair in sorted(versions))}."
    yield ""
    yield (
        "All files of one family and runtime, ours and those of the libraries, take turns in fresh "
        f"processes (rounds: {spread(cell['rounds'] for cell in cells)}), one image at a time. ms "
        "is the median of all runs; every ratio is the median of the rounds' own ratios, so it may "
        "differ a little from that of the medians. Ratios to torchvision and timm are our time "
        "over that of their plain export in float: below 1 is faster. Values in brackets are 95 % "
        "intervals. In float each file gives the checkpoint's answer to every photo: its export "
        "proves that."
    )
    yield ""
    yield (
        f"Goals: INT8 loses {DROP:.1f} point at most; at one thread it is "
        f"{FASTER['openvino']}x as fast as the same net in float, {FASTER['onnx']}x on onnxruntime "
        f"(none is set for ncnn); float takes {SLOWER}x the time of a plain export at most. What "
        "misses one is **bold**, with the number of its reason below."
    )
    yield ""


def device_of(cell: Cell) -> Device:
    return codec.from_json(Device, cell["device"], "device")


def spread(values: Any) -> str:
    """One number, or the least and the most."""
    found = sorted(set(values))
    return "no" if not found else str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def about(family: str, cells: dict[tuple[str, str], Cell]) -> Iterator[str]:
    """Where a family's weights come from, and what it answered."""
    found = [cell for (name, _), cell in cells.items() if name == family]
    if not found:
        return
    measured = next((one["float32"] for one in found if "data" in one["float32"]), None)
    photos = f"{measured['images']} photos of {measured['data']}" if measured else "nothing"
    if found[0]["origin"] == "random":
        yield (
            "Random weights: no accuracy. In place of a drop stands how many percent of "
            f"{photos} the INT8 files answer otherwise than in float; random nets suffer more by "
            "it than trained ones."
        )
    else:
        yield f"Weights: `{found[0]['origin']}`. Measured on {photos}."
    yield ""


def columns() -> list[str]:
    """The head of a table."""
    names = ("", "", "top-1, %", "drop, points", "ms, 1 thread", "ms, 2 threads")
    names += ("float / INT8, 1 thread", "2 threads", "MB", "over torchvision, 1 and 2 threads")
    names += ("over timm, 1 and 2 threads",)
    return [row(names), row(["---", "---", *["---:"] * 9])]


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def line(cell: Cell, precision: str, notes: Notes) -> str:
    """One row: a runtime in a precision."""
    found = cell[precision]
    name = [RUNTIMES[cell["runtime"]] if precision == "float32" else "", PRECISIONS[precision]]
    if "refused" in found:
        refused = notes.mark("refused", cell, precision, found["refused"])
        return row([*name, refused, *["–"] * 8])
    over = [ratios(cell, precision, library, notes) for library in LIBRARIES]
    return row(
        [
            *name,
            "–" if cell["origin"] == "random" else percent(found["accuracy"]),
            drop(cell, precision, notes),
            *(f"{found['ms'][count]:.2f}" for count in ("1", "2")),
            *speed(cell, precision, notes),
            f"{found['bytes'] / 1e6:.2f}",
            *over,
        ]
    )


def percent(estimate: Sequence[float]) -> str:
    value, low, high = (f"{100 * each:.1f}" for each in estimate)
    return f"{value} ({low} to {high})"


def drop(cell: Cell, precision: str, notes: Notes) -> str:
    """What 8 bits cost."""
    if "drop" not in cell[precision]:
        return "–"
    lost = cell[precision]["drop"]
    if cell["origin"] == "random":
        return f"{100 * lost[0]:.1f} % otherwise"
    text = percent(lost)
    if 100 * lost[0] <= DROP + 1e-9:
        return text
    return notes.mark(text, cell, precision, f"loses more than {DROP:.1f} point")


def speed(cell: Cell, precision: str, notes: Notes) -> list[str]:
    """How many times faster than in float, at one thread and two."""
    ratio = cell[precision]["over"].get("mobilens") if precision == "int8" else None
    if ratio is None:
        return ["–", "–"]
    one, two = (f"{1 / ratio[count]['value']:.2f}x" for count in ("1", "2"))
    goal = FASTER.get(cell["runtime"])
    if goal and round(1 / ratio["1"]["value"], 2) < goal:
        missed = f"{one} as fast as in float at one thread, the goal is {goal}x"
        without = WITHOUT_INSTRUCTIONS if device_of(cell).int8 == () else None
        one = notes.mark(one, cell, precision, missed, without)
    return [one, two]


def ratios(cell: Cell, precision: str, library: str, notes: Notes) -> str:
    """Time over that of a library's plain export, at one thread and two."""
    found = cell[precision]["over"].get(library)
    if found is None:
        return "–"
    texts = []
    for count in ("1", "2"):
        text = f"{found[count]['value']:.2f}"
        if precision == "float32" and round(found[count]["value"], 2) > SLOWER:
            threads = "one thread" if count == "1" else "two threads"
            low, high = found[count]["low"], found[count]["high"]
            missed = (
                f"{text}x (95 % interval {low:.2f} to {high:.2f}) the time of {library}'s plain "
                f"export at {threads}"
            )
            noise = WITHIN_NOISE if round(low, 2) <= SLOWER else None
            text = notes.mark(text, cell, precision, missed, noise)
        texts.append(text)
    return ", ".join(texts)


def rungs(family: str, cells: dict[tuple[str, str], Cell]) -> Iterator[str]:
    """How the integers of each INT8 file were chosen."""
    found = [
        f"{RUNTIMES[runtime]}: {cell['int8']['rung']}"
        for (name, runtime), cell in cells.items()
        if name == family and "rung" in cell["int8"]
    ]
    if found:
        yield f"INT8 was chosen by: {'; '.join(found)}."
        yield ""


def left_out(family: str, cells: dict[tuple[str, str], Cell]) -> Iterator[str]:
    """Which plain exports there are none of, and why, once for each reason."""
    reasons: dict[str, list[str]] = {}
    for (name, runtime), cell in cells.items():
        if name == family:
            for library, reason in cell["left_out"].items():
                reasons.setdefault(reason, []).append(f"{library} on {RUNTIMES[runtime]}")
    for reason, places in reasons.items():
        yield f"No plain export of {', '.join(places)}: {reason}."
    if reasons:
        yield ""


def summary(cells: Sequence[Cell]) -> Iterator[str]:
    """Medians and extremes over the families."""
    yield row(["", "float / INT8, 1 thread", "largest drop, points", "float over plain exports"])
    yield row(["---", "---:", "---:", "---:"])
    for runtime, title in RUNTIMES.items():
        own = [cell for cell in cells if cell["runtime"] == runtime]
        both = [cell["int8"] for cell in own if "mobilens" in cell["int8"].get("over", ())]
        faster = [1 / one["over"]["mobilens"]["1"]["value"] for one in both]
        drops = [
            100 * cell["int8"]["drop"][0]
            for cell in own
            if cell["origin"] != "random" and "drop" in cell["int8"]
        ]
        plain = [
            cell["float32"]["over"][library]["1"]["value"]
            for cell in own
            for library in LIBRARIES
            if library in cell["float32"].get("over", ())
        ]
        largest = f"{max(drops):.1f}" if drops else "–"
        yield row([title, middle(faster, "x"), largest, middle(plain)])
    yield ""
    yield "Medians over the families, at one thread, with the least and the most."


def middle(values: Sequence[float], unit: str = "") -> str:
    if not values:
        return "–"
    least, most = min(values), max(values)
    return f"{statistics.median(values):.2f}{unit} ({least:.2f} to {most:.2f})"
