"""The panel: what it opens with, what a journal does to it, and how jobs end."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import numpy as np

from segkit.durable import append_record


def make_run(folder: Path, raw: str = "") -> Path:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    return folder


def started(run: Path, steps: int = 100) -> None:
    append_record(run / "journal.jsonl", {"event": "started", "step": 0, "steps": steps})


def add_steps(run: Path, first: int, last: int) -> None:
    for step in range(first, last + 1):
        record = {"event": "step", "step": step, "loss": 1.0 / step, "learning_rate": 1e-3, "seconds": 0.1}
        append_record(run / "journal.jsonl", record, sync=False)


def test_the_panel_opens_with_open_layers_chosen_and_no_torch(panel) -> None:
    assert panel.train_page.raw.combo.currentText() == "raw"
    assert panel.train_page.labels.combo.currentText() == "labels"
    assert panel.train_page.button.isEnabled()
    assert panel.strip.isHidden()
    assert "pyqtgraph" not in sys.modules or panel.train_page.curves is None


def test_opening_the_panel_in_a_fresh_process_loads_no_torch(tmp_path: Path) -> None:
    import subprocess

    code = f"""
import sys, warnings
warnings.simplefilter("ignore")
import napari
from pathlib import Path
from napari_segkit.panel._panel import Panel
viewer = napari.Viewer(show=False)
panel = Panel(viewer, Path({str(tmp_path)!r}))
viewer.window.add_dock_widget(panel)
assert "torch" not in sys.modules
panel.close_down()
viewer.close()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_control_has_a_name_or_a_text(panel) -> None:
    from qtpy.QtWidgets import QAbstractButton, QComboBox, QLineEdit

    for kind in (QAbstractButton, QComboBox, QLineEdit):
        for control in panel.findChildren(kind):
            if isinstance(control.parent(), QComboBox) or "spinbox" in control.objectName():
                continue
            text = control.text() if isinstance(control, QAbstractButton) else ""
            assert text or control.accessibleName() or control.toolTip(), control


def test_layer_lists_follow_the_viewer_and_keep_the_choice(panel, viewer) -> None:
    picker = panel.train_page.raw
    viewer.add_image(np.zeros((4, 8, 8)), name="another")
    assert [picker.combo.itemText(n) for n in range(picker.combo.count())] == ["raw", "another"]
    assert picker.combo.currentText() == "raw"
    viewer.layers["raw"].name = "renamed"
    assert picker.combo.currentText() == "renamed"
    viewer.layers.remove("renamed")
    assert picker.combo.currentText() == "another"
    viewer.layers.remove("another")
    assert picker.layer is None
    assert "Open an image" in panel.train_page.why_not.text()
    assert not panel.train_page.button.isEnabled()


def test_unusable_layers_are_grey_and_say_why(panel, viewer) -> None:
    from qtpy.QtCore import Qt

    viewer.add_image(np.zeros((8, 8, 3), "u1"), rgb=True, name="photo")
    combo = panel.train_page.raw.combo
    item = combo.model().item(combo.findText("photo"))
    assert not item.isEnabled()
    assert "RGB" in item.data(Qt.ItemDataRole.ToolTipRole)


def test_training_saves_layers_and_writes_a_recipe(panel, qtbot, monkeypatch) -> None:
    begun = []
    monkeypatch.setattr(panel.job, "start", lambda what, arguments, log: begun.append(arguments))
    panel.train_page.recipe.sections["training"].set_values({"steps": 77})
    panel.train()
    qtbot.waitUntil(lambda: bool(begun), timeout=20_000)
    [[command, recipe, flag, run]] = begun
    assert (command, flag, Path(run).name) == ("train", "--run", "run-1")
    tables = tomllib.loads(Path(recipe).read_text())
    assert tables["training"]["steps"] == 77
    assert tables["architecture"]["name"] == "small:net"
    from segkit.store import open_zarr

    raw = open_zarr(tables["dataset"]["raw"])
    assert raw.voxel_size == (40.0, 16.0, 16.0)
    assert open_zarr(tables["dataset"]["labels"]).dtype == np.uint64
    assert panel.train_page.raw.place == tables["dataset"]["raw"]
    assert panel.train_page.labels.place == ""


def test_a_wrong_field_stops_training_with_a_sentence(panel) -> None:
    from napari.utils.notifications import notification_manager

    before = len(notification_manager.records)
    panel.train_page.recipe.sections["optimizer"].editors["learning_rate"].main.setText("0")
    panel.train()
    assert not panel.banner.isHidden()
    assert "learning_rate" in panel.banner.sentence.text()
    assert not panel.job.running
    assert len(notification_manager.records) == before + 1


def test_a_journal_drives_line_curve_and_scores(panel, qtbot, tmp_path: Path) -> None:
    run = make_run(tmp_path / "elsewhere" / "run-9")
    started(run)
    add_steps(run, 1, 30)
    panel.bar.choose(run)
    panel.attach(run)
    assert "Step 30 of 100" in panel.strip.line.text()
    assert panel.train_page.curves.points == (30, 0)
    metrics = {"event": "validation", "step": 30, "loss": 0.02, "metrics": {"dice": 0.5}, "best": True}
    append_record(run / "journal.jsonl", metrics)
    add_steps(run, 31, 40)
    qtbot.waitUntil(lambda: panel.train_page.curves.points == (40, 1), timeout=5000)
    assert "dice 0.5" in panel.train_page.scores.text()
    assert panel.train_page.curves.plot.getPlotItem().getAxis("left").logMode
    assert panel.strip.bar.maximum() == 100
    append_record(run / "journal.jsonl", {"event": "finished", "step": 100, "reason": "completed"})
    qtbot.waitUntil(lambda: "completed" in panel.strip.line.text(), timeout=5000)
    assert not panel.train_page.button.isEnabled()
    panel.bar.choose(None)
    panel.bar.runs.setCurrentIndex(0)
    panel.attach(None)
    assert panel.train_page.button.text() == "Train"
    assert panel.train_page.button.isEnabled()


def test_the_preview_asks_for_the_slice_and_shows_the_answer(panel, viewer, qtbot, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    viewer.layers["raw"].metadata = {"segkit": {"source": "raw.zarr"}}
    panel.reset_choices()
    panel.bar.choose(run)
    panel.attach(run)
    started(run)
    request_file = run / "preview" / "request.json"
    viewer.dims.set_current_step(0, 5)
    qtbot.waitUntil(
        lambda: request_file.exists() and json.loads(request_file.read_text())["start"][0] == 5, timeout=5000
    )
    asked = json.loads(request_file.read_text())
    assert asked["source"] == "raw.zarr"
    assert asked["shape"][0] == 1

    shape = asked["shape"]
    voxels = np.full((2, *shape), 10, np.uint8)
    voxels[1] = 200

    def answer(step: int, request: str) -> None:
        np.save(run / "preview" / "prediction.npy", voxels)
        record = {
            "step": step,
            "path": str(run / "preview" / "prediction.npy"),
            "start": asked["start"],
            "shape": shape,
        }
        append_record(run / "journal.jsonl", {"event": "preview", **record, "request": request, "seconds": 0.4})

    answer(12, asked["request"])
    qtbot.waitUntil(lambda: "live preview" in viewer.layers, timeout=5000)
    layer, raw = viewer.layers["live preview"], viewer.layers["raw"]
    assert layer.data.max() == 200
    assert panel.train_page.channel.value() == 1
    assert not layer.editable
    assert tuple(layer.scale) == tuple(raw.scale)
    assert tuple(layer.units) == tuple(raw.units)
    assert layer.axis_labels == raw.axis_labels
    np.testing.assert_allclose(layer.translate, np.multiply(raw.scale, asked["start"]))
    assert "preview of step 12" in viewer.canvas.overlays["segkit_preview"].text
    assert "updating" not in viewer.canvas.overlays["segkit_preview"].text
    panel.train_page.channel.setValue(0)
    assert layer.data.max() == 10
    viewer.dims.set_current_step(0, 9)
    qtbot.waitUntil(lambda: json.loads(request_file.read_text())["start"][0] == 9, timeout=5000)
    answer(13, asked["request"])
    qtbot.waitUntil(lambda: "step 13" in viewer.canvas.overlays["segkit_preview"].text, timeout=5000)
    assert "updating" in viewer.canvas.overlays["segkit_preview"].text
    assert "live preview" not in [
        panel.train_page.raw.combo.itemText(n) for n in range(panel.train_page.raw.combo.count())
    ]


def test_no_preview_is_asked_for_in_3d(panel, viewer) -> None:
    from napari_segkit.train._preview import visible_box

    viewer.dims.ndisplay = 3
    assert visible_box(viewer.layers["raw"], viewer) is None


def test_a_failing_command_gives_one_sentence_and_one_notification(panel, qtbot, tmp_path: Path) -> None:
    from napari.utils.notifications import notification_manager

    before = len(notification_manager.records)
    panel.start_job("Training", ["train", str(tmp_path / "missing.toml")], "missing", lambda: None)
    assert panel.job.running
    assert not panel.train_page.button.isVisibleTo(panel.train_page)
    qtbot.waitUntil(lambda: not panel.banner.isHidden(), timeout=30_000)
    assert panel.banner.sentence.text().startswith("There is no recipe")
    assert "Traceback" not in panel.banner.sentence.text()
    assert "segkit train" in panel.banner.details.toPlainText()
    assert "napari" in panel.banner.report()
    assert len(notification_manager.records) == before + 1
    assert panel.train_page.button.isVisibleTo(panel.train_page)


def test_forms_show_the_recipe_of_a_run(panel, tmp_path: Path) -> None:
    from segkit.recipe import Recipe

    tables = {
        "task": {"name": "plain"},
        "architecture": {"name": "net", "rate": 0.25},
        "loss": [{"name": "plain"}],
        "dataset": {"name": "files", "raw": "x"},
        "training": {"steps": 12, "patience": 3},
    }
    run = make_run(tmp_path / "run")
    (run / "recipe.toml").write_text(Recipe.from_mapping(tables).to_toml())
    panel.bar.choose(run)
    panel.attach(run)
    form = panel.train_page.recipe
    assert form.sections["training"].values() == {"steps": 12, "patience": 3}
    assert form.pickers["architecture"].table() == {"name": "small:net", "rate": 0.25}
    assert not form.isEnabled()
    assert panel.train_page.button.text() == "Continue run"


def test_nothing_watches_the_viewer_after_closing(viewer, components, add_volumes, tmp_path: Path) -> None:
    from napari_segkit.panel._panel import Panel

    before = len(viewer.dims.events.current_step.callbacks)
    panel = Panel(viewer, tmp_path)
    assert len(viewer.dims.events.current_step.callbacks) == before + 1
    panel.close()
    assert len(viewer.dims.events.current_step.callbacks) == before
    panel.deleteLater()
