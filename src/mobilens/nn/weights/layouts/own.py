"""Our own names, as in a mobilens checkpoint or a saved state dict."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from mobilens.nn.weights.layouts.layout import Layout
from mobilens.spec.model import ModelSpec


class _OwnLayout(Layout):
    """Nothing to translate."""

    def keys(
        self, names: Iterable[str], model: ModelSpec, given: Collection[str]
    ) -> dict[str, str | None]:
        """Give each name itself."""
        del model, given
        return {name: name for name in names}


OWN = _OwnLayout(
    name="mobilens",
    mark=r"^backbone\.stem\.conv\.weight$",
    stem=(),
    rows={},
    head=(),
    bn_eps=1e-3,
)
