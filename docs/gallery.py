"""Drive the viewer's dock through sixteen states and take the pictures of the manual.

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/gallery.py docs/images/viewer

It takes some minutes: the network is really trained, and the traces are really traced.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari  # noqa: TID253
from napari.settings import get_settings  # noqa: TID253
from qtpy.QtWidgets import QApplication  # noqa: TID253

from napari_segkit.panel._panel import Panel
from napari_segkit.session import Job, Problem
from napari_segkit.session._failures import problem_of_job

SIZE, SMALL = (1440, 900), (1280, 800)
# What is painted for the picture: a membrane (1) and the inside of a cell (2), as (label, y, x) of each dab.
STROKES = [(1, y, 82 - y // 14) for y in range(8, 51, 3)]
STROKES += [(2, y, x) for y in range(26, 51, 6) for x in range(34, 59, 6)]


class Gallery:
    """A viewer with a dock, and pictures of it.

    Parameters
    ----------
    folder
        Where the pictures go.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(*SIZE)
        self.project = Path(tempfile.gettempdir()) / "neurites-01"
        shutil.rmtree(self.project, ignore_errors=True)
        self.panel: Any = None
        self.open()

    def open(self) -> None:
        """Open the project in a new dock."""
        if self.panel is not None:
            self.viewer.window.remove_dock_widget(self.panel)
            self.panel.close_down()
        self.panel = Panel(self.viewer, self.project)
        self.viewer.window.add_dock_widget(self.panel, name="segkit", area="right")
        self.wait(1)

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False, *, strict: bool = False) -> None:
        """Let the window work, for so long or until something is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            QApplication.processEvents()
            time.sleep(0.005)
            if strict and not self.panel.banner.isHidden():
                raise SystemExit(f"{self.panel.banner.sentence.text()}\n{self.panel.banner.details.toPlainText()}")
        if strict and not until():
            raise SystemExit("It took too long.")

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true, or end with what went wrong."""
        self.wait(900, condition, strict=True)

    def picture(self, name: str) -> None:
        """Take a picture of the whole window."""
        self.wait(1.2)
        self.viewer.screenshot(path=str(self.folder / f"{name}.png"), canvas_only=False, flash=False)
        print(name, flush=True)  # noqa: T201

    def page(self, title: str) -> Any:
        """Show a page and return it."""
        self.panel.show_page(title)
        self.wait(0.3)
        return self.panel.page(title)

    # ---- the states

    def data(self) -> None:
        """An empty viewer, the sample, and a box that is painted in."""
        page = self.page("Data")
        self.picture("01_empty")
        page.ready.next.click()
        self.until(lambda: all(check.ready for check in self.panel.session.data.checks()))
        self.viewer.layers["neurite labels"].visible = False
        self.viewer.layers.selection.active = self.viewer.layers["neurites"]
        self.picture("02_opened")
        page.truth.paint.click()
        self.viewer.layers["neurites"].visible = True
        page.truth.new_box()
        self.wait(1)
        box = self.viewer.layers.selection.active
        z = round(box.world_to_data(self.viewer.dims.point)[0])
        for label, y, x in STROKES:
            box.selected_label = label
            box.paint((z, y, x), label)
        self.wait(2.5)
        self.picture("03_painting")
        for layer in [layer for layer in self.viewer.layers if not layer.name.startswith("neurite")]:
            layer.visible = False
        page.truth.load.click()
        self.wait(0.5)

    def training(self) -> None:
        """A training: its beginning, its middle, a pause, and an error."""
        page = self.page("Train")
        page.setup.preset_buttons["Quick look"].click()
        page.train_button.click()
        self.until(lambda: self.panel.session.jobs.of("train") is not None)
        self.wait(1)
        self.picture("04_training_starts")
        self.until(lambda: page.run is not None and page.run.progress.step >= 110)
        self.picture("05_training_with_preview")
        page.pause_button.click()
        job = self.panel.session.jobs.of("train")
        self.until(lambda: job.state == "paused")
        self.picture("06_paused")
        self.panel.session.report(self.memory_problem(job))
        self.picture("07_memory_error")
        self.panel.banner.hide()
        for widget in QApplication.allWidgets():
            if type(widget).__name__ == "NapariQtNotification":
                widget.close()
        self.panel.session.jobs.resume(job)
        self.until(lambda: job.state == "done")

    def memory_problem(self, job: Job) -> Problem:
        """Return what a GPU that is too small would have said."""
        failed = Job(job.folder, "train", job.title, job.arguments, job.output)
        message = "A patch of (32, 128, 128) runs out of memory on cuda:0 (NVIDIA RTX A2000, 12 GB). Use a smaller one."
        failed.failure = {"type": "UsageError", "message": message}
        problem = problem_of_job(failed)
        return Problem(problem.sentence, problem.details, problem.fixes[:1], problem.page)

    def predicting(self) -> None:
        """The whole volume is predicted, and cut into objects at a threshold that is seen before."""
        self.hide("live preview")
        page = self.page("Predict")
        page.choice.region.kind.setCurrentIndex(page.choice.region.kind.count() - 1)
        page.choice.options.set_values({"block": (8, 32, 32)})
        self.wait(2)
        page.button.click()
        job = self.panel.session.jobs.of("predict")
        self.until(lambda: job.done >= job.total // 3 > 0 or job.state == "done")
        self.picture("08_predicting_with_block_map")
        self.until(lambda: job.state == "done")
        self.wait(1)
        page.instances.preview.setChecked(True)
        self.wait(3)
        self.picture("09_threshold_preview")
        page.instances.preview.setChecked(False)
        page.run_all.ticks["predict"].setChecked(False)
        page.run_all.button.click()
        self.until(lambda: self.panel.page("Traces").set is not None)

    def traces(self) -> None:
        """Traces in 3D, and one neuron of them."""
        page = self.page("Traces")
        self.viewer.dims.ndisplay = 3
        for layer in self.viewer.layers:
            layer.visible = layer.name in ("neurites", "traces") or "trace" in layer.name
        self.viewer.reset_view()
        self.viewer.scene.camera.angles = (10, 30, 60)
        self.picture("10_traces_3d")
        page.table.selectRow(0)
        self.wait(0.5)
        page.focus()
        self.wait(1)
        self.picture("11_one_neuron_focused")

    def looks(self) -> None:
        """The light theme, a small window, and large letters."""
        self.viewer.theme = "light"
        self.page("Train")
        self.picture("12_light_theme")
        self.viewer.theme = "dark"
        self.viewer.window.resize(*SMALL)
        self.page("Traces")
        self.picture("13_window_1280x800")
        self.page("Data")
        self.picture("13_window_1280x800_data")
        self.viewer.window.resize(*SIZE)
        appearance = get_settings().appearance
        appearance.font_size += 4
        self.page("Train")
        self.picture("14_font_plus_4")
        appearance.font_size -= 4

    def jobs(self) -> None:
        """Two jobs at once, and the same project found again."""
        session = self.panel.session
        run = session.project.runs[0]
        source, again = session.project.folder / "layers", session.project.free("predictions", "again", ".zarr")
        image = next(path for path in source.iterdir() if "label" not in path.name)
        recipe = run / "recipe.toml"
        second = session.project.new_run()
        session.jobs.start("train", f"train {second.name}", ["train", str(recipe), "--run", str(second)], second)
        predict = ["predict", str(run), str(image), str(again), "--block", "8", "16", "16"]
        session.jobs.start("predict", "predict again", predict, again)
        self.page("Predict")
        self.until(lambda: all(job.total for job in session.jobs.active))
        self.wait(2)
        self.picture("15_two_jobs")
        for job in session.jobs.active:
            job.stop("paused")
        self.until(lambda: not session.jobs.active)
        self.open()
        self.picture("16_project_restored")

    def hide(self, name: str) -> None:
        """Hide a layer, if there is one."""
        if name in self.viewer.layers:
            self.viewer.layers[name].visible = False

    def close(self) -> None:
        """Close everything."""
        self.panel.close_down()
        self.viewer.close()


def main(folder: Path) -> None:
    """Take all pictures."""
    gallery = Gallery(folder)
    try:
        for state in (gallery.data, gallery.training, gallery.predicting, gallery.traces, gallery.looks, gallery.jobs):
            state()
    finally:
        gallery.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/viewer"))
