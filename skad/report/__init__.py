"""Reports of searches and comparisons: one HTML page, Markdown or JSON."""

from skad.report._cite import cite
from skad.report._comparison_report import ComparisonReport, compare_detectors
from skad.report._read import read_report
from skad.report._search_report import SearchReport
from skad.report._versions import environment, show_versions, versions

__all__ = [
    "ComparisonReport",
    "SearchReport",
    "cite",
    "compare_detectors",
    "environment",
    "read_report",
    "show_versions",
    "versions",
]
