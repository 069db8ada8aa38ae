"""The panel with the real command line: training is stopped and continued, objects are traced."""

from __future__ import annotations

from pathlib import Path

import pytest

SECOND = 1000


@pytest.fixture
def panel(viewer, add_volumes, tmp_path: Path):
    from napari_segkit.panel._panel import Panel

    made = Panel(viewer, tmp_path / "project")
    viewer.window.add_dock_widget(made, name="segkit")
    yield made
    made.close_down()
    if made.job.child is not None:
        made.job.child.kill()


@pytest.mark.slow
def test_training_stops_with_everything_saved_and_goes_on(panel, qtbot) -> None:
    form = panel.train_page.recipe
    assert form.pickers["task"].choose("semantic")
    form.pickers["architecture"].set_table({"name": "unet", "width": 4, "depth": 1})
    form.sections["sampling"].set_values({"patch_shape": (4, 16, 16), "batch_size": 1, "holdout": 0.25})
    form.sections["training"].set_values({"steps": 3000, "validate_every": 20})
    panel.train()
    qtbot.waitUntil(lambda: panel.follower.progress.step >= 25 or not panel.banner.isHidden(), timeout=60 * SECOND)
    assert panel.banner.isHidden(), panel.banner.report()
    assert panel.train_page.curves.points[0] == len(panel.follower.progress.losses) > 0
    panel.strip.button.click()
    assert "Saving" in panel.strip.line.text()
    qtbot.waitUntil(lambda: panel.train_page.button.isEnabled(), timeout=30 * SECOND)
    qtbot.waitUntil(lambda: panel.follower.progress.state == "finished", timeout=5 * SECOND)
    assert panel.job.child.exit_code() == 143
    assert panel.banner.isHidden()
    stopped = panel.follower.progress.step
    assert panel.follower.progress.checkpoint_step == stopped
    assert panel.train_page.button.text() == "Continue run-1"

    panel.train_page.button.click()
    qtbot.waitUntil(lambda: panel.follower.progress.step > stopped, timeout=60 * SECOND)
    child = panel.job.child
    panel.close_down()
    assert child.wait(30) == 143


def test_objects_are_traced_and_shown_in_3d(panel, viewer, qtbot) -> None:
    assert panel.results_page.tracer.choose("skeleton")
    panel.results_page.buttons[2].click()
    shown = lambda: any(type(layer).__name__ == "Tracks" for layer in viewer.layers)  # noqa: E731
    qtbot.waitUntil(lambda: shown() or not panel.banner.isHidden(), timeout=60 * SECOND)
    assert panel.banner.isHidden(), panel.banner.report()
    layer = viewer.layers["traces"]
    assert tuple(layer.scale) == (40.0, 16.0, 16.0)
    assert set(layer.features["neuron"]) <= {1, 2, 3, 4, 5}
    assert viewer.dims.ndisplay == 3
