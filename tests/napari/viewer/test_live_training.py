"""The page Train with real trainings: watched live, paused, continued, stopped, and no stall meanwhile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stall_watch import StallWatch

from segkit.durable import read_records

pytestmark = pytest.mark.slow
SECOND = 1000


@pytest.fixture
def panel(viewer, add_volumes, tmp_path: Path):
    from napari_segkit.layers import volume_of_layer
    from napari_segkit.panel._panel import Panel

    made = Panel(viewer, tmp_path / "project")
    viewer.window.add_dock_widget(made, name="segkit")
    made.show_page("Train")
    data = made.session.data
    data.choose_image(volume_of_layer(viewer.layers["raw"]))
    data.choose_labels(volume_of_layer(viewer.layers["labels"]))
    yield made
    jobs = list(made.session.jobs)
    made.close_down()
    for job in jobs:
        if job.process is not None:
            job.process.kill()


@pytest.fixture
def page(panel):
    made = panel.page("Train")
    assert made.setup.pickers["task"].choose("semantic")
    made.setup.choose_preset("Quick look")
    made.setup.pickers["architecture"].form.set_values({"width": 4, "depth": 1})
    made.setup.patch.set_value((4, 16, 16))
    made.setup.batch.setValue(1)
    made.setup.sections["split"].set_values({"share": 0.25})
    made.setup.sections["training"].set_values({"validate_every": 20})
    return made


def problems_of(panel) -> list:
    found: list = []
    panel.session.problem.connect(lambda problem: found.append(problem.sentence))
    return found


def test_points_8_9_13_32_33_a_training_is_watched_paused_and_continued(panel, page, viewer, qtbot) -> None:
    problems = problems_of(panel)
    page.setup.steps.setValue(100_000)
    assert page.train_button.isEnabled(), page.reason.text()
    page.preview_row.every.setValue(5)
    page.train_button.click()
    assert page.train_button.text() != "Train"  # at once
    qtbot.waitUntil(lambda: page.run is not None or bool(problems), timeout=60 * SECOND)
    assert not problems
    qtbot.waitUntil(lambda: page.run.progress.step >= 10, timeout=120 * SECOND)
    assert page.pause_button.isVisibleTo(page)
    assert page.curves.points[0] == len(page.run.progress.losses)

    preview = page.watching.preview
    seen: set[bytes] = set()
    with StallWatch() as watch:
        qtbot.waitUntil(
            lambda: preview.layer is not None and (seen.add(bytes(preview.layer.data.tobytes())) or len(seen) >= 3),
            timeout=120 * SECOND,
        )
    assert not preview.layer.editable
    # Draws by software on a busy machine take long by themselves; the panel's own work is a small share of it.
    assert watch.quantile(0.5) < 0.05, watch.longest
    step = viewer.dims.current_step[0]
    wanted = step - 1 if step else step + 1
    viewer.dims.set_current_step(0, wanted)
    assert "updating" in preview.text
    qtbot.waitUntil(lambda: preview.box is not None and preview.box.start[0] == wanted, timeout=30 * SECOND)

    page.model_sees.open()
    qtbot.waitUntil(lambda: not page.model_sees.pictures["output"].pixmap().isNull(), timeout=60 * SECOND)

    page.pause_button.click()
    assert not page.pause_button.isEnabled()
    job = panel.session.jobs.of("train")
    qtbot.waitUntil(lambda: job.state == "paused", timeout=60 * SECOND)
    qtbot.waitUntil(lambda: page.train_button.isVisibleTo(page), timeout=10 * SECOND)
    stopped = page.run.progress.step
    assert page.trainings.checkpoints(page.run.folder)[-1] == stopped
    assert page.train_button.text() == "Continue run-1"
    page.train_button.click()
    qtbot.waitUntil(lambda: page.run.progress.step > stopped, timeout=120 * SECOND)
    page.stop_button.click()
    qtbot.waitUntil(lambda: job.state == "stopped", timeout=60 * SECOND)
    assert not problems
    records, _ = read_records(page.run.folder / "journal.jsonl")
    shown = [record["seconds"] for record in records if record["event"] in ("preview", "patch")]
    trained = sum(record["seconds"] for record in records if record["event"] == "step")
    # A tenth of the time, but for what is saved up: in each of both beginnings, some answers ahead.
    journalled_every = 100_000 // 2000
    assert sum(shown) < 0.1 * (trained * journalled_every + sum(shown)) + 2 * (0.5 + 3 * max(shown))


def test_new_labels_are_used_from_the_next_step_on(panel, page, viewer, qtbot) -> None:
    from napari_segkit.layers import volume_of_layer

    problems = problems_of(panel)
    page.setup.steps.setValue(100_000)
    page.train_button.click()
    qtbot.waitUntil(lambda: page.run is not None and page.run.progress.step >= 5, timeout=120 * SECOND)
    first = page.run.folder
    labels = viewer.layers["labels"]
    labels.data[2] = 0
    panel.session.data.choose_labels(volume_of_layer(labels))
    assert page.new_labels.isVisibleTo(page)
    page.new_labels.click()
    qtbot.waitUntil(lambda: page.run.folder != first or page.run.progress.data_changes > 0, timeout=120 * SECOND)
    before = page.run.progress.step
    qtbot.waitUntil(lambda: page.run.progress.step > before, timeout=120 * SECOND)
    assert not problems
    if page.run.folder != first:
        start = json.loads((page.run.folder / "run.json").read_text())["start"]
        assert start["run"] == str(first)
        assert start["step"] >= 5
    page.stop_button.click()
    qtbot.waitUntil(lambda: not panel.session.jobs.active, timeout=60 * SECOND)


def test_a_patch_is_measured_before_an_automatic_training(panel, page, qtbot) -> None:
    problems = problems_of(panel)
    page.setup.patch.set_value(None)
    page.setup.steps.setValue(3)
    page.train_button.click()
    assert page.train_button.text().startswith("Trying a step")
    qtbot.waitUntil(lambda: page.run is not None or bool(problems), timeout=120 * SECOND)
    assert not problems
    assert "s a step" in page.setup.patch.said.text()
    assert "on cpu" in page.estimate.text()
    qtbot.waitUntil(lambda: page.run.progress.state == "finished", timeout=120 * SECOND)
    qtbot.waitUntil(lambda: page.train_button.isVisibleTo(page), timeout=30 * SECOND)
    assert page.start_from.count() == 3
    page.start_from.setCurrentIndex(1)
    assert "Raise Steps" in page.reason.text()
    page.setup.steps.setValue(6)
    page.train_button.click()
    qtbot.waitUntil(lambda: page.run.progress.step == 6, timeout=120 * SECOND)
    assert not problems
