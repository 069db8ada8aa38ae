"""Pictures of images, predictions, objects and traces, and one HTML page that shows them beside the numbers."""

from segkit.report._errors import draw_errors, error_sections
from segkit.report._page import Section, write_page
from segkit.report._pictures import draw_slices, draw_traces

__all__ = ["Section", "draw_errors", "draw_slices", "draw_traces", "error_sections", "write_page"]
