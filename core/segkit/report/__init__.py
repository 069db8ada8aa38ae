"""Pictures of images, predictions, objects and traces, summaries of runs, and one HTML page that shows them."""

from segkit.report._errors import draw_errors, error_sections
from segkit.report._page import Section, write_page
from segkit.report._pictures import draw_slices, draw_traces
from segkit.report._summary import RunSummary, stability_word, summarize

__all__ = [
    "RunSummary",
    "Section",
    "draw_errors",
    "draw_slices",
    "draw_traces",
    "error_sections",
    "stability_word",
    "summarize",
    "write_page",
]
