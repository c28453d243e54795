"""A checkpoint as an ONNX graph: raw uint8 pixels in, answers out."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import onnx
import onnxslim
import torch
from torch import Tensor, nn

from mobilens.nn.checkpoint import Checkpoint
from mobilens.nn.fuse import fuse_batchnorm
from mobilens.tasks import TorchTask, build_trained, torch_task
from mobilens.tasks.normalise import Normalise

INPUT_NAME = "pixels"
OPSET = 20


class _Answering(nn.Module):
    """Normalisation, net and answers in one graph, so that nobody can feed it wrongly."""

    def __init__(self, net: nn.Module, normalise: Normalise, task: TorchTask) -> None:
        super().__init__()
        self.normalise, self.net, self._task = normalise, net, task

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        return self._task.answers(self.net(self.normalise(pixels)))


def build_onnx(checkpoint: Checkpoint) -> tuple[bytes, tuple[str, ...]]:
    """Turn a checkpoint into an ONNX graph, BatchNorm folded, batch of any size.

    Args:
        checkpoint: What to turn.

    Returns:
        The bytes of the file, still without a manifest, and the names of its outputs.
    """
    task = torch_task(checkpoint.task.kind)
    net = fuse_batchnorm(build_trained(checkpoint))
    module = _Answering(net, Normalise(checkpoint.task.preprocessing), task).eval()
    # Two images: with one, the exporter takes the batch for a constant.
    example = torch.zeros((2, *checkpoint.task.preprocessing.size, 3), dtype=torch.uint8)
    with torch.inference_mode():
        names = tuple(module(example))
    with _quiet():
        program = torch.onnx.export(
            module,
            (example,),
            input_names=[INPUT_NAME],
            output_names=list(names),
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            external_data=False,
        )
        assert program is not None
        graph = onnxslim.slim(program.model_proto)
    assert isinstance(graph, onnx.ModelProto)
    _forget_the_maker(graph)
    return graph.SerializeToString(deterministic=True), names


def _forget_the_maker(graph: onnx.ModelProto) -> None:
    """Drop notes on every node: traces with folders of this machine, and much of the size."""
    graph.doc_string = ""
    del graph.metadata_props[:]
    graph.graph.doc_string = ""
    del graph.graph.metadata_props[:]
    for node in graph.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*graph.graph.value_info, *graph.graph.input, *graph.graph.output):
        value.doc_string = ""
        del value.metadata_props[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what the exporter says to its own developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
