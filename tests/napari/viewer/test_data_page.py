"""The page Data by itself: opening, painting, loading, and what it says is missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import segkit
from segkit import Volume, write_volume


@pytest.fixture
def make_page(viewer, components, tmp_path, qtbot):
    """Dock the page of a project."""
    import segkit_datasets
    import segkit_formats
    from napari_segkit.data import DataPage
    from napari_segkit.session import Session

    for plugin in (segkit_formats, segkit_datasets):
        segkit.register(plugin)
    made = []

    def make(folder: Path = tmp_path / "project"):
        session = Session(folder)
        session.open()
        page = DataPage(viewer, session)
        page.problems, page.said = [], []
        session.problem.connect(page.problems.append)
        session.said.connect(lambda text, undo: page.said.append((text, undo)))
        page.reset_choices = lambda event=None: page.layers_changed()
        page.events = (viewer.layers.events.inserted, viewer.layers.events.removed, viewer.layers.events.reordered)
        for event in page.events:
            event.connect(page.reset_choices)
        viewer.window.add_dock_widget(page, name="data")

        def until(condition, timeout=10_000):
            def check():
                session.poll()
                return condition()

            try:
                qtbot.waitUntil(check, timeout=timeout)
            except Exception:
                print("PROBLEMS", page.problems, viewer.layers, [(j.kind, j.state, j.report()) for j in session.jobs])
                raise

        page.until = until
        made.append(page)
        return page

    yield make
    for page in made:
        close(page)


@pytest.fixture
def stored(tmp_path, raw_volume) -> Volume:
    return write_volume(raw_volume, tmp_path / "em.zarr")


@pytest.fixture
def page(make_page, stored):
    page = make_page()
    page.image.source.open(stored.source)
    page.until(lambda: page.session.data.image is not None)
    return page


def close(page) -> None:
    for event in page.events:
        event.disconnect(page.reset_choices)
    if page.events:
        page.close_down()
        page.session.close()
    page.events = ()


def stroke(box_layer, label=1, row=3) -> None:
    box_layer.data_setitem((np.full(9, 2), np.full(9, row), np.arange(9)), label)


def test_point_49_an_empty_page_says_what_to_do(make_page, viewer) -> None:
    page = make_page()
    assert page.ready.sentences == ["Open an image"]
    assert page.ready.next.isEnabled()
    assert page.ready.next.text() == "Open the sample"
    page.ready.next.click()
    page.until(lambda: page.session.data.labels is not None, 60_000)
    page.until(lambda: page.ready.next.text() == "Continue to Train")
    assert [layer.name for layer in viewer.layers] == ["neurites", "neurite labels"]
    assert page.truth.picker.combo.currentText() == "neurite labels"
    wanted = []
    page.session.page_wanted.connect(wanted.append)
    page.ready.next.click()
    assert wanted == ["Train"]
    assert set(page.session.data.writer()()) == {"dataset", "sampling"}


def test_a_source_is_opened_in_the_background_and_described(page, viewer, stored, raw_volume) -> None:
    from napari_segkit.layers import image_layer

    assert image_layer(viewer, page.session) == viewer.layers["em"]
    shape = " × ".join(map(str, raw_volume.spatial_shape))
    said = page.image.card.text().replace("\N{NO-BREAK SPACE}", " ")
    assert f"{shape} voxels" in said
    assert str(raw_volume.dtype) in said
    assert page.image.voxel_size.chip.text() == "from file"
    assert [line.text() for line in page.image.voxel_size.lines] == ["40", "16", "16"]
    assert page.image.source.recent == [stored.source]
    page.image.source.open("/nothing/here.zarr")
    page.until(lambda: bool(page.problems))
    assert len(page.problems) == 1
    assert "no file or folder /nothing/here.zarr" in page.problems[0].sentence
    assert page.session.data.image is not None


def test_point_20_another_voxel_size_moves_all_layers_along(page, viewer, recwarn) -> None:
    page.truth.new_box()
    box = page.session.data.boxes.all[0]
    before = np.array(viewer.layers[box.name].translate) - viewer.layers["em"].translate
    for line, text in zip(page.image.voxel_size.lines, ("80", "8", "8"), strict=True):
        line.setText(text)
    page.image.voxel_size.lines[-1].editingFinished.emit()
    assert page.image.voxel_size.chip.text() == "set by you"
    for layer in viewer.layers:
        assert tuple(layer.scale) == (80.0, 8.0, 8.0)
        assert [str(unit) for unit in layer.units] == ["nanometer"] * 3
        assert tuple(layer.axis_labels) == ("z", "y", "x")
    after = np.array(viewer.layers[box.name].translate) - viewer.layers["em"].translate
    np.testing.assert_allclose(after, before * (2, 0.5, 0.5))
    page.image.voxel_size.lines[0].setText("0")
    page.image.voxel_size.lines[0].editingFinished.emit()
    assert "d1242f" in page.image.voxel_size.lines[0].styleSheet()
    assert tuple(viewer.layers["em"].scale) == (80.0, 8.0, 8.0)
    assert not [str(warning.message) for warning in recwarn if "units" in str(warning.message)]


def test_a_new_box_is_ready_to_paint_in(page, viewer) -> None:
    viewer.dims.set_point(0, viewer.layers["em"].extent.world[1][0])
    page.truth.new.click()
    [box] = page.session.data.boxes.all
    layer = viewer.layers.selection.active
    assert layer.data is box.voxels
    assert (layer.mode, layer.brush_size, layer.selected_label) == ("paint", 8, 1)
    assert layer.bounding_box.visible
    assert page.session.data.image.box.contains(box.box)
    page.truth.classes.chips[1].click()
    assert layer.selected_label == 2
    np.testing.assert_allclose(layer.colormap.map(1), [0x3B / 255, 0x82 / 255, 0xF6 / 255, 1], atol=0.01)
    page.truth.classes.add.click()
    assert [edit.text() for edit in page.truth.classes.names] == ["background", "object", "class 3"]
    assert page.truth.list.rowCount() == 1
    assert page.truth.list.item(0, 3).text() == "0.0 %"
    assert "class 3: 0 voxels, at least 500 advised" not in page.ready.sentences, "nothing is painted yet"


def test_what_is_painted_is_saved_soon_and_undo_too(page, viewer) -> None:
    page.truth.new_box()
    [box] = page.session.data.boxes.all
    page.until(lambda: bool(box.store))
    layer = viewer.layers[box.name]
    first = box.store
    stroke(layer)
    page.until(lambda: box.painted == 9)
    assert box.store != first
    assert page.truth.list.item(0, 4).text().count(":") == 2
    layer.undo()
    page.until(lambda: box.painted == 0)
    kept = box.store
    viewer.dims.set_current_step(0, 1)
    page.until(lambda: not page.truth.layers._timer.isActive(), 4000)
    assert box.store == kept, "a step through the slices writes nothing"


def test_a_removed_layer_leaves_its_box(page, viewer) -> None:
    page.truth.new_box()
    viewer.layers.remove("box 1")
    page.session.data.changed.emit()
    assert "box 1" not in viewer.layers
    assert page.truth.list.rowCount() == 1
    page.truth.go.click()
    assert viewer.layers.selection.active == viewer.layers["box 1"]


def test_point_44_a_removed_box_comes_back(page, viewer, qtbot) -> None:
    page.truth.new_box()
    [box] = page.session.data.boxes.all
    stroke(viewer.layers[box.name])
    page.truth.remove.click()
    assert box.name not in viewer.layers
    [(text, undo)] = page.said
    assert text == "Removed box 1"
    undo()
    assert viewer.layers[box.name].data is box.voxels
    assert box.painted == 9


def test_boxes_come_back_when_the_project_is_opened_again(page, make_page, viewer, stored) -> None:
    page.truth.new_box()
    [box] = page.session.data.boxes.all
    stroke(viewer.layers[box.name])
    page.session.data.boxes.set_role(box, "check")
    state = page.state()
    close(page)
    viewer.layers.clear()
    again = make_page(page.session.project.folder)
    again.restore(state)
    again.until(lambda: "box 1" in viewer.layers)
    assert np.count_nonzero(viewer.layers["box 1"].data) == 9
    assert again.session.data.boxes.all[0].role == "check"
    assert again.session.data.image.source == stored.source


def test_point_21_layer_lists_follow_the_viewer(page, viewer) -> None:
    picker = page.image.picker

    def names() -> list[str]:
        return [picker.combo.itemText(index) for index in range(picker.combo.count())]

    viewer.add_image(np.zeros((4, 8, 8), np.uint8), name="other", units=("nm",) * 3, axis_labels="zyx")
    assert set(names()) == {"em", "other"}
    assert picker.combo.currentText() == "em"
    viewer.layers["em"].name = "renamed"
    page.layers_changed()
    assert picker.combo.currentText() == "renamed"
    viewer.layers.move(0, 2)
    assert picker.combo.currentText() == "renamed"
    viewer.layers.remove("renamed")
    assert picker.combo.currentText() == "other"
    assert page.session.data.image.source == "other"
    viewer.layers.clear()
    assert page.session.data.image is None


def test_point_22_layers_that_cannot_be_used_say_why(page, viewer) -> None:
    from qtpy.QtCore import Qt

    viewer.add_image(np.zeros((8, 8, 3), np.uint8), rgb=True, name="colours")
    viewer.add_image(np.zeros((8, 8), np.uint8), name="slice")
    viewer.add_image(np.zeros((4, 8, 8), np.float32), name="fractions", units=("nm",) * 3, axis_labels="zyx")
    found = {}
    for picker in (page.image.picker, page.truth.picker):
        for index in range(picker.combo.count()):
            item = picker.combo.model().item(index)
            name = (picker.combo.accessibleName(), picker.combo.itemText(index))
            found[name] = (item.isEnabled(), item.data(Qt.ItemDataRole.ToolTipRole))
    assert found["image", "em"][0]
    assert found["image", "fractions"][0]
    for what, word in (
        (("image", "colours"), "RGB"),
        (("image", "slice"), "z axis"),
        (("labels", "fractions"), "whole"),
    ):
        assert not found[what][0]
        assert word in found[what][1]


def test_loaded_labels_are_compared_and_fixed(page, viewer, labels_volume, tmp_path) -> None:
    from dataclasses import replace

    page.truth.load.click()
    assert page.ready.next.text() == "Choose labels"
    y = labels_volume.voxel_size[1]
    moved = replace(
        labels_volume, offset=(labels_volume.offset[0], labels_volume.offset[1] + 3 * y, labels_volume.offset[2])
    )
    write_volume(moved, tmp_path / "ids.zarr", pyramid=1)
    page.truth.load_from(str(tmp_path / "ids.zarr"))
    page.until(lambda: page.session.data.labels is not None)
    assert page.truth.fit.text() == "Shifted by 3 voxels in y."
    assert page.ready.next.text() == "Move onto the image"
    page.ready.next.click()
    assert page.truth.fit.text() == "Fits the image voxel by voxel."
    assert page.ready.next.text() == "Continue to Train"


def test_point_26_and_27_few_fields_and_each_is_named(page) -> None:
    from qtpy.QtWidgets import QAbstractButton, QComboBox, QLineEdit

    page.truth.new_box()
    controls = [
        widget
        for kind in (QAbstractButton, QComboBox, QLineEdit)
        for widget in page.findChildren(kind)
        if widget.isVisibleTo(page)
        and not (isinstance(widget.parent(), QComboBox) or widget.objectName().startswith("qt_"))
    ]
    nameless = [widget for widget in controls if not (widget.toolTip() and (widget.accessibleName() or widget.text()))]
    assert not [
        (type(widget).__name__, widget.objectName())
        for widget in nameless
        if type(widget).__module__.startswith("napari")
    ]
    assert page.minimumSizeHint().width() <= 306, "a dock of 320 pixels less its borders"


def test_large_images_offer_an_overview(make_page, viewer, stored, monkeypatch) -> None:
    from napari_segkit.session import _overview

    monkeypatch.setattr(_overview, "MOST_BARE", 2**11)
    monkeypatch.setattr(_overview, "CUT_OUT", (4, 8, 8))
    monkeypatch.setattr(_overview, "_FINEST", 2**11)
    monkeypatch.setattr("napari_segkit.session._overview.cut_out.__defaults__", (None, (4, 8, 8)))
    bare = write_volume(stored, Path(stored.source).with_name("bare.zarr"), pyramid=1)
    page = make_page()
    page.image.source.open(bare.source)
    page.until(lambda: page.session.data.image is not None)
    assert viewer.layers[0].data.shape == (4, 8, 8)
    assert page.image.overview.isVisibleTo(page)
    assert "Only a cut-out can be shown before an overview is built" in page.ready.sentences
    page.image.cut_out_here()
    page.until(lambda: len(viewer.layers) == 1)
    page.image.overview_button.click()
    job = page.session.jobs.of("convert")
    assert job.title == "overview of bare.zarr"
    page.until(lambda: not job.active, 60_000)
    assert job.state == "done", job.report()
    page.until(lambda: bool(viewer.layers) and viewer.layers[0].multiscale)
    assert len(page.session.data.image.levels) >= 1
    assert not page.image.overview.isVisibleTo(page)


CRASH = """
import os, sys, time
from pathlib import Path
import napari, numpy as np
from qtpy.QtWidgets import QApplication
from napari_segkit.data import DataPage
from napari_segkit.session import Session
viewer = napari.Viewer(show=False)
session = Session(sys.argv[1])
page = DataPage(viewer, session)
viewer.add_image(np.zeros((16, 64, 64), np.uint8), name="em", scale=(4.0, 1.0, 1.0), units=("nm",) * 3, axis_labels="zyx")
page.layers_changed()
page.truth.new_box()
layer = viewer.layers.selection.active
layer.data_setitem((np.full(9, 2), np.full(9, 3), np.arange(9)), 2)
end = time.time() + 2.0
while time.time() < end:
    QApplication.instance().processEvents()
    session.poll()
    time.sleep(0.02)
print("painted", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_point_16_annotations_survive_a_crash(tmp_path, components) -> None:
    from napari_segkit.session import Boxes, Project

    project = tmp_path / "project"
    child = subprocess.Popen(
        [sys.executable, "-c", CRASH, str(project)], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        assert child.stdout.readline() == "painted\n"
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    boxes = Boxes(Project(project))
    boxes.read()
    [box] = boxes.all
    assert box.counts == {2: 9}
    assert (box.voxels[2, 3, :9] == 2).all()
