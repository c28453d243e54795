"""Quantisation-aware training: filters and biases learn to give in integers what floats gave.

The net is its own teacher, so that labels are not needed and little can be forgotten. Rounding lets
gradients through as if it were not there: Jacob et al., "Quantization and Training of Neural
Networks", 2018, section 3; Bengio et al., 2013.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mobilens.compress.simulate import rounded
from mobilens.graph import ops
from mobilens.graph.quantised import WEIGHT_LIMIT, Quantisation, weight_scales
from mobilens.graph.replace import single
from mobilens.graph.run import clamp, convolve, run, run_op
from mobilens.observer import SILENT, Observer
from mobilens.vision.predictor import Pixels

EPOCHS, BATCH = 3, 32
# How far one step of the optimiser moves filters and biases, in steps of their integers, where
# there are but some dozens of them.
RATE = 0.01
# Photos are moved by up to this share of their side, and mirrored.
SHIFT = 1 / 14


def tune(
    graph: ops.Graph,
    quantisation: Quantisation,
    pixels: Pixels,
    *,
    pairs: bool,
    epochs: int = EPOCHS,
    fixed: Collection[str] = (),
    rate: float = RATE,
    in_float_too: bool = False,
    seed: int = 0,
    observer: Observer = SILENT,
) -> tuple[ops.Graph, Quantisation]:
    """Train filters and biases for given grids.

    Args:
        graph: A rewritten graph.
        quantisation: Its grids, which stay, and scales, which follow the filters.
        pixels: (N, height, width, 3), RGB, uint8: training photos.
        pairs: As of the placement, see ``weight_scales``.
        epochs: How often each is seen.
        fixed: Names of operators whose biases stay as they are.
        rate: How far one step moves filters and biases, in steps of their integers.
        in_float_too: Whether the net shall keep its answers in float as well: integers alone let
            these drift. It takes a second pass over the net.
        seed: Of order, mirroring and moving.
        observer: Is told of progress.

    Returns:
        The graph, and what of it is 8-bit.
    """
    student = _Student(graph, quantisation, pairs, fixed)
    target, softmax = _before_softmax(graph)
    steps = epochs * math.ceil(len(pixels) / BATCH)
    answers = [student.run_in_integers, *([student.run_in_float] if in_float_too else [])]
    optimiser = torch.optim.Adam(student.parameters, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    batches = _batches(pixels, epochs, torch.Generator().manual_seed(seed))
    for images in observer.progress(batches, steps, "tuning for integers"):
        with torch.no_grad():
            wanted = run(target, images)
        optimiser.zero_grad()
        for answer in answers:
            loss = _distance(answer(target, images), wanted, softmax)
            loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return student.graph(), student.quantisation()


class _Student:
    """The graph as its integers compute it, with filters that can be trained."""

    def __init__(
        self, graph: ops.Graph, quantisation: Quantisation, pairs: bool, fixed: Collection[str]
    ) -> None:
        self._graph, self._quantisation, self._pairs = graph, quantisation, pairs
        # In steps of the first integers, so that one rate suits all.
        self._units: dict[str, tuple[Tensor, Tensor]] = {}
        self._steps: dict[str, tuple[Tensor, Tensor]] = {}
        for op in graph.ops:
            if isinstance(op, (ops.Conv, ops.Linear)) and quantisation.has_integer_filters(op):
                units = self._units_of(op)
                weight, bias = torch.from_numpy(op.weight), torch.from_numpy(op.bias)
                self._units[op.output] = units
                self._steps[op.output] = (
                    (weight / units[0]).requires_grad_(),
                    (bias / units[1]).requires_grad_(op.output not in fixed),
                )

    @property
    def parameters(self) -> list[Tensor]:
        """What is trained."""
        pairs = self._steps.values()
        return [values for pair in pairs for values in pair if values.requires_grad]

    def run_in_integers(self, target: ops.Graph, images: Tensor) -> dict[str, Tensor]:
        """Compute the outputs of a graph with these operators, all rounded."""
        return self._run(target, images, self._rounded_filters, self._rounded)

    def run_in_float(self, target: ops.Graph, images: Tensor) -> dict[str, Tensor]:
        """Compute the same without rounding."""
        return self._run(target, images, self._filters, lambda _, values: values)

    def _run(
        self,
        target: ops.Graph,
        images: Tensor,
        filters: Callable[[ops.Conv | ops.Linear], Tensor],
        after: Callable[[str, Tensor], Tensor],
    ) -> dict[str, Tensor]:
        values = {target.input: images}
        for op in target.ops:
            inputs = [values[name] for name in op.inputs]
            if isinstance(op, (ops.Conv, ops.Linear)) and op.output in self._steps:
                made = self._filtered(op, inputs[0], filters(op))
            else:
                made = run_op(op, *inputs)
            values[op.output] = after(op.output, made)
        return {key: values[name] for key, name in target.outputs.items()}

    def graph(self) -> ops.Graph:
        """Give the graph with what was learnt."""
        trained = [
            self._trained(op) if isinstance(op, (ops.Conv, ops.Linear)) else op
            for op in self._graph.ops
        ]
        return self._graph.with_ops(trained)

    def quantisation(self) -> Quantisation:
        """Give the same grids, with scales for what was learnt."""
        scales = {
            op.output: weight_scales(self._trained(op), pairs=self._pairs)
            for op in self._graph.ops
            if isinstance(op, (ops.Conv, ops.Linear)) and op.output in self._steps
        }
        return Quantisation(self._quantisation.grids, {**self._quantisation.scales, **scales})

    def _filters(self, op: ops.Conv | ops.Linear) -> Tensor:
        return self._steps[op.output][0] * self._units[op.output][0]

    def _rounded_filters(self, op: ops.Conv | ops.Linear) -> Tensor:
        weight = self._filters(op)
        scales = torch.from_numpy(weight_scales(self._trained(op), pairs=self._pairs))
        scales = scales.view(self._units[op.output][0].shape)
        exact = weight / scales
        whole = exact.detach().round().clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT)
        return (exact + (whole - exact).detach()) * scales

    def _rounded(self, name: str, values: Tensor) -> Tensor:
        return rounded(self._quantisation, name, values)

    def _filtered(self, op: ops.Conv | ops.Linear, x: Tensor, weight: Tensor) -> Tensor:
        bias = self._steps[op.output][1] * self._units[op.output][1]
        if isinstance(op, ops.Linear):
            return clamp(F.linear(x, weight, bias), op.clamp)
        return clamp(convolve(op, x, weight, bias), op.clamp)

    def _trained(self, op: ops.Conv | ops.Linear) -> ops.Conv | ops.Linear:
        if op.output not in self._steps:
            return op
        pairs = zip(self._steps[op.output], self._units[op.output], strict=True)
        weight, bias = ((steps.detach() * unit).numpy() for steps, unit in pairs)
        return replace(op, weight=single(weight), bias=single(bias))

    def _units_of(self, op: ops.Conv | ops.Linear) -> tuple[Tensor, Tensor]:
        """What one step is worth at first, of filters and of the bias."""
        scales = torch.from_numpy(self._quantisation.scales[op.output])
        grid = self._quantisation.grids.get(op.output)
        # A bias has finer integers, but one step of what comes out is what matters.
        bias = torch.full_like(scales, grid.scale) if grid else scales
        return scales.view(-1, *[1] * (op.weight.ndim - 1)), bias


def _before_softmax(graph: ops.Graph) -> tuple[ops.Graph, frozenset[str]]:
    """Let outputs be what a softmax reads, where one makes them; gives the names of these too."""
    makers = graph.maker()
    softmax = {
        key: makers[name].inputs[0]
        for key, name in graph.outputs.items()
        if isinstance(makers[name], ops.Softmax)
    }
    gone = {graph.outputs[key] for key in softmax}
    kept = [op for op in graph.ops if op.output not in gone]
    outputs = {**graph.outputs, **softmax}
    return replace(graph, outputs=outputs).with_ops(kept), frozenset(softmax)


def _distance(
    given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], softmax: Collection[str]
) -> Tensor:
    """Kullback-Leibler divergence of probabilities, relative squared error of other outputs."""
    total = torch.zeros(())
    for key, values in wanted.items():
        if key in softmax:
            exact, near = (F.log_softmax(one, -1) for one in (values, given[key]))
            total = total + F.kl_div(near, exact, reduction="batchmean", log_target=True)
        else:
            total = total + (given[key] - values).square().mean() / values.square().mean()
    return total


def _batches(pixels: Pixels, epochs: int, stream: torch.Generator) -> Iterator[Tensor]:
    """Photos in random order, mirrored and moved at random."""
    for _ in range(epochs):
        order = torch.randperm(len(pixels), generator=stream).numpy()
        for index in range(0, len(order), BATCH):
            chosen = np.sort(order[index : index + BATCH])
            yield torch.stack([_varied(pixels[one], stream) for one in chosen])


def _varied(photo: Pixels, stream: torch.Generator) -> Tensor:
    image = torch.from_numpy(photo)
    if torch.rand((), generator=stream) < 0.5:
        image = image.flip(1)
    most = [round(SHIFT * side) for side in photo.shape[:2]]
    moved = [int(torch.randint(-far, far + 1, (), generator=stream)) for far in most]
    return torch.roll(image, moved, (0, 1))
