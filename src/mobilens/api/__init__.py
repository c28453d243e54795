"""The verbs from Python; ``import mobilens`` shows them.

Torch and its company are imported by the verbs that need them, when they run.
"""

from mobilens.api.album import groups, index, search
from mobilens.api.answering import check, evaluate, load, verify
from mobilens.api.exporting import Quantized, export, export_all, export_fastest, quantize
from mobilens.api.measuring import benchmark, operators, write_device_kit
from mobilens.api.training import resume, train

__all__ = [
    "Quantized",
    "benchmark",
    "check",
    "evaluate",
    "export",
    "export_all",
    "export_fastest",
    "groups",
    "index",
    "load",
    "operators",
    "quantize",
    "resume",
    "search",
    "train",
    "verify",
    "write_device_kit",
]
