"""From a float graph and calibration images to integers, by any recipe; what is costly is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from mobilens.compress.equalise import equalise
from mobilens.compress.fit import fit
from mobilens.compress.grids import quantisation
from mobilens.compress.placement import Placement
from mobilens.compress.ranges import METHODS, ranges
from mobilens.compress.sensitivity import sensitivity
from mobilens.compress.statistics import Histogram, histograms
from mobilens.compress.tune import tune
from mobilens.graph.ops import Graph
from mobilens.graph.quantised import Quantisation
from mobilens.observer import SILENT, Observer
from mobilens.vision.predictor import Pixels


@dataclass(frozen=True)
class Recipe:
    """How integers are chosen.

    Attributes:
        ranges: How the range of each value is chosen, one of ``ranges.METHODS``.
        images: Calibration images that are looked at; all where there are fewer.
        bias: Whether biases make up for the mean error of their layer.
        rounding: Whether filters are rounded so that errors cancel.
        equalised: Whether channels are brought to one size before.
        in_float: How many of the most sensitive layers stay in float.
        tuned: Epochs of training with integers at the end.
    """

    ranges: str = "extremes"
    images: int = 64
    bias: bool = False
    rounding: bool = False
    equalised: bool = False
    in_float: int = 0
    tuned: int = 0


@dataclass(frozen=True, eq=False)
class Quantised:
    """A graph and what of it is 8-bit.

    Attributes:
        graph: Rewritten, its filters and biases fitted.
        quantisation: Its grids and scales.
        in_float: Layers that stay in float.
    """

    graph: Graph
    quantisation: Quantisation
    in_float: tuple[str, ...]


class Quantiser:
    """Follows recipes for one net and one placement."""

    def __init__(
        self,
        graph: Graph,
        placement: Placement,
        pixels: Pixels,
        training: Callable[[], Pixels] | None = None,
        observer: Observer = SILENT,
    ) -> None:
        """Take a net.

        Args:
            graph: As ``simplify`` leaves it.
            placement: Where integers go.
            pixels: (N, height, width, 3), RGB, uint8: calibration images.
            training: Gives more of them, to train with; None where there are too few.
            observer: Is told of progress when training.
        """
        self._training, self._observer = training, observer
        self._plain = placement.rewritten(graph)
        self._placement, self._pixels = placement, pixels
        self._counted: dict[tuple[bool, int], Mapping[str, Histogram]] = {}
        self._fitted: dict[Recipe, Graph] = {}
        self._ranked: dict[Recipe, tuple[str, ...]] = {}

    @cached_property
    def layers(self) -> int:
        """How many layers could compute in 8 bits."""
        return len(self._placement.integer_filters(self._plain))

    @cached_property
    def _equalised(self) -> Graph:
        return equalise(self._plain, self._pixels)

    @property
    def can_equalise(self) -> bool:
        """Whether there are channels that can be brought to one size."""
        return any(
            one is not other
            for one, other in zip(self._plain.ops, self._equalised.ops, strict=True)
        )

    @property
    def can_tune(self) -> bool:
        """Whether there are images to train with."""
        return self._training is not None

    def follow(self, recipe: Recipe) -> Quantised:
        """Choose integers.

        Args:
            recipe: How.
        """
        found = self._chosen(replace(recipe, tuned=0))
        if not recipe.tuned:
            return found
        assert self._training is not None
        graph, integers = tune(
            found.graph,
            found.quantisation,
            self._training(),
            pairs=self._placement.pairs,
            epochs=recipe.tuned,
            observer=self._observer,
        )
        return Quantised(graph, integers, found.in_float)

    def _chosen(self, recipe: Recipe) -> Quantised:
        whole = replace(recipe, in_float=0)
        exact = self._equalised if recipe.equalised else self._plain
        all_layers = self._quantisation(exact, whole, frozenset())
        fitted = self._fit(exact, whole, all_layers)
        if not recipe.in_float:
            return Quantised(fitted, all_layers, ())
        in_float = self._most_sensitive(exact, whole, all_layers)[: recipe.in_float]
        makers = exact.maker()
        mixed = fitted.with_ops(
            makers[op.output] if op.output in in_float else op for op in fitted.ops
        )
        chosen = self._quantisation(exact, whole, frozenset(in_float))
        # Grids and scales that the filters were fitted to hold for those that are left.
        kept = Quantisation(
            {name: all_layers.grids[name] for name in chosen.grids},
            {name: all_layers.scales[name] for name in chosen.scales},
        )
        return Quantised(mixed, kept, in_float)

    def _quantisation(self, graph: Graph, recipe: Recipe, in_float: frozenset[str]) -> Quantisation:
        filters = self._placement.integer_filters(graph, in_float)
        chosen = ranges(
            graph,
            self._histograms(graph, recipe),
            METHODS[recipe.ranges],
            symmetric=self._placement.symmetric,
        )
        return quantisation(graph, self._placement, chosen, filters)

    def _histograms(self, graph: Graph, recipe: Recipe) -> Mapping[str, Histogram]:
        count = min(recipe.images, len(self._pixels))
        key = (recipe.equalised, count)
        if key not in self._counted:
            names = self._placement.stored_values(graph, self._placement.integer_filters(graph))
            self._counted[key] = histograms(graph, self._pixels[:count], names)
        return self._counted[key]

    def _fit(self, graph: Graph, recipe: Recipe, given: Quantisation) -> Graph:
        if not (recipe.bias or recipe.rounding):
            return graph
        if recipe not in self._fitted:
            self._fitted[recipe] = fit(
                graph, given, self._pixels, rounding=recipe.rounding, bias=recipe.bias
            )
        return self._fitted[recipe]

    def _most_sensitive(self, graph: Graph, recipe: Recipe, given: Quantisation) -> tuple[str, ...]:
        """Layers by how much they suffer, the worst first."""
        if recipe not in self._ranked:
            found = sensitivity(graph, self._placement, given, self._pixels)
            self._ranked[recipe] = tuple(found)
        return self._ranked[recipe]
