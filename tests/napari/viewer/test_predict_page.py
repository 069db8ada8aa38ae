"""The page Predict in a viewer: what it offers, and what its parts do with a tiny model."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from predicting import SECOND, settled
from stall_watch import StallWatch

pytest_plugins = ("predicting_fixtures",)


def test_without_a_model_the_page_says_what_to_do(panel) -> None:
    panel.show_page("Predict")
    page = panel.page("Predict")
    page._tick()
    assert not page.button.isEnabled()
    assert "train one" in page.why_not.text()
    assert not page.instances.button.isEnabled()
    assert not page.tracing.button.isEnabled()


def test_every_control_has_a_name_and_a_tip(page) -> None:
    from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QSlider

    for kind in (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox, QSlider):
        for control in page.findChildren(kind):
            if isinstance(control.parent(), QComboBox | QAbstractSpinBox) or "spinbox" in control.objectName():
                continue
            named = control.accessibleName() or (control.text() if isinstance(control, QAbstractButton) else "")
            assert named, (control, control.parent())
            assert control.toolTip(), (named, control.parent())


def test_the_model_is_described_and_its_task_suggests_the_method(page) -> None:
    assert "boundaries" in page.choice.model.text.text()
    assert page.instances.method.component.name == "watershed"
    assert page.instances.can_preview is False
    assert not page.instances.button.isEnabled()


@pytest.mark.slow
def test_the_estimate_follows_the_region_and_refuses_what_does_not_fit(page, qtbot, monkeypatch) -> None:
    settled(page, qtbot)
    assert "block" in page.estimate.text()
    assert "\N{CHECK MARK}" in page.estimate.text()
    assert page.button.isEnabled()
    view = page.estimator.estimate
    page.choice.region.kind.setCurrentIndex(page.choice.region.kind.findData("box"))
    assert not page.button.isEnabled()
    assert "Type a box" in page.why_not.text()
    page.choice.region.text.setText("z0:99")
    assert "there are voxels from 0 to 16" in page.why_not.text()
    page.choice.region.text.setText("z0:8, y0:32, x0:32")
    assert page.button.isEnabled()
    page._tick()
    settled(page, qtbot)
    assert page.estimator.estimate.disk < view.disk
    import napari_segkit.predict._estimating as estimating

    monkeypatch.setattr(estimating, "free_bytes", lambda folder: 1000)
    page._show_readiness()
    assert not page.button.isEnabled()
    assert "does not fit: the disk has 1000 bytes free" in page.estimate.text().replace("1 kB", "1000 bytes")
    assert "color" in page.estimate.styleSheet()


def test_the_region_may_be_drawn(page, viewer, qtbot) -> None:
    page.choice.open_image()
    qtbot.waitUntil(lambda: page.choice.current_level is not None, timeout=10 * SECOND)
    region = page.choice.region
    region.kind.setCurrentIndex(region.kind.findData("box"))
    region.draw.click()
    drag = region._drag
    assert drag in viewer.mouse_drag_callbacks
    event = SimpleNamespace(type="mouse_press", position=(200.0, 160.0, 320.0))
    moves = drag(viewer, event)
    next(moves)
    event.type, event.position = "mouse_move", (200.0, 640.0, 800.0)
    next(moves)
    assert viewer.layers["region to predict"].data.shape == (4, 2, 3)
    event.type = "mouse_release"
    assert list(moves) == []
    assert region.text.text() == "z0:16, y10:41, x20:51"
    assert drag not in viewer.mouse_drag_callbacks
    assert viewer.scene.camera.mouse_pan
    region.kind.setCurrentIndex(region.kind.findData("whole"))
    assert "region to predict" not in viewer.layers


@pytest.mark.slow
def test_point_35_a_block_is_tried_and_shown_over_the_image(page, viewer, qtbot) -> None:
    settled(page, qtbot)
    began = time.monotonic()
    page.try_button.click()
    assert page.try_button.text().startswith("Trying")
    assert not page.try_button.isEnabled()
    qtbot.waitUntil(lambda: page.try_button.text() == "Try it", timeout=30 * SECOND)
    took = time.monotonic() - began
    print(f"tried in {took:.2f} s")
    layer = viewer.layers["try it: boundary"]
    image = viewer.layers["image"]
    assert layer.blending == "additive"
    assert tuple(layer.scale) == tuple(image.scale)
    assert layer.units == image.units
    assert layer.axis_labels == image.axis_labels
    assert layer.data.std() > 0
    assert took < 5
    page.toggle_overlay()
    assert not layer.visible
    page.toggle_overlay()
    assert layer.visible


@pytest.mark.slow
def test_the_live_overlay_computes_what_is_seen_and_no_more(page, viewer, qtbot) -> None:
    settled(page, qtbot)
    with StallWatch() as watch:
        page.live_button.setChecked(True)
        qtbot.waitUntil(lambda: page.overlay.tiles is not None, timeout=30 * SECOND)
        tiles = page.overlay.tiles
        qtbot.waitUntil(lambda: tiles.computed > 0 and tiles.waiting == 0, timeout=30 * SECOND)
        (layer,) = page.overlay.layers
        assert layer.name == "live overlay: boundary"
        for z in range(4, 16):
            viewer.dims.set_current_step(0, z)
            qtbot.wait(10)
        qtbot.waitUntil(lambda: tiles.waiting == 0 and bool(np.asarray(layer.data[15]).any()), timeout=30 * SECOND)
        qtbot.wait(500)
    assert "up to date" in page.said.text()
    print(f"tiles computed {tiles.computed} of {len(tiles.lattice)}, {watch}")
    page.live_button.setChecked(False)
    assert layer not in viewer.layers


def test_a_threshold_is_previewed_on_the_slice(page, viewer, qtbot, project: Path) -> None:
    from segkit import Volume
    from segkit.writing import write_volume

    rng = np.random.default_rng(0)
    voxels = rng.random((1, 8, 40, 40), np.float32)
    volume = Volume.from_array(voxels, axes="czyx", voxel_size=(40.0, 16.0, 16.0))
    write_volume(volume, project / "predictions" / "p.zarr", plan={"kind": "test"})
    page.session.results_changed.emit()
    assert page.instances.prediction.choose(project / "predictions" / "p.zarr")
    instances = page.instances
    instances.method.choose("components")
    instances.prediction.show_button.click()
    qtbot.waitUntil(lambda: "p" in viewer.layers, timeout=10 * SECOND)
    instances.preview.setChecked(True)
    qtbot.waitUntil(lambda: "object" in instances.found.text(), timeout=10 * SECOND)
    few = instances.found.text()
    layer = viewer.layers["threshold preview"]
    assert layer.data.shape == (1, 40, 40)
    before = layer.data.copy()
    instances.threshold.setValue(90)
    assert instances.method.forms[instances.method.component.qualified].editors["threshold"].value() == 0.9
    qtbot.waitUntil(lambda: instances.found.text() != few, timeout=10 * SECOND)
    assert not np.array_equal(viewer.layers["threshold preview"].data, before)
    assert instances.histogram.counts.sum() > 0
    assert instances.stage()["with"]["threshold"] == 0.9
    instances.preview.setChecked(False)
    assert "threshold preview" not in viewer.layers


def test_the_block_map_shows_states_and_goes_where_it_is_clicked(qtbot, viewer) -> None:
    from qtpy.QtCore import QPointF, Qt
    from qtpy.QtGui import QImage

    from napari_segkit.predict._block_map import BlockMap
    from napari_segkit.session.predictions._ledger import DONE, FAILED

    shown = BlockMap()
    qtbot.addWidget(shown)
    shown.resize(200, 110)
    grid = np.zeros((2, 3, 4), np.uint8)
    grid[0] = DONE
    grid[1, 2, 3] = FAILED
    shown.show_grid(grid, 1)
    picture = QImage(200, 110, QImage.Format.Format_RGB32)
    shown.render(picture)
    colours = {picture.pixelColor(x, y).name() for x in range(2, 180, 7) for y in range(2, 108, 7)}
    assert {"#4d5561", "#e5534b", "#3fa66b"} <= colours
    picked = []
    shown.picked.connect(lambda *block: picked.append(block))
    qtbot.mouseClick(shown, Qt.MouseButton.LeftButton, pos=QPointF(130, 100).toPoint())
    assert picked == [(1, 2, 3)]
    assert shown.block_at(QPointF(150, 10)) is not None or shown.block_at(QPointF(155, 10)) is not None


def test_what_failed_may_be_tried_again(page, project: Path, qtbot) -> None:
    import json

    from qtpy.QtWidgets import QLabel, QPushButton

    from segkit.durable import append_record

    output = project / "predictions" / "half.zarr"
    (output / ".segkit").mkdir(parents=True)
    plan = {"shape": [1, 8, 8, 16], "block_shape": [8, 8, 8]}
    (output / ".segkit" / "plan.json").write_text(json.dumps({"plan": plan}))
    append_record(output / ".segkit" / "journal.jsonl", {"level": 0, "block": 0, "hash": "a"})
    append_record(output / ".segkit" / "journal.jsonl", {"level": 0, "failed": 1, "reason": "no"})
    page.session.results_changed.emit()
    qtbot.waitUntil(lambda: output in page.live.ledgers, timeout=10 * SECOND)
    row = page.interrupted.rows[output]
    assert row.findChild(QLabel).text() == "half: 50 % done, 1 failed"
    assert [button.text() for button in row.findChildren(QPushButton)] == ["Retry failed", "Start over"]
    row.findChildren(QPushButton)[0].click()
    assert len(page.session.jobs) == 0, "nobody knows how it was made, which is said"


def test_a_network_that_follows_objects_is_called_by_its_method_on_the_image(page, project: Path, toy: Path) -> None:
    import json
    import shutil

    run = project / "runs" / "ffn-1"
    shutil.copytree(project / "runs" / "run-1", run)
    text = json.loads((run / "model" / "model.json").read_text())
    text["task"]["name"] = "ffn:flood_filling"
    (run / "model" / "model.json").write_text(json.dumps(text))
    page.choice.model.refresh()
    assert page.choice.model.choose(run)
    page._tick()
    assert not page.button.isEnabled()
    assert "follows objects" in page.why_not.text()
    assert not page.try_button.isEnabled()
    assert page.instances.method.component.name == "flood_fill"
    assert page.instances.stage()["with"]["model"] == str(run / "model")
    assert page.instances.prediction.place == str(toy / "image.zarr")
    assert page.instances.button.isEnabled()
    assert not page.instances.preview.isEnabled()


def test_choices_are_remembered(page, project: Path) -> None:
    page.choice.region.slices.setValue(5)
    page.choice.options.set_values({"blend": "linear"})
    page.instances.smallest.setValue(17)
    page.tracing.shortest.setValue(2.5)
    page.run_all.ticks["trace"].setChecked(False)
    import json

    state = json.loads(json.dumps(page.state()))
    page.choice.region.slices.setValue(9)
    page.choice.options.set_values({"blend": "none"})
    page.instances.smallest.setValue(0)
    page.run_all.ticks["trace"].setChecked(True)
    page.restore(state)
    assert page.choice.region.slices.value() == 5
    assert page.choice.options.values() == {"blend": "linear"}
    assert page.instances.smallest.value() == 17
    assert page.tracing.shortest.value() == 2.5
    assert page.run_all.wanted == ["predict", "segment"]
