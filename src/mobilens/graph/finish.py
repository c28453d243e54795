"""What is left to do with answers, put behind a graph for runtimes that can do it."""

from __future__ import annotations

from dataclasses import replace

from mobilens.graph.ops import Graph


def finish(graph: Graph, plain: Graph, finished: Graph) -> Graph:
    """Put the last steps of one graph behind another.

    Args:
        graph: A rewritten ``plain``, perhaps with other filters; its outputs have the same names.
        plain: What a net computes, as it was traced.
        finished: The same net with more steps at its end.
    """
    steps = [op for op in finished.ops if op.output not in plain.shapes]
    known = {name: graph.outputs[key] for key, name in plain.outputs.items()}
    tail = [replace(op, inputs=tuple(known.get(name, name) for name in op.inputs)) for op in steps]
    shapes = {op.output: finished.shapes[op.output] for op in tail}
    longer = replace(graph, outputs=finished.outputs)
    return longer.with_ops((*graph.ops, *tail), shapes)
