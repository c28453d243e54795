"""What files are made of, and what they are measured against."""

from __future__ import annotations

from functools import cached_property

from mobilens.data.dataset import Dataset
from mobilens.evaluation import Evaluation, evaluate
from mobilens.exporting.draft import require_colour
from mobilens.exporting.targets import Target
from mobilens.graph.finish import finish
from mobilens.graph.ops import Graph
from mobilens.graph.pooled import add_pooled
from mobilens.graph.rewrite import simplify
from mobilens.graph.trace import trace
from mobilens.nn.checkpoint import Checkpoint
from mobilens.observer import SILENT, Observer
from mobilens.tasks import build_trained, torch_task
from mobilens.tasks.predictor import TorchPredictor


class Original:
    """A checkpoint with its graph and its score, each found once for all files of it.

    Attributes:
        checkpoint: The checkpoint.
        dataset: What it and its files are measured on; None measures nothing.
        observer: Is told of progress.
    """

    def __init__(
        self, checkpoint: Checkpoint, dataset: Dataset | None, observer: Observer = SILENT
    ) -> None:
        """Take a checkpoint.

        Raises:
            UsageError: It does not read RGB.
        """
        require_colour(checkpoint)
        self.checkpoint, self.dataset, self.observer = checkpoint, dataset, observer

    @cached_property
    def graph(self) -> Graph:
        """What it computes, in as few operators as there can be."""
        return self._rewritten()

    def finished(self, graph: Graph, kind: Target) -> Graph:
        """Put what is left to do behind a graph of this checkpoint, where a target can do it."""
        if not (kind.finishes and torch_task(self.checkpoint.task.kind).finishes):
            return graph
        return finish(graph, self.graph, self._finished)

    @cached_property
    def _finished(self) -> Graph:
        return self._rewritten(finished=True)

    def _rewritten(self, *, finished: bool = False) -> Graph:
        # Not in `simplify`: training with integers carries filters back, one for each of the net's.
        return add_pooled(simplify(trace(self.checkpoint, finished=finished)))

    @cached_property
    def predictor(self) -> TorchPredictor:
        """The checkpoint, opened."""
        return TorchPredictor(build_trained(self.checkpoint), self.checkpoint.task)

    @cached_property
    def evaluation(self) -> Evaluation:
        """What it reaches on its data set."""
        assert self.dataset is not None
        label = "measuring the checkpoint"
        return evaluate(self.predictor, self.dataset, observer=self.observer, label=label)
