"""What a key map is made of."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from mobilens.errors import WeightsError
from mobilens.spec.blocks import Block, InvertedResidual
from mobilens.spec.model import ModelSpec, Padding

# (module of ours below its row, module of theirs)
Pairs = tuple[tuple[str, str], ...]

_TORCH = {name: name for name in ("weight", "bias", "running_mean", "running_var", "scale")}


@dataclass(frozen=True)
class Layout:
    """How another library names the tensors of these nets.

    Attributes:
        name: For messages.
        mark: Expression that some key of this layout matches and none of another.
        stem: Pairs of the stem.
        rows: Pairs of each kind of block. ``"inverted_residual"`` may be refined by
            ``", no expansion"`` and ``", squeeze-excite"``, in this order; the most exact entry
            is taken. Modules that a row does not have are passed over. Their names may hold
            ``{row}``, ``{i}`` (rows counted from 0) and ``{n}`` (from 1).
        head: Pairs of the head. Their names may hold ``{last}``, the number after the last row's.
        row: What ``{row}`` stands for; it may hold ``{i}``, ``{n}`` and ``{ordinal}``.
        first_row: The same for row 0, where it differs.
        row_ordinal: Expression whose first group names a row in their keys, such as stage and
            place in the stage; ``{ordinal}`` is the i-th of them.
        conv: Their names of a convolution's or linear layer's tensors, by ours.
        norm: Their names of a BatchNorm's tensors, by ours; those left out are the identity's,
            as where BatchNorm is folded into the convolution.
        separator: Between module and tensor.
        kernels: Order of axes in their convolutions.
        padding: The padding that these weights were trained with.
        bn_eps: The BatchNorm epsilon likewise.
        mean: Subtracted from red, green, blue, likewise.
        std: Divides them, likewise.
        caveat: What a person should know of these weights before using them; empty for nothing.
        exact_at: Input sides that are multiples of it need no such word; 0 for none.
    """

    name: str
    mark: str
    stem: Pairs
    rows: Mapping[str, Pairs]
    head: Pairs
    row: str = ""
    first_row: str | None = None
    row_ordinal: str | None = None
    conv: Mapping[str, str] = field(default_factory=lambda: _TORCH)
    norm: Mapping[str, str] = field(default_factory=lambda: _TORCH)
    separator: str = "."
    kernels: Literal["OIHW", "HWIO"] = "OIHW"
    padding: Padding = "symmetric"
    bn_eps: float = 1e-5
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    caveat: str = ""
    exact_at: int = 0

    def caveat_at(self, resolution: tuple[int, int]) -> str:
        """What to say of weights in this layout at an input size; empty for nothing."""
        exact = self.exact_at > 0 and all(side % self.exact_at == 0 for side in resolution)
        return "" if exact else self.caveat

    @property
    def folded(self) -> bool:
        """Whether BatchNorm statistics are missing."""
        return "running_mean" not in self.norm

    def matches(self, keys: Iterable[str]) -> bool:
        """Whether these are keys of this layout."""
        return any(re.search(self.mark, key) for key in keys)

    def keys(
        self, names: Iterable[str], model: ModelSpec, given: Collection[str]
    ) -> dict[str, str | None]:
        """Translate names of our tensors.

        Args:
            names: Ours.
            model: Whose names they are.
            given: Keys of the weights at hand; rows are found among them in natural order.

        Returns:
            Their key for each of our names; None where the tensor is folded into another.

        Raises:
            WeightsError: The layout has no such module.
        """
        modules = dict(self._modules(model, given))
        keys: dict[str, str | None] = {}
        for name in names:
            module, _, leaf = name.rpartition(".")
            if module not in modules:
                raise WeightsError(
                    f"the {self.name} layout has no name for {name} of {model.name}",
                    expected=f"a model that {self.name} has",
                )
            theirs = self.norm if module.endswith("norm") else self.conv
            tensor = theirs.get(leaf)
            keys[name] = f"{modules[module]}{self.separator}{tensor}" if tensor else None
        return keys

    def _modules(self, model: ModelSpec, given: Collection[str]) -> Iterator[tuple[str, str]]:
        """Expand the table over the rows of a model; some of ours may not exist in it."""
        for ours, theirs in self.stem:
            yield f"backbone.stem.{ours}", theirs
        ordinals = self._ordinals(given, len(model.rows))
        for i, block in enumerate(model.rows):
            pattern = self.row if i or self.first_row is None else self.first_row
            row = pattern.format(i=i, n=i + 1, ordinal=ordinals[i])
            for ours, theirs in self._row_pairs(block):
                yield f"backbone.blocks.{i}.{ours}", theirs.format(row=row, i=i, n=i + 1)
        for ours, theirs in self.head:
            yield f"head.{ours}", theirs.format(last=len(model.rows) + 1)

    def _row_pairs(self, block: Block) -> Pairs:
        candidates: list[str] = [block.kind]
        if isinstance(block, InvertedResidual):
            if not block.expand:
                candidates.append(f"{block.kind}, no expansion")
            if block.squeeze_channels:
                candidates.append(f"{candidates[-1]}, squeeze-excite")
        return next((self.rows[key] for key in reversed(candidates) if key in self.rows), ())

    def _ordinals(self, keys: Iterable[str], rows: int) -> list[str]:
        if self.row_ordinal is None:
            return [""] * rows
        found = {match[1] for key in keys if (match := re.match(self.row_ordinal, key))}
        names = sorted(found, key=lambda name: [int(part) for part in name.split(".")])
        return names + [f"(row {i})" for i in range(len(names), rows)]
