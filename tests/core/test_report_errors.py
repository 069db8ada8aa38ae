"""The picture of errors along skeletons."""

import numpy as np
import pytest

from segkit.report import draw_errors, error_sections, write_page
from segkit.tracing import Trace, evaluate_traces


@pytest.mark.parametrize("broken", [False, True])
def test_errors_are_drawn_and_listed(broken, tmp_path):
    labels = np.ones((4, 20, 30), np.uint64)
    traces = []
    for row in (3, 9, 15):
        labels[:, row - 2 : row + 3] = row
        nodes = np.array([(2.0, row, x) for x in range(30)])
        traces.append(Trace(nodes, np.stack([np.arange(29), np.arange(1, 30)], 1), np.zeros(30), row, "voxel"))
    if broken:
        labels[labels == 15] = 9
        labels[:, :, 12:14] = 0
        labels[:, :5, 20:] = 7
    outcome = evaluate_traces(labels, traces)
    assert bool(outcome.errors) == broken
    assert draw_errors(outcome, worst=2).startswith(b"\x89PNG")
    sections = error_sections(outcome, worst=3)
    assert len(sections[0].rows) == (4 if broken else 0)
    write_page(tmp_path / "index.html", "Errors", "", sections)
    page = (tmp_path / "index.html").read_text()
    assert ("omission" in page) == broken
    assert "expected cable before an error" in page
    single = evaluate_traces(labels, [Trace(np.array([(2.0, 9, 3)]), np.zeros((0, 2)), np.zeros(1), 1, "voxel")])
    assert draw_errors(single).startswith(b"\x89PNG")
