"""Groups for labels that speak of several classes each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

# From fewer images, one held out of each class would be far more than a fifth of all.
LEAST_GROUP = 5


def by_rarest_class(names: Sequence[Collection[str]]) -> list[str]:
    """Group images by the class that the fewest of them have; small groups are one.

    Args:
        names: Classes of each image, none included.
    """
    images = Counter(name for some in names for name in set(some))
    rarest = [min(some, key=lambda name: (images[name], name), default="") for some in names]
    sizes = Counter(rarest)
    return [name if sizes[name] >= LEAST_GROUP else "" for name in rarest]
