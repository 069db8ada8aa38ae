"""Painting in boxes on the page Data, and that nothing painted is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest


def stroke(box_layer, label=1, row=3) -> None:
    box_layer.data_setitem((np.full(9, 2), np.full(9, row), np.arange(9)), label)


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
    page.close_all()
    viewer.layers.clear()
    again = make_page(page.session.project.folder)
    again.restore(state)
    again.until(lambda: "box 1" in viewer.layers)
    assert np.count_nonzero(viewer.layers["box 1"].data) == 9
    assert again.session.data.boxes.all[0].role == "check"
    assert again.session.data.image.source == stored.source


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


def test_a_damaged_box_is_told_of_once_somebody_listens(make_page, tmp_path, stored) -> None:
    from napari_segkit.session import Boxes, Project

    boxes = Boxes(Project(tmp_path / "project"))
    box = boxes.new(stored, (0, 0, 0), (4, 8, 8))
    boxes.saver(box, stored)()
    (boxes.folder / box.store / "zarr.json").write_text("torn")
    page = make_page()
    page.until(lambda: bool(page.problems))
    assert len(page.problems) == 1
    assert "box 1" in page.problems[0].sentence
