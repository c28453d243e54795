"""One self-contained HTML page for each training run."""

from mobilens.report.page import write_report
from mobilens.report.run_report import Epoch, LatencyRow, ModelFile, RunReport

__all__ = ["Epoch", "LatencyRow", "ModelFile", "RunReport", "write_report"]
