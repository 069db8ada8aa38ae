"""The page Predict with real commands: outputs fill in, are killed and go on, and stages follow each other."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from predicting import SECOND, choose, finished
from stall_watch import StallWatch

pytest_plugins = ("predicting_fixtures",)
pytestmark = pytest.mark.slow


def test_points_8_35_and_36_an_output_fills_in_while_the_window_moves(page, viewer, qtbot, larger: Path) -> None:
    from napari_segkit.layers import layers_showing
    from napari_segkit.session.predictions._ledger import is_complete

    choose(page, larger, (8, 16, 16), qtbot)
    estimate = page.estimator.estimate
    assert estimate.blocks == 256
    began = time.monotonic()
    seen_at, areas = [], []

    def look() -> bool:
        layers = layers_showing(viewer, path)
        ledger = page.live.ledgers.get(path)
        if layers and ledger is not None:
            seen_at.append(ledger.counts[0])
            areas.append(int(np.count_nonzero(np.asarray(layers[0].data[28, :, :]))))
        return job.state in ("done", "failed")

    with StallWatch() as watch:
        page.button.click()
        (job,) = page.session.jobs.open
        path = job.output
        qtbot.waitUntil(look, timeout=120 * SECOND)
        qtbot.wait(1500)
    elapsed = time.monotonic() - began
    assert job.state == "done", job.report()
    print(f"layer seen at {seen_at[0]} of 256 blocks; {page.live.refreshes} refreshes in {elapsed:.1f} s; {watch}")
    assert seen_at[0] < 64
    assert areas[0] < areas[-1]
    assert 1 <= page.live.refreshes <= elapsed + 1
    assert is_complete(path)
    assert page.live.ledgers[path].counts == (256, 0, 256)
    written = sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and "c" in file.parts)
    print(f"estimated {estimate.disk} bytes, written {written}")
    assert 0.9 < estimate.disk / written < 1.1
    layer = layers_showing(viewer, path)[0]
    assert (layer.blending, tuple(layer.contrast_limits)) == ("additive", (0.0, 1.0))
    assert layer.units == viewer.layers["image"].units


def test_point_14_a_killed_prediction_is_offered_and_goes_on(page, viewer, qtbot, larger: Path, tmp_path: Path) -> None:
    from napari_segkit.session.predictions._ledger import DONE
    from segkit.opening import open_volume

    choose(page, larger, (8, 16, 16), qtbot)
    page.button.click()
    (job,) = page.session.jobs.open
    ledgers = page.live.ledgers
    far = lambda: job.output in ledgers and ledgers[job.output].counts[0] >= 100  # noqa: E731
    qtbot.waitUntil(lambda: far() or job.state == "failed", timeout=60 * SECOND)
    assert far(), job.report()
    job.process._process.send_signal(signal.SIGKILL)
    qtbot.waitUntil(lambda: job.state == "failed", timeout=20 * SECOND)
    qtbot.waitUntil(lambda: job.output in page.interrupted.rows, timeout=20 * SECOND)
    qtbot.wait(1000)
    from qtpy.QtWidgets import QLabel, QPushButton

    row = page.interrupted.rows[job.output]
    assert "% done" in row.findChild(QLabel).text()
    resume, over = row.findChildren(QPushButton)
    assert (resume.text(), over.text()) == ("Resume", "Start over")
    before = ledgers[job.output].states == DONE
    assert 100 <= before.sum() < 256
    assert not page.progress.isHidden()
    resume.click()
    finished(page, qtbot)
    qtbot.wait(1000)
    assert page.interrupted.rows == {}
    words = ["segkit", *job.arguments]
    words[words.index(str(job.output))] = str(tmp_path / "clean.zarr")
    subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True)
    assert np.array_equal(open_volume(tmp_path / "clean.zarr").read(), open_volume(job.output).read())


def test_all_stages_run_and_survive_a_new_viewer(page, docked, viewer, qtbot, larger: Path) -> None:
    from napari_segkit.panel._panel import Panel

    choose(page, larger, (16, 32, 32), qtbot)
    page.instances.method.choose("components")
    page.instances.smallest.setValue(30)
    page.tracing.smallest.setValue(200)
    page.run_all.button.click()
    (job,) = page.session.jobs.open
    assert [stage["kind"] for stage in job.extra["then"]] == ["segment", "trace"]
    page.jobs_changed()
    assert page.run_all.button.text() == "Stop after this step"
    assert "Make traces" in page.run_all.text.text()
    folder = page.session.project.folder
    docked.close_down(keep=True)
    viewer.window.remove_dock_widget(docked)

    again = Panel(viewer, folder)
    viewer.window.add_dock_widget(again, name="segkit")
    try:
        project = again.session.project
        qtbot.waitUntil(
            lambda: (bool(project.results("traces")) and not again.session.jobs.active) or not again.banner.isHidden(),
            timeout=120 * SECOND,
        )
        assert again.banner.isHidden(), again.banner.report()
        qtbot.waitUntil(lambda: list(again.pages)[again.tabs.currentIndex()] == "Traces", timeout=5 * SECOND)
        (segmentation,) = project.results("segmentations")
        (traces,) = project.results("traces")
        assert list(traces.glob("*.swc"))
        assert any(layer.metadata.get("segkit", {}).get("source") == str(segmentation) for layer in viewer.layers)
    finally:
        again.close_down()


def test_a_name_that_is_taken_is_left_alone(page, qtbot, docked, larger: Path) -> None:
    choose(page, larger, (16, 64, 64), qtbot)
    page.button.click()
    (job,) = page.session.jobs.open
    job.output.mkdir(parents=True)
    (job.output / "mine.txt").write_text("not yours")
    qtbot.waitUntil(lambda: job.state == "failed", timeout=60 * SECOND)
    qtbot.waitUntil(lambda: not docked.banner.isHidden(), timeout=5 * SECOND)
    (beside, *_) = docked.banner.fixes
    assert beside.text() == "Write beside it"
    beside.click()
    finished(page, qtbot)
    assert (job.output / "mine.txt").read_text() == "not yours"
    assert job.output.with_name(f"{job.output.stem}-2.zarr").is_dir()
    shutil.rmtree(job.output)
