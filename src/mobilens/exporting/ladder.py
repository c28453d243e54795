"""The rungs that are climbed until a file of 8 bits loses no more than is allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from mobilens.compress.quantiser import Quantised, Quantiser, Recipe
from mobilens.compress.tune import EPOCHS
from mobilens.exporting.workbench import Measured

# Calibration images of the first rung, and of the others.
FEW, MANY = 64, 128
# Layers left in float, one rung after the other, up to this share of all.
IN_FLOAT = (1, 2, 3, 4, 6, 8, 12, 16, 24)
MOST_IN_FLOAT = 0.35


@dataclass(frozen=True, eq=False)
class Rung:
    """What one way of choosing integers gave, measured on the runtime.

    Attributes:
        name: The way, in words.
        recipe: The same for the quantiser.
        quantised: What came of it.
        measured: What the file reached.
    """

    name: str
    recipe: Recipe
    quantised: Quantised
    measured: Measured


Measure = Callable[[str, Recipe], Rung]


def climb(quantiser: Quantiser, measure: Measure, allowed: float) -> Iterator[Rung]:
    """Try one rung after the other; the last that is given is within the bound, or none is.

    What helped is kept on the rungs that follow.

    Args:
        quantiser: What integers are chosen by; tells which rungs there are.
        measure: Makes the file of a rung and measures it.
        allowed: Largest drop, as a share of the images.
    """
    best: Rung | None = None
    for rungs in (_ranges, _fitted, _equalised, _in_float, _tuned):
        start = best.recipe if best else Recipe(images=FEW)
        for name, recipe in rungs(quantiser, start):
            rung = measure(name, recipe)
            yield rung
            if rung.measured.drop.value <= allowed:
                return
            if best is None or rung.measured.drop.value < best.measured.drop.value:
                best = rung


Rungs = Iterator[tuple[str, Recipe]]


def _ranges(_: Quantiser, start: Recipe) -> Rungs:
    yield "a scale for each channel of filters", start
    for method in ("percentile", "least squares", "entropy"):
        yield f"ranges by {method}", replace(start, ranges=method, images=MANY)


def _fitted(_: Quantiser, start: Recipe) -> Rungs:
    yield "bias corrected", replace(start, bias=True)
    yield "filters rounded together", replace(start, rounding=True)
    yield "bias corrected, filters rounded together", replace(start, bias=True, rounding=True)


def _equalised(quantiser: Quantiser, start: Recipe) -> Rungs:
    if quantiser.can_equalise:
        for method in ("percentile", "least squares"):
            even = replace(start, ranges=method, equalised=True, bias=False)
            yield f"channels equalised, ranges by {method}", replace(even, rounding=False)
            yield (
                f"channels equalised, {method}, filters rounded together",
                replace(even, rounding=True),
            )


def _in_float(quantiser: Quantiser, start: Recipe) -> Rungs:
    # Rounding errors that cancel show as soon as the worst layers no longer drown them.
    for count in IN_FLOAT:
        if count <= MOST_IN_FLOAT * quantiser.layers:
            noun = "layer" if count == 1 else "layers"
            yield (
                f"the worst {count} {noun} in float",
                replace(start, rounding=True, in_float=count),
            )


def _tuned(quantiser: Quantiser, start: Recipe) -> Rungs:
    if not quantiser.can_tune:
        return
    yield f"trained for {EPOCHS} epochs with integers", replace(start, in_float=0, tuned=EPOCHS)
    if start.in_float:
        yield f"trained, the worst {start.in_float} in float", replace(start, tuned=EPOCHS)
