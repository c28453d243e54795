"""A checkpoint becomes one that loses less in 8 bits, whatever the runtime."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from mobilens.compress.placement import Placement
from mobilens.compress.quantiser import Quantised, Quantiser, Recipe
from mobilens.compress.ranges import METHODS
from mobilens.compress.simulate import simulate, with_rounded_filters
from mobilens.compress.tune import tune
from mobilens.data.dataset import Dataset
from mobilens.evaluation import Evaluation, drop, evaluate
from mobilens.graph.ops import Graph
from mobilens.graph.origin import carried_back, without_bias
from mobilens.graph.rewrite import simplify
from mobilens.graph.run import run
from mobilens.graph.trace import trace
from mobilens.nn.checkpoint import Checkpoint
from mobilens.observer import SILENT, Observer
from mobilens.spec.task import TaskSpec
from mobilens.tasks import build_trained
from mobilens.tasks.predictor import TorchPredictor
from mobilens.vision.intervals import Estimate
from mobilens.vision.predictor import Learnt, Pixels, Predictor, RawOutputs

# What is learnt under the narrowest terms of all runtimes holds in each.
PLACEMENT = Placement("every value", pairs=True)
CALIBRATION = 128
BATCH = 32
# A whole training set is some hundreds of steps of the optimiser: at the rate of a few, what the
# net answers in float suffers.
RATE = 0.003


@dataclass(frozen=True, eq=False)
class Trained:
    """What training with integers gave.

    Attributes:
        checkpoint: The same net with other filters and biases.
        before: The net as it was, with its integers.
        after: The net as it is now, with its integers.
    """

    checkpoint: Checkpoint
    before: SimulatedPredictor
    after: SimulatedPredictor


@dataclass(frozen=True, eq=False)
class Comparison:
    """What training with integers brought, on validation data.

    Attributes:
        checkpoint: The new one.
        in_float: What the old one reached.
        now_in_float: What the new one reaches.
        drop: What the new one lost in float against the old one, as a share of the images.
        before: What its integers reached, as torch computes them.
        after: What those of the new one reached.
    """

    checkpoint: Checkpoint
    in_float: Evaluation
    now_in_float: Evaluation
    drop: Estimate
    before: Evaluation
    after: Evaluation


class SimulatedPredictor:
    """A net answered by torch as its integers would.

    Attributes:
        task: What it answers.
        learnt: Nothing: what it learnt from is known of files alone.
    """

    learnt = Learnt()

    def __init__(self, task: TaskSpec, quantised: Quantised) -> None:
        """Take a net whose integers are chosen."""
        self.task = task
        self._integers = quantised.quantisation
        self._graph = with_rounded_filters(quantised.graph, self._integers)

    def forward(self, pixels: Pixels) -> RawOutputs:
        """Answer a batch of (N, height, width, 3) uint8 pixels."""
        outputs = simulate(self._graph, self._integers, torch.from_numpy(pixels))
        return {name: values.numpy() for name, values in outputs.items()}


def train_with_integers(
    checkpoint: Checkpoint, pixels: Pixels, *, epochs: int, observer: Observer = SILENT
) -> Trained:
    """Train a net so that it gives in integers what it gave in float.

    Args:
        checkpoint: The net.
        pixels: (N, height, width, 3), RGB, uint8: training photos; ranges are those of the first.
        epochs: How often each is seen.
        observer: Is told of progress.

    Raises:
        WeightsError: The checkpoint's tensors are not those of its model.
    """
    graph = simplify(trace(checkpoint))
    quantiser = Quantiser(graph, PLACEMENT, pixels[:CALIBRATION])
    images = torch.from_numpy(pixels[:BATCH])
    candidates = [quantiser.follow(Recipe(method, CALIBRATION)) for method in METHODS]
    found = min(candidates, key=lambda one: _error(one, graph, images))
    tuned, integers = tune(
        found.graph,
        found.quantisation,
        pixels,
        pairs=PLACEMENT.pairs,
        epochs=epochs,
        fixed=without_bias(checkpoint),
        rate=RATE,
        in_float_too=True,
        observer=observer,
    )
    back = carried_back(checkpoint, tuned, lambda made: PLACEMENT.rewritten(simplify(made)))
    provenance = {
        **checkpoint.provenance,
        "quantisation": {"epochs": epochs, "images": len(pixels)},
    }
    return Trained(
        replace(back, provenance=provenance),
        SimulatedPredictor(checkpoint.task, found),
        SimulatedPredictor(checkpoint.task, Quantised(tuned, integers, ())),
    )


def compare(
    checkpoint: Checkpoint, trained: Trained, dataset: Dataset, observer: Observer = SILENT
) -> Comparison:
    """Measure the old net and the new one, each in float and in integers.

    Args:
        checkpoint: The old one.
        trained: What became of it.
        dataset: What they are measured on.
        observer: Is told of progress.
    """
    new, task = trained.checkpoint, checkpoint.task
    predictors: dict[str, Predictor] = {
        "measuring in float": TorchPredictor(build_trained(checkpoint), task),
        "measuring in float, after": TorchPredictor(build_trained(new), task),
        "measuring 8 bits": trained.before,
        "measuring 8 bits, after": trained.after,
    }
    old, now, before, after = (
        evaluate(predictor, dataset, observer=observer, label=label)
        for label, predictor in predictors.items()
    )
    # Whoever makes files of it learns what it was before.
    quantisation = new.provenance["quantisation"] | {
        "before": old.scores.main.value,
        "after": now.scores.main.value,
    }
    provenance = {**new.provenance, "quantisation": quantisation}
    named = replace(new, provenance=provenance)
    return Comparison(named, old, now, drop(old, now, task), before, after)


@torch.no_grad()
def _error(quantised: Quantised, exact: Graph, images: torch.Tensor) -> float:
    """How far integers are from floats, over all outputs."""
    integers = quantised.quantisation
    given = simulate(with_rounded_filters(quantised.graph, integers), integers, images)
    wanted = run(exact, images)
    return sum(float((given[key] - values).norm()) for key, values in wanted.items())
