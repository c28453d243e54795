"""How values lie in memory where a runtime keeps the channels of images last."""

from __future__ import annotations

from mobilens.graph import ops


def channels_last(graph: ops.Graph) -> dict[str, bool]:
    """Tell of each value whether it is (C, H, W) in name and (H, W, C) in memory.

    Permutations between the two orders cost nothing there: the same bytes under another name.

    Args:
        graph: The graph.
    """
    images = {graph.input: False}
    for op in graph.ops:
        images[op.output] = _is_image(op, images, graph)
    return images


def _is_image(op: ops.Op, images: dict[str, bool], graph: ops.Graph) -> bool:
    source = images[op.inputs[0]]
    match op:
        case ops.Permute():
            return op.order == (0, 3, 1, 2) and not source
        case ops.Reshape():
            return False
        case ops.Normalise():
            return True
    return source and len(graph.shapes[op.output]) == 3
