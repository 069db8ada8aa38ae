"""Pages and pictures: of one training, of several side by side, and of images, predictions, objects and traces."""

from segkit.report._comparison import Comparison, Difference, compare
from segkit.report._comparison_page import interval_text, write_comparison
from segkit.report._comparison_picture import draw_comparison
from segkit.report._confusion import draw_confusion
from segkit.report._errors import draw_errors, error_sections
from segkit.report._estimates import Estimate, difference_of, estimate
from segkit.report._findings import Finding, find_problems
from segkit.report._groups import Group, gather
from segkit.report._page import Section, write_page
from segkit.report._pictures import draw_slices, draw_traces
from segkit.report._run_page import write_run_report
from segkit.report._summary import RunSummary, stability_word, summarize

__all__ = [
    "Comparison",
    "Difference",
    "Estimate",
    "Finding",
    "Group",
    "RunSummary",
    "Section",
    "compare",
    "difference_of",
    "draw_comparison",
    "draw_confusion",
    "draw_errors",
    "draw_slices",
    "draw_traces",
    "error_sections",
    "estimate",
    "find_problems",
    "gather",
    "interval_text",
    "stability_word",
    "summarize",
    "write_comparison",
    "write_page",
    "write_run_report",
]
