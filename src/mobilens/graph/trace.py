"""A trained net becomes a graph: torch.export lists what it calls, each call is one operator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node

from mobilens.errors import ExportError
from mobilens.graph import ops
from mobilens.graph.calls import CHECKS, HANDLERS, short_name
from mobilens.nn.checkpoint import Checkpoint
from mobilens.nn.fuse import fuse_batchnorm
from mobilens.tasks import build_trained, torch_task

INPUT, IMAGE = "pixels", "image"
# Any number but one shows which axis is the batch; nothing is computed with it.
BATCH = 2


class _Answering(nn.Module):
    """Net and answers, from normalised images to named outputs."""

    def __init__(self, net: nn.Module, answers: Callable[[Any], dict[str, Tensor]]) -> None:
        super().__init__()
        self.net, self._answers = net, answers

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return self._answers(self.net(images))


def trace(checkpoint: Checkpoint, *, finished: bool = False) -> ops.Graph:
    """List what a checkpoint computes, from raw pixels to its named outputs.

    BatchNorm is folded into the convolutions before it. The batch may have any size.

    Args:
        checkpoint: What to trace.
        finished: Whether the graph does all that is left to do with the answers.

    Raises:
        ExportError: The net calls something that no runtime is known to do.
        WeightsError: The checkpoint's tensors are not those of its model.
    """
    preprocessing = checkpoint.task.preprocessing
    height, width = preprocessing.size
    net = fuse_batchnorm(build_trained(checkpoint)).to(memory_format=torch.contiguous_format)
    task = torch_task(checkpoint.task.kind)
    answers = partial(task.finished, task=checkpoint.task) if finished else task.answers
    module = _Answering(net, answers).eval()
    example = torch.zeros(BATCH, 3, height, width)
    with torch.no_grad():
        program = torch.export.export(module, (example,))
    tracer = Tracer(program, (height, width))
    tracer.add(
        ops.Normalise(
            inputs=(INPUT,), output=IMAGE, mean=preprocessing.mean, std=preprocessing.std
        ),
        (3, height, width),
    )
    return tracer.graph()


class Tracer:
    """What is known half-way: operators so far, and the value behind each node."""

    def __init__(self, program: ExportedProgram, size: tuple[int, int]) -> None:
        self._program = program
        self._ops: list[ops.Op] = []
        self._shapes: dict[str, ops.Shape] = {INPUT: (*size, 3)}
        self._names: dict[Node, str] = {}
        self._tensors: dict[str, Tensor] = {}
        self._paths: dict[str, str] = {}
        signature = program.module_call_graph[0].signature
        assert signature is not None
        self._keys: list[str] = signature.out_spec.context  # of the dictionary of answers
        self._read_tensors()

    def _read_tensors(self) -> None:
        """Learn which placeholders are weights, and their names in the module."""
        held = {**self._program.state_dict, **self._program.constants}
        for spec in self._program.graph_signature.input_specs:
            if spec.target is not None and isinstance(held.get(spec.target), Tensor):
                self._tensors[spec.arg.name] = held[spec.target].detach()
                self._paths[spec.arg.name] = spec.target

    def graph(self) -> ops.Graph:
        """Walk the program and give what was found."""
        outputs: dict[str, str] = {}
        for node in self._program.graph.nodes:
            if node.op == "placeholder" and node.name not in self._tensors:
                self._names[node] = IMAGE
            elif node.op == "call_function" and node.target not in CHECKS:
                handler = HANDLERS.get(node.target)
                if handler is None:
                    raise ExportError(
                        f"the net calls {node.target}, which no model file can hold",
                        expected=", ".join(sorted({short_name(known) for known in HANDLERS})),
                    )
                self._names[node] = handler(self, node)
            elif node.op == "output":
                outputs = dict(zip(self._keys, map(self.value, node.args[0]), strict=True))
        return ops.Graph(INPUT, tuple(self._ops), outputs, self._shapes)

    def add(self, op: ops.Op, shape: ops.Shape) -> str:
        """Take an operator in; gives the name of what it makes."""
        self._ops.append(op)
        self._shapes[op.output] = shape
        return op.output

    def append(
        self,
        op: type[ops.Op],
        node: Node,
        /,
        *inputs: Node,
        made_from: str | None = None,
        **fields: Any,
    ) -> str:
        """Take an operator in that makes a node's value.

        Args:
            op: Its kind.
            node: The node.
            inputs: Nodes whose values it reads.
            made_from: In their place, the name of one value.
            fields: What else the operator holds.
        """
        names = (made_from,) if made_from else tuple(self.value(each) for each in inputs)
        return self.add(op(inputs=names, output=self.name(node), **fields), self.shape(node))

    def value(self, node: Any) -> str:
        """Name of the value that a node stands for."""
        if not isinstance(node, Node) or node not in self._names:
            raise ExportError(f"the net computes with {node}, which is no value of the image")
        return self._names[node]

    def is_tensor(self, node: Any) -> bool:
        """Whether a node is a weight."""
        return isinstance(node, Node) and node.name in self._tensors

    def is_learnt(self, node: Node) -> bool:
        """Whether a weight is a parameter, and not a number that follows from the description."""
        return node.name in self._program.graph_signature.inputs_to_parameters

    def array(self, node: Any) -> ops.Floats:
        """The values of a weight, float32."""
        return np.ascontiguousarray(self._tensors[node.name].float().cpu().numpy())

    def shape(self, node: Node) -> ops.Shape:
        """Shape of a node's value without the batch."""
        batch, *rest = node.meta["val"].shape
        if batch != BATCH:
            raise ExportError(
                f"{node.target} gives shape {(batch, *rest)} for a batch of {BATCH}",
                expected="the batch as the first axis of every value",
            )
        return tuple(int(size) for size in rest)

    def name(self, node: Node, weight: Node | None = None) -> str:
        """A name that lasts: the module's path, and the call where the module makes several."""
        if weight is not None:
            return self._unused(
                self._paths[weight.name].removesuffix(".weight").removeprefix("net.")
            )
        stack = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
        path = stack[-1].removeprefix("net").removeprefix(".") if stack else ""
        return self._unused(f"{path}.{short_name(node.target)}".removeprefix("."))

    def _unused(self, name: str) -> str:
        number, unused = 1, name
        while unused in self._shapes:
            number += 1
            unused = f"{name}.{number}"
        return unused
