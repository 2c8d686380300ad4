"""Reports of searches and comparisons: one HTML page, Markdown or JSON."""

from skad.report._comparison_report import ComparisonReport, compare_detectors
from skad.report._read import read_report
from skad.report._search_report import SearchReport
from skad.report._versions import environment, versions

__all__ = [
    "ComparisonReport",
    "SearchReport",
    "compare_detectors",
    "environment",
    "read_report",
    "versions",
]
