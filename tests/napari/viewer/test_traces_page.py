"""The page Traces: table, selection, focus, drawing, tags, edits, errors and exports.

Every test opens a viewer, which takes a second or more; what is least likely to break by itself is marked as slow.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter, process_time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from traced import neuron, written

IDS = [90003, 17, 2**40, 5]


@pytest.fixture
def page(panel, tmp_path: Path) -> Any:
    """The page with four neurons open."""
    found = panel.page("Traces")
    opened(panel, found, written(tmp_path / "set", [neuron(id, 300 + 100 * at, at) for at, id in enumerate(IDS)]))
    return found


def opened(panel: Any, page: Any, folder: Path) -> None:
    before = page.set
    panel.show_page("Traces")
    page.open(folder)
    settle(panel, lambda: page.set is not None and page.set is not before, 300)


def settle(panel: Any, done: Any, seconds: float = 30) -> None:
    from qtpy.QtWidgets import QApplication

    end = perf_counter() + seconds
    while not done():
        panel.session.poll()
        QApplication.processEvents()
        assert perf_counter() < end


def roles(viewer: Any) -> dict[str, Any]:
    """Return the layers of the page that are seen, by what they show."""
    known = [layer for layer in viewer.layers if "role" in layer.metadata.get("segkit", {})]
    return {layer.metadata["segkit"]["role"]: layer for layer in known if layer.visible}


def double_click(viewer: Any, position: Any, *modifiers: str) -> None:
    camera = viewer.scene.camera
    three = viewer.dims.ndisplay == 3
    event = SimpleNamespace(
        position=tuple(map(float, position)),
        view_direction=np.asarray(camera.view_direction, float) if three else None,
        dims_displayed=[0, 1, 2] if three else [1, 2],
        modifiers=modifiers,
    )
    for callback in list(viewer.mouse_double_click_callbacks):
        callback(viewer, event)


def clicked(viewer: Any, position: Any, button: int, *modifiers: str) -> None:
    """Press and release a button of the mouse without moving it."""
    event = SimpleNamespace(
        position=tuple(position), view_direction=None, modifiers=modifiers, button=button, type="mouse_press"
    )
    for callback in list(viewer.mouse_drag_callbacks):
        if callback.__module__ == "napari_segkit.traces._picking":
            steps = callback(viewer, event)
            next(steps, None)
            event.type = "mouse_release"
            next(steps, None)


def node_of(page: Any, id: int, node: int) -> Any:
    neurons = page.scene.neurons
    return neurons.nodes[neurons.node_starts[neurons.rows[id]] + node]


def test_point_49_the_empty_page_says_what_to_do(panel) -> None:
    page = panel.page("Traces")
    assert page.browse.isEnabled()
    assert not page.browse.isHidden()
    assert page.table.isHidden()
    assert "Predict" in page.summary.text()


def test_results_of_the_project_are_listed_and_opened(panel) -> None:
    page = panel.page("Traces")
    folder = written(panel.session.project.folder / "traces" / "run-3" / "affinities", [neuron(5, 50)])
    panel.session.results_changed.emit()
    settle(panel, lambda: page.set is not None)
    assert page.set.source == folder
    assert page.picker.combo.currentText() == "run-3 / affinities"
    assert page.browse.isHidden()
    assert "1 neurons" in page.summary.text()


def test_point_39_a_hundred_thousand_rows(viewer, qtbot) -> None:
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QApplication

    from napari_segkit.session.traces._columns import Column
    from napari_segkit.session.traces._filter import found_by
    from napari_segkit.session.traces._review import Review
    from napari_segkit.traces._table import Table
    from napari_segkit.traces._table_model import TableModel

    random = np.random.default_rng(0)
    ids = random.permutation(100_000).astype(np.uint64) + np.uint64(1)
    columns = [
        Column("id", "id", "", ids, 0, True),
        Column("cable", "cable µm", "", random.exponential(900, len(ids)), 1, True),
    ]
    columns += [Column(f"c{n}", f"column {n}", "", random.integers(0, 99, len(ids)), 0, n < 2) for n in range(8)]
    model = TableModel(lambda id: ("", ""))
    table = Table(model)
    qtbot.addWidget(table)
    table.resize(360, 400)

    def timed(work: Any) -> float:
        start = process_time()  # bears a busy machine better
        work()
        QApplication.processEvents()
        return process_time() - start

    def show() -> None:
        model.fill(ids, columns)
        table.show()

    shown = timed(show)
    sort = [timed(lambda at=at: table.sortByColumn(at, Qt.SortOrder.DescendingOrder)) for at in (2, 1, 3)]
    review = Review(Path("/nonexistent"))
    keep = [
        timed(lambda text=text: model.keep(found_by(text, ids, review) & (columns[1].values > 500)))
        for text in ("", "99", "12, 7")
    ]
    print(f"1e5 rows: show {shown:.3f} s, sort {max(sort):.3f} s, filter {max(keep):.3f} s")
    assert shown < 0.5
    assert min(sort) < 0.1
    assert min(keep) < 0.1
    assert model.rowCount() == (found_by("12, 7", ids, review) & (columns[1].values > 500)).sum()
    order = model.columns[2].values[model.order]
    assert (np.diff(order.astype(int)) <= 0).all()


def test_cells_are_for_people(page) -> None:
    from qtpy.QtCore import Qt

    model = page.model
    assert model.headerData(2, Qt.Orientation.Horizontal) == "cable µm"
    assert model.data(model.index(0, 2), Qt.ItemDataRole.TextAlignmentRole) & int(Qt.AlignmentFlag.AlignRight)
    assert model.sorted_by == (2, True)
    assert model.text(0, 1) == "5"  # the longest first; ids have no separators
    model.columns[1].values[:] = 12345.67
    assert model.text(0, 2) == "12\N{NARROW NO-BREAK SPACE}345.7"
    assert "status" in page.table.shown
    assert "nodes" not in page.table.shown
    menu = page.table.column_menu()
    next(action for action in menu.actions() if action.text() == "nodes").setChecked(True)
    assert "nodes" in page.table.shown


@pytest.mark.slow
def test_rows_are_copied_with_their_heading(page) -> None:
    from qtpy.QtCore import Qt
    from qtpy.QtGui import QGuiApplication, QKeyEvent

    page.session.selection.choose([17, 90003])
    page.table.keyPressEvent(QKeyEvent(QKeyEvent.Type.KeyPress, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier))
    lines = QGuiApplication.clipboard().text().splitlines()
    assert lines[0].split("\t") == ["id", "cable µm", "branch", "tips", "status"]
    assert {line.split("\t")[0] for line in lines[1:]} == {"17", "90003"}


def test_point_40_selection_is_one_truth(panel, page, viewer) -> None:
    selection = page.session.selection

    def agree(*ids: int) -> None:
        assert set(selection.ids) == set(ids)
        rows = {int(page.scene.neurons.ids[row]) for row in page.table.selected()}
        assert rows == set(ids)
        assert f"<b>{selection.active}</b>" in page.walk.card.text()
        layer = roles(viewer)["selected"]
        edges = sum(len(page.scene.neurons.trace(page.scene.neurons.rows[id]).edges) for id in ids)
        assert len(layer.data) == 2 * edges
        assert roles(viewer)["all"].opacity == pytest.approx(0.15)

    # by the table
    page.table.selectRow(page.model.place(page.scene.neurons.rows[90003]))
    agree(90003)
    # by a script
    selection.choose([5, 2**40])
    agree(5, 2**40)
    # by a double click on a line, in 3D and in 2D; the node is known too
    viewer.dims.ndisplay = 3
    viewer.scene.camera.angles = (20, 30, 40)
    viewer.scene.camera.zoom = 2.0
    double_click(viewer, node_of(page, 17, 120) - 500 * np.asarray(viewer.scene.camera.view_direction))
    agree(17)
    assert page.scene.node == 120
    viewer.dims.ndisplay = 2
    place = node_of(page, 90003, 40)
    viewer.dims.set_point(0, place[0])
    double_click(viewer, place, "Shift")
    agree(17, 90003)
    assert selection.active == 90003
    clicked(viewer, place, 4)
    agree(17)
    clicked(viewer, place, 5)
    agree(17, 90003)
    # an id that is not in the set selects no row, and nothing is drawn
    selection.choose([123456])
    assert page.table.selected() == []
    assert "selected" not in roles(viewer)


@pytest.mark.slow
def test_a_double_click_on_an_instance_selects_its_trace(panel, page, viewer, labels_volume) -> None:
    labels = viewer.layers["labels"]
    id = int(labels.data.max())
    folder = written(panel.session.project.folder / "far", [neuron(id, 50, box=80000)])
    opened(panel, page, folder)
    at = np.argwhere(np.asarray(labels.data) == id)[0]
    place = at * np.asarray(labels.scale) + np.asarray(labels.translate)
    viewer.dims.set_point(0, place[0])
    double_click(viewer, place)
    assert page.session.selection.ids == (id,)


@pytest.mark.slow
def test_other_double_clicks_zoom_as_always(page, viewer) -> None:
    before = viewer.scene.camera.zoom
    double_click(viewer, (1e6, 1e6, 1e6))
    assert viewer.scene.camera.zoom == 2 * before
    place = node_of(page, 17, 10)
    viewer.dims.set_point(0, place[0])
    clicked(viewer, place, 1, "Control")
    assert page.session.selection.ids == ()
    np.testing.assert_allclose(viewer.scene.camera.center[1:], place[1:])


@pytest.mark.parametrize("ndisplay", [2, 3])
def test_point_41_focus_brings_the_neuron_into_view(page, viewer, ndisplay: int) -> None:
    from napari_segkit.traces._camera import view_axes

    viewer.dims.ndisplay = ndisplay
    if ndisplay == 3:
        viewer.scene.camera.angles = (15, -40, 70)
    page.session.selection.choose([2**40])
    page.focus()
    page.scene.camera.arrive()
    trace = page.scene.neurons.trace(page.scene.neurons.rows[2**40])
    axes = np.eye(3)[1:] if ndisplay == 2 else np.stack(view_axes(viewer))
    center = np.asarray(viewer.scene.camera.center)
    seen = (trace.nodes - (center if ndisplay == 3 else [0, *center[1:]])) @ axes.T * viewer.scene.camera.zoom
    room = np.asarray(viewer.canvas.size)
    assert (np.abs(seen).max(axis=0) <= room / 2).all()
    assert (np.ptp(seen, axis=0) / room).max() == pytest.approx(0.7, abs=0.01)
    if ndisplay == 2:
        assert trace.nodes[:, 0].min() <= viewer.dims.point[0] <= trace.nodes[:, 0].max()


@pytest.mark.slow
def test_point_41_focus_on_many_nodes_is_quick(panel, page, viewer, tmp_path: Path) -> None:
    opened(panel, page, written(tmp_path / "large", [neuron(7, 20_000)]))
    start = process_time()
    page.session.selection.choose([7])
    page.focus()
    page.scene.camera.arrive()
    seconds = process_time() - start
    print(f"selecting and focusing 20000 nodes: {seconds:.3f} s")
    assert seconds < 1


@pytest.mark.slow
def test_steps_go_from_branch_point_to_branch_point(page, viewer) -> None:
    viewer.dims.ndisplay = 3
    page.session.selection.choose([17])
    branches = page.scene.branches
    page.next_branch()
    assert page.scene.node == branches[0]
    assert page.walk.where.text() == f"branch 1 / {len(branches)}"
    page.previous_branch()
    assert page.scene.node == branches[-1]
    page.next_tip()
    page.scene.camera.arrive()
    np.testing.assert_allclose(viewer.scene.camera.center, node_of(page, 17, int(page.scene.tips[0])))
    marks = roles(viewer)["marks"]
    assert marks.shown.sum() == len(branches) + len(page.scene.tips)
    page.session.selection.back()
    assert page.scene.node == branches[-1]


@pytest.mark.slow
def test_shown_cycles(page, viewer) -> None:
    page.session.selection.choose([17])
    page.cycle_shown()
    assert "all" not in roles(viewer)
    page.cycle_shown()
    assert page.buttons.mode.text() == "Shown: selected  W"
    assert "neighbours" not in roles(viewer)
    assert "selected" in roles(viewer)
    page.cycle_shown()
    assert "all" in roles(viewer)


@pytest.mark.slow
def test_letters_reach_the_page_from_the_table(page, qtbot) -> None:
    from qtpy.QtCore import Qt

    page.session.selection.choose([17])
    qtbot.keyClick(page.table, Qt.Key.Key_K)
    assert page.scene.node == page.scene.branches[0]
    qtbot.keyClick(page.table, Qt.Key.Key_W)
    assert page.buttons.mode.text() == "Shown: near  W"


@pytest.mark.slow
def test_hidden_neurons_are_not_seen_and_come_back(page, viewer) -> None:
    said: list[Any] = []
    page.session.said.connect(lambda text, undo: said.append(undo))
    page.session.selection.choose([17])
    page.hide_selected()
    owners = np.repeat(page.scene.neurons.ids[page.scene.drawing._owners], 2)
    alpha = roles(viewer)["all"].track_colors[:, 3]
    assert (alpha[owners == 17] == 0).all()
    assert (alpha[owners != 17] == 1).all()
    assert page.buttons.hide_button.text() == "Show"
    said[-1]()
    assert (roles(viewer)["all"].track_colors[:, 3] == 1).all()


@pytest.mark.slow
def test_colours_say_a_column(page, viewer) -> None:
    page.scene.colour_by("cable")
    colours = page.scene.colours
    cable = page.scene.columns[1].values
    assert colours[cable.argmax(), :3] == pytest.approx([0.99, 0.91, 0.14], abs=0.05)  # the bright end of viridis
    page.scene.colour_by("status")
    page.session.selection.choose([17])
    page.walk.status_chosen.emit("ok")
    row = page.scene.neurons.rows[17]
    assert page.scene.colours[row, 1] > page.scene.colours[row, 0]


@pytest.mark.slow
def test_filters(panel, page, viewer) -> None:
    page.finder.search.setText("9000")
    page.finder.changed.emit()
    assert page.model.ids[page.model.order].tolist() == [90003]
    assert "1 of 4 neurons" in page.summary.text()
    page.finder.search.clear()
    page.finder.least.setValue(float(np.sort(page.scene.columns[1].values)[2]) - 0.1)
    page.finder.changed.emit()
    assert len(page.model.order) == 2
    page.finder.least.setValue(0)
    page.finder.view_only.setChecked(True)
    page.session.selection.choose([5])
    page.focus()
    page.finder.changed.emit()
    assert 5 in page.model.ids[page.model.order]
    viewer.scene.camera.center = (0, 1e7, 1e7)
    page.finder.changed.emit()
    assert len(page.model.order) == 0


def test_point_44_tags_are_undone(page) -> None:
    said: list[Any] = []
    page.session.said.connect(lambda text, undo: said.append((text, undo)))
    page.session.selection.choose([17, 90003])
    page.walk.status_chosen.emit("split")
    page.walk.noted.emit("two somata")
    before = page.set.review.path.read_bytes()
    page.session.selection.choose([17])
    page.walk.status_chosen.emit("ok")
    assert page.model.text(page.model.place(page.scene.neurons.rows[17]), len(page.model.columns) + 1) == "ok"
    assert said[-1][0] == "Neuron 17 marked ok"
    said[-1][1]()
    assert page.set.review.path.read_bytes() == before
    assert page.walk.status.currentData() == "split"
    assert page.walk.note.text() == "two somata"


def test_neurons_are_merged_and_split_and_both_undone(panel, page, viewer) -> None:
    selection, fold = page.session.selection, page.revising.fold
    said: list[Any] = []
    page.session.said.connect(lambda text, undo: said.append(undo))
    assert not fold.merge.isEnabled()
    selection.choose([17, 90003])
    fold.merge.click()
    settle(panel, lambda: page.model.ids.size == 3)
    assert selection.ids == (17,)
    assert "merged by hand" in page.walk.card.text()
    assert "1 merged" in fold.said.text()
    page.next_branch()
    fold.split.click()
    settle(panel, lambda: page.model.ids.size == 4)
    assert selection.ids == (17, 2**40 + 1)
    said[-1]()
    settle(panel, lambda: page.model.ids.size == 3)
    fold.undo.click()
    settle(panel, lambda: page.model.ids.size == 4)
    assert sorted(page.model.ids.tolist()) == sorted(IDS)
    assert not fold.undo.isEnabled()


@pytest.mark.slow
def test_exports_are_written_in_the_background(panel, page, tmp_path: Path) -> None:
    from segkit.tracing import read_swc

    fold = page.writing_out.fold
    fold.button.click()
    assert not fold.export.isHidden()
    assert fold.body.isVisibleTo(fold)
    page.session.selection.choose([17])
    page.finder.search.setText("9000, 17")
    page.finder.changed.emit()
    for scope, count in (("selected", 1), ("filtered", 2), ("all", 4)):
        fold.scope.setCurrentIndex(fold.scope.findData(scope))
        fold.wanted.emit(tmp_path / scope)
        settle(panel, lambda: fold.export.isEnabled())
        assert len(list((tmp_path / scope).glob("*.swc"))) == count
        assert f"{count} written" in fold.said.text()
        assert not fold.folder.isHidden()
    assert read_swc(tmp_path / "selected" / "17.swc")[0].id == 17


@pytest.mark.slow
def test_errors_are_listed_and_flown_to(panel, page, viewer, tmp_path: Path) -> None:
    (tmp_path / "errors").mkdir()
    (tmp_path / "errors" / "errors.csv").write_text(
        "kind,z_nm,y_nm,x_nm,lost_nm,cable_nm,skeletons,segments\nsplit,100,200,300,40,50,7,17 5\nmerger,4,5,6,30,20,1 2,99\n"
    )
    page.comparing.show(tmp_path / "errors")
    fold = page.comparing.fold
    settle(panel, lambda: fold.list.topLevelItemCount() == 2)
    assert fold.said.text() == "1 splits, 1 mergers, 0 omissions"
    viewer.dims.ndisplay = 3
    fold.list.setCurrentItem(fold.list.topLevelItem(0))
    page.scene.camera.arrive()
    np.testing.assert_allclose(viewer.scene.camera.center, (100, 200, 300))
    assert page.session.selection.ids == (17, 5)


@pytest.mark.slow
def test_images_are_planes_in_3d_and_small_cubes_where_asked(panel, page, viewer) -> None:
    raw = viewer.layers["raw"]
    viewer.dims.ndisplay = 3
    assert raw.depiction == "plane"
    page.toggle_plane()
    assert not raw.visible
    page.toggle_plane()
    assert raw.visible
    page.session.selection.choose([17])
    place = np.asarray(raw.translate) + np.asarray(raw.scale) * (np.asarray(raw.data.shape) // 2)
    page.scene.place = lambda: place
    page.cut_out()
    settle(panel, lambda: "cut-out" in roles(viewer))
    cube = roles(viewer)["cut-out"]
    assert max(cube.data.shape) <= 256
    viewer.dims.ndisplay = 2
    assert raw.depiction == "volume"


@pytest.mark.slow
def test_the_table_pops_out(page, viewer) -> None:
    page.popped.toggle()
    assert "segkit traces" in viewer.window.dock_widgets
    page.session.selection.choose([17])
    assert [len(table.selected()) for table in page.popped.tables] == [1, 1]
    page.popped.toggle()
    assert "segkit traces" not in viewer.window.dock_widgets


@pytest.mark.slow
def test_the_page_is_remembered(panel, page) -> None:
    page.scene.colour_by("cable")
    page.buttons.slices.setValue(7)
    state = page.state()
    page.set = None
    page.restore(state)
    settle(panel, lambda: page.set is not None)
    assert page.scene.by == "cable"
    assert page.finder.colour.currentData() == "cable"
    assert page.scene.drawing.slices == 7


def wait_for(panel: Any, kind: str, seconds: float = 120) -> Any:
    job = panel.session.jobs.of(kind)
    assert job is not None
    settle(panel, lambda: not job.active and job.state != "queued", seconds)
    assert job.state == "done", job.report()
    return job


@pytest.mark.slow
def test_edits_are_applied_and_errors_found_by_real_commands(viewer, tmp_path: Path) -> None:
    import segkit
    from napari_segkit.panel._panel import Panel

    panel = Panel(viewer, tmp_path / "project")
    viewer.window.add_dock_widget(panel, name="segkit")
    page = panel.page("Traces")
    labels = np.zeros((12, 12, 60), np.uint64)
    labels[4:7, 4:7, 2:28] = 7
    labels[4:7, 4:7, 28:58] = 9
    project = panel.session.project
    volume = segkit.Volume.from_array(labels, voxel_size=(10.0, 10.0, 10.0), unit="nm")
    segkit.write_volume(volume, project.place("segmentations") / "cut.zarr", labels=True)
    segkit.write_volume(volume.with_array(np.minimum(labels, 7), "zyx"), tmp_path / "whole.zarr", labels=True)
    segkit.trace(tmp_path / "whole.zarr", "skeleton", out_dir=tmp_path / "truth")
    segkit.trace(project.folder / "segmentations" / "cut.zarr", "skeleton", out_dir=project.folder / "traces" / "cut")
    panel.session.results_changed.emit()
    settle(panel, lambda: page.set is not None and page.set.name == "cut")
    errors = page.comparing.fold
    errors.open()
    errors.skeletons.choose(tmp_path / "truth")
    errors.compare.click()
    wait_for(panel, "evaluate")
    settle(panel, lambda: page.comparing.errors is not None)
    assert page.comparing.errors.kinds == ["split"]
    errors.list.setCurrentItem(errors.list.topLevelItem(0))
    assert page.session.selection.ids == (7, 9)
    page.revising.fold.open()
    page.revising.fold.merge.click()
    settle(panel, lambda: page.model.ids.size == 1)
    page.revising.fold.apply.click()
    job = wait_for(panel, "mend")
    mended = segkit.open_volume(job.output).read()
    assert set(np.unique(mended).tolist()) == {0, int(page.model.ids[0])}
    assert "cut-mended" in [errors.segmentation.combo.itemText(at) for at in range(errors.segmentation.combo.count())]
    panel.close_down()


@pytest.mark.slow
def test_point_42_a_million_nodes_stay_usable(panel, viewer, tmp_path: Path) -> None:
    import psutil
    from qtpy.QtWidgets import QApplication

    page, process = panel.page("Traces"), psutil.Process()
    folder = written(tmp_path / "million", [neuron(at + 1, 5_000, at, box=60_000, branch=200) for at in range(200)])
    before, start = process.memory_info().rss, perf_counter()
    opened(panel, page, folder)
    seconds = perf_counter() - start
    grown = (process.memory_info().rss - before) / 2**20
    drawn = roles(viewer)["all"]
    assert len(drawn.data) <= 200_000
    start = process_time()
    for _ in range(5):
        drawn.get_value((1000.0, 2000.0, 3000.0), view_direction=None, dims_displayed=[1, 2], world=True)
    hover = (process_time() - start) / 5
    start = process_time()
    page.scene.colour_by("cable")
    QApplication.processEvents()
    recolour = process_time() - start
    start = process_time()
    found = page.scene.pick(node_of(page, 100, 2500), (1.0, 0.2, 0.1), 30.0)
    pick = process_time() - start
    print(
        f"1e6 nodes: open {seconds:.1f} s, hover {1000 * hover:.1f} ms, recolour {recolour:.2f} s, click {pick:.2f} s, +{grown:.0f} MiB"
    )
    assert found is not None
    assert found[0] == 100
    assert hover < 0.05
    assert recolour < 0.5
    assert grown < 1024


def test_the_viewer_is_given_back(page, viewer) -> None:
    from napari_segkit.traces._drawing import Drawing

    page.close_down()
    assert [callback.__name__ for callback in viewer.mouse_double_click_callbacks] == ["double_click_to_zoom"]
    assert not any(layer.locked for layer in viewer.layers)
    assert roles(viewer)
    Drawing(viewer).clear()  # the page is opened again: its layers come in place of these
    assert not roles(viewer)


@pytest.mark.slow
def test_everything_fits_into_a_narrow_dock(page) -> None:
    for fold in (page.revising.fold, page.comparing.fold, page.writing_out.fold):
        fold.open()
        fold.show()
    page.writing_out.fold.segmentation.show()
    assert page.minimumSizeHint().width() <= 300
