"""The page Data: opening, choosing and loading, and what it says is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segkit import write_volume


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
    assert set(page.session.data.writer()()) == {"dataset", "split"}


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
    assert "border" in page.image.voxel_size.lines[0].styleSheet()
    assert tuple(viewer.layers["em"].scale) == (80.0, 8.0, 8.0)
    assert not [str(warning.message) for warning in recwarn if "units" in str(warning.message)]


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
    assert viewer.layers["ids"].data.shape == labels_volume.spatial_shape, "they are shown, too"
    assert page.truth.picker.combo.currentText() == "ids.zarr"
    assert page.ready.next.text() == "Move onto the image"
    page.ready.next.click()
    assert page.truth.fit.text() == "Fits the image voxel by voxel."
    assert page.ready.next.text() == "Continue to Train"


@pytest.mark.slow
def test_large_images_offer_an_overview(make_page, viewer, stored, monkeypatch) -> None:
    from napari_segkit.session.images import _overview

    monkeypatch.setattr(_overview, "MOST_BARE", 2**11)
    monkeypatch.setattr(_overview, "CUT_OUT", (4, 8, 8))
    monkeypatch.setattr(_overview, "_FINEST", 2**11)
    monkeypatch.setattr("napari_segkit.session.images._overview.cut_out.__defaults__", (None, (4, 8, 8)))
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


def test_what_is_dropped_is_opened_and_offered_again(make_page, stored) -> None:
    from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
    from qtpy.QtGui import QDropEvent

    page = make_page()
    line = page.image.source
    assert not line.again.isEnabled()
    dropped = QMimeData()
    dropped.setUrls([QUrl.fromLocalFile(stored.source)])
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    line.dropEvent(QDropEvent(QPointF(1, 1), Qt.DropAction.CopyAction, dropped, buttons, keys))
    page.until(lambda: page.session.data.image is not None)
    assert line.line.text() == stored.source
    assert [action.text() for action in line.again.menu().actions()] == ["em.zarr"]
    for number in range(12):
        line.remember(f"/data/{number}.zarr")
    assert len(line.recent) == 10
    assert line.recent[0] == "/data/11.zarr"


def test_smooth_loading_is_offered_and_never_taken(page, monkeypatch) -> None:
    from napari.settings import get_settings

    settings = get_settings().experimental
    assert not page.image.smooth.isVisibleTo(page), "the image is small"
    monkeypatch.setattr("napari_segkit.data._image_section.SLOW", 1)
    page.image.update_shown()
    assert page.image.smooth.isVisibleTo(page)
    assert not settings.async_
    page.image.smooth_button.click()
    assert settings.async_
    assert not page.image.smooth.isVisibleTo(page)
    settings.async_ = False
