"""A mean spread over an image and joined to it, as one sum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mobilens.graph.ops import UNCLAMPED, Add, Concat, Conv, Graph, Op, Resize, Shape


def add_pooled(graph: Graph) -> Graph:
    """Let a filter read a spread mean as one pixel, in place of many equal ones behind others.

    What reads the mean of an image beside the image itself is a sum of two filters, and that of
    the mean is the same everywhere (ASPP's pooled branch). Some runtimes do not enlarge a single
    pixel at all.
    """
    for op in graph.ops:
        if isinstance(op, Conv) and op.pointwise and op.groups == 1:
            graph = _split(graph, op) or graph
    return graph


def _split(graph: Graph, conv: Conv) -> Graph | None:
    makers, users = graph.maker(), graph.users()
    joined = makers.get(conv.inputs[0])
    if not isinstance(joined, Concat) or len(users[joined.output]) > 1:
        return None
    spread = [
        (name, part)
        for name in joined.inputs
        if isinstance(part := makers.get(name), Resize)
        and graph.shapes[part.inputs[0]][1:] == (1, 1)
        and len(users[name]) == 1
    ]
    if len(spread) != 1 or len(joined.inputs) < 2:
        return None
    name, resize = spread[0]
    bounds = np.cumsum([0, *(graph.shapes[one][0] for one in joined.inputs)])
    place = joined.inputs.index(name)
    mine = np.zeros(bounds[-1], bool)
    mine[bounds[place] : bounds[place + 1]] = True
    rest = tuple(one for one in joined.inputs if one != name)
    height, width = graph.shapes[conv.output][1:]
    channels = len(conv.weight)
    joined_rest = f"{joined.output}.rest"
    source = rest[0] if len(rest) == 1 else joined_rest
    steps: list[Op] = [] if len(rest) == 1 else [Concat(inputs=rest, output=joined_rest)]
    steps += [
        replace(
            conv,
            inputs=(source,),
            output=f"{conv.output}.image",
            weight=np.ascontiguousarray(conv.weight[:, ~mine]),
            clamp=UNCLAMPED,
        ),
        replace(
            conv,
            inputs=resize.inputs,
            output=f"{conv.output}.mean",
            weight=np.ascontiguousarray(conv.weight[:, mine]),
            bias=np.zeros_like(conv.bias),
            clamp=UNCLAMPED,
        ),
        Add(
            inputs=(f"{conv.output}.image", f"{conv.output}.mean"),
            output=conv.output,
            clamp=conv.clamp,
        ),
    ]
    shapes: dict[str, Shape] = {
        joined_rest: (int((~mine).sum()), height, width),
        f"{conv.output}.image": (channels, height, width),
        f"{conv.output}.mean": (channels, 1, 1),
    }
    gone = {joined.output, name}
    ops: list[Op] = []
    for op in graph.ops:
        if op.output == conv.output:
            ops += steps
        elif op.output not in gone:
            ops.append(op)
    return graph.with_ops(ops, shapes)
