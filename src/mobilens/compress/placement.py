"""Where a runtime wants integers: what computes in 8 bits, and which values are stored."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from mobilens.graph.gates import hard_swish_by_product
from mobilens.graph.ops import (
    Add,
    Conv,
    Graph,
    Linear,
    Mean,
    Mul,
    Normalise,
    Permute,
    Reshape,
)
from mobilens.graph.pixels import fold_normalisation, whole_pixels

# What every runtime has in 8 bits without filters of its own.
ELEMENTWISE = (Add, Mul, Mean)
# What only moves values: both sides share a grid.
MOVES = (Permute, Reshape)


@dataclass(frozen=True)
class Placement:
    """One way to lay integers over a graph.

    Attributes:
        name: For people and manifests.
        stored: Whether all values between integer operators are stored in 8 bits, sums and
            products included. If not, values are rounded where filters read them, and what comes
            out of filters is float: for runtimes that fuse what follows into the filters.
        stem: Whether the first convolutions, which read the image, compute in 8 bits.
        depthwise: Whether filters of single channels compute in 8 bits.
        pairs: Whether filters leave room for two neighbours: some kernels add products in pairs
            of 16 bits and would saturate on processors without VNNI.
        symmetric: Whether 0 is the middle of every grid, as runtimes have it whose kernels multiply
            signed integers by signed ones.
    """

    name: str
    stored: bool = True
    stem: bool = True
    depthwise: bool = True
    pairs: bool = False
    symmetric: bool = False

    def rewritten(self, graph: Graph) -> Graph:
        """Give the graph in the operators that stay in 8 bits.

        Args:
            graph: As ``simplify`` leaves it, with a normalisation in front.
        """
        graph = fold_normalisation(graph) if self.symmetric else whole_pixels(graph)
        if not self.stored:
            return graph
        # Behind filters in float, runtimes fuse it as it is.
        return hard_swish_by_product(graph, self.integer_filters(graph))

    def integer_filters(self, graph: Graph, in_float: Collection[str] = ()) -> frozenset[str]:
        """Name the operators with filters that compute in 8 bits, by what they make.

        Args:
            graph: A rewritten graph.
            in_float: Names of those that shall stay in float.
        """
        makers = graph.maker()
        return frozenset(
            op.output
            for op in graph.ops
            if isinstance(op, (Conv, Linear))
            and not (isinstance(op, Linear) and op.fixed)
            and op.output not in in_float
            and (self.stem or not isinstance(makers.get(op.inputs[0]), Normalise))
            and (self.depthwise or not (isinstance(op, Conv) and op.depthwise))
        )

    def stored_values(self, graph: Graph, filters: Collection[str]) -> frozenset[str]:
        """Name the values that need a grid.

        Args:
            graph: A rewritten graph.
            filters: What ``integer_filters`` gave.
        """
        found: set[str] = set()
        for op in graph.ops:
            if op.output in filters:
                found.update(op.inputs)
                if self.stored:
                    found.add(op.output)
        if self.stored:
            for op in graph.ops:
                if isinstance(op, ELEMENTWISE) and found.issuperset(op.inputs):
                    found.add(op.output)
        return frozenset(_with_moved(graph, found))


def _with_moved(graph: Graph, found: set[str]) -> set[str]:
    """Add what is the same values moved about, before and after."""
    for op in graph.ops:
        if isinstance(op, MOVES) and op.inputs[0] in found:
            found.add(op.output)
    for op in reversed(graph.ops):
        if isinstance(op, MOVES) and op.output in found:
            found.add(op.inputs[0])
    return found
