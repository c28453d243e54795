"""What would spoil a result: unreadable, duplicate, leaking, mislabelled, unbalanced data."""

from mobilens.data.lint.finding import Finding, Item
from mobilens.data.lint.mislabelled import find_mislabelled
from mobilens.data.lint.report import LintReport, check_splits

__all__ = ["Finding", "Item", "LintReport", "check_splits", "find_mislabelled"]
