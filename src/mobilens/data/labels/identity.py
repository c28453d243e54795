"""Who or what is seen: classes to tell apart, of which those to come are others."""

from __future__ import annotations

from mobilens.data.labels.class_name import (
    LEAST_CLASSES,
    classes,
    names,
    region,
    strata,
    target,
    text,
)

__all__ = ["LEAST_CLASSES", "OPEN", "classes", "names", "region", "strata", "target", "text"]

OPEN = True
