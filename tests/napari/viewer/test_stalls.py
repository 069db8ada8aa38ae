"""The window goes on while jobs run: a training with its preview, a prediction, objects, traces and their export."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from predicting import SECOND, choose
from stall_watch import StallWatch

pytest_plugins = ("predicting_fixtures",)
pytestmark = pytest.mark.slow

LONGEST = 0.2
"""Seconds for which the window may be away, on a machine that draws a layer of labels in half of that."""

MOST_LAYERS = 2
"""How many times as long as a layer of labels by napari alone, on any machine."""


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    """A viewer that is seen, so that everything is drawn."""
    return make_napari_viewer_proxy(show=True)


@pytest.fixture
def panel(viewer, add_volumes, project: Path, qtbot):
    """The panel beside an image and labels, when it has got ready."""
    from napari_segkit.layers import volume_of_layer
    from napari_segkit.panel._panel import Panel

    made = Panel(viewer, project)
    viewer.window.add_dock_widget(made, name="segkit")
    data = made.session.data
    data.choose_image(volume_of_layer(viewer.layers["raw"]))
    data.choose_labels(volume_of_layer(viewer.layers["labels"]))
    qtbot.wait(3 * SECOND)
    yield made
    made.close_down()
    for job in made.session.jobs:
        job.force()


def napari_alone(viewer: Any) -> float:
    """Return the seconds that a small layer of labels takes, with its drawing and without segkit."""
    from qtpy.QtWidgets import QApplication

    taken = []
    for _ in range(3):
        began = perf_counter()
        layer = viewer.add_labels(np.ones((4, 8, 8), np.uint8))
        QApplication.processEvents()
        taken.append(perf_counter() - began)
        viewer.layers.remove(layer)
    return min(taken)


def train(panel: Any, qtbot: Any) -> None:
    page = panel.page("Train")
    seen: set[bytes] = set()
    page.train_button.click()

    def previewed() -> bool:
        if page.watching.preview.layer is not None:
            seen.add(page.watching.preview.layer.data.tobytes())
        return len(seen) >= 3

    qtbot.waitUntil(previewed, timeout=120 * SECOND)
    page.stop_button.click()
    qtbot.waitUntil(lambda: not panel.session.jobs.active, timeout=60 * SECOND)


def run_all(panel: Any, qtbot: Any) -> None:
    panel.page("Predict").run_all.button.click()
    qtbot.waitUntil(lambda: panel.page("Traces").set is not None, timeout=120 * SECOND)


def export(panel: Any, qtbot: Any, folder: Path) -> None:
    fold = panel.page("Traces").writing_out.fold
    fold.scope.setCurrentIndex(fold.scope.findData("all"))
    fold.wanted.emit(folder)
    qtbot.waitUntil(lambda: "written" in fold.said.text() and fold.export.isEnabled(), timeout=60 * SECOND)


def test_point_8_the_window_never_stalls(panel, viewer, qtbot, larger: Path, tmp_path: Path) -> None:
    problems: list[str] = []
    panel.session.problem.connect(lambda problem: problems.append(problem.sentence))
    setup = panel.page("Train").setup
    assert setup.pickers["task"].choose("semantic")
    setup.choose_preset("Quick look")
    setup.pickers["architecture"].form.set_values({"width": 4, "depth": 1})
    setup.patch.set_value((4, 16, 16))
    setup.batch.setValue(1)
    setup.sections["split"].set_values({"share": 0.25})
    setup.steps.setValue(100_000)
    panel.page("Train").preview_row.every.setValue(5)
    predict = panel.page("Predict")
    layer = napari_alone(viewer)
    print(f"a layer of labels by napari alone: {layer * 1000:.0f} ms")

    def watched(what: str, job: Any, *more: Any) -> None:
        qtbot.wait(SECOND)
        with StallWatch() as watch:
            job(panel, qtbot, *more)
            qtbot.wait(2 * SECOND)
        print(f"{what}: {watch}")
        assert not problems
        assert watch.longest < max(LONGEST, MOST_LAYERS * layer), what
        assert watch.quantile(0.99) < max(LONGEST, MOST_LAYERS * layer) / 4, what

    panel.show_page("Train")
    watched("training with a preview", train)
    panel.show_page("Predict")
    choose(predict, larger, (16, 32, 32), qtbot)
    predict.instances.method.choose("components")
    predict.instances.smallest.setValue(30)
    predict.tracing.smallest.setValue(200)
    watched("prediction, objects and traces", run_all)
    watched("export", export, tmp_path / "exported")
    assert list((tmp_path / "exported").glob("*.swc"))
