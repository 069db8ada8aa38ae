"""From an empty viewer to a focused neuron: every click is a real one, counted, and the window is watched for stalls.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/first_success.py PICTURES

The sample volume is opened, a small network is trained on it, the whole of it is predicted, cut into objects and traced, and
a neuron is brought into view. Goals: at most 8 clicks, less than 3 minutes on 2 cores, no stall of the window over 200 ms;
and the time left that is said at half of the training is right within 30 %, and all layers agree in units and axes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from qtpy.QtCore import QElapsedTimer, QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_segkit.panel._panel import Panel

SIZE = (1440, 900)
MOST_SECONDS = 600


class StallWatch:
    """The longest time for which the window did not answer, by what was going on."""

    def __init__(self) -> None:
        self.worst: dict[str, float] = {}
        self.gaps: list[float] = []
        self.doing = "starting"
        self._clock = QElapsedTimer()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(5)

    def restart(self, doing: str) -> None:
        """Count from now on for something else."""
        self.doing = doing
        self._clock.restart()

    def _tick(self) -> None:
        if self._clock.isValid():
            gap = float(self._clock.nsecsElapsed()) / 1e6
            self.gaps.append(gap)
            self.worst[self.doing] = max(self.worst.get(self.doing, 0.0), gap)
        self._clock.restart()

    def stop(self) -> None:
        """Watch no more."""
        self._timer.stop()


class Person:
    """Somebody who clicks, looks and waits.

    Parameters
    ----------
    pictures
        Folder for what is seen; None takes none.
    """

    def __init__(self, pictures: Path | None) -> None:
        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(*SIZE)
        self.pictures, self.clicks, self.seen = pictures, 0, 0
        self.began = time.monotonic()
        self.guess = 0.0  # time left that was said at half of the training, over what it took
        self.watch = StallWatch()
        self.panel: Any = None

    def click(self, widget: QWidget, what: str, where: QPoint | None = None, double: bool = False) -> None:
        """Click into the middle of a widget; it has to be seen and enabled."""
        if not (widget.isVisible() and widget.isEnabled()):
            raise SystemExit(f"{what} cannot be clicked")
        self.clicks += 1
        self.watch.restart(what)
        press = QTest.mouseDClick if double else QTest.mouseClick
        press(widget, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, where or widget.rect().center())
        self.wait(0.5)
        print(f"{time.monotonic() - self.began:6.1f} s  click {self.clicks}: {what}", flush=True)

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Let the window work until something is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            QApplication.processEvents()
            time.sleep(0.002)
            if self.panel is not None and not self.panel.banner.isHidden():
                raise SystemExit(f"{self.panel.banner.sentence.text()}\n{self.panel.banner.details.toPlainText()}")

    def look(self, name: str) -> None:
        """Take a picture; the time for it does not count as a stall."""
        self.seen += 1
        self.wait(0.3)  # what is under way still counts
        if self.pictures is not None:
            self.pictures.mkdir(parents=True, exist_ok=True)
            path = self.pictures / f"first_{self.seen}_{name}.png"
            self.viewer.screenshot(path=str(path), canvas_only=False, flash=False)
            self.watch.restart(self.watch.doing)


def main(pictures: Path | None) -> int:
    """Do it, print what it took, and return whether the goals were missed."""
    person = Person(pictures)
    with tempfile.TemporaryDirectory(prefix="neurites-") as folder:
        panel = person.panel = Panel(person.viewer, Path(folder) / "neurites-01")
        person.viewer.window.add_dock_widget(panel, name="segkit", area="right")
        person.wait(1.0)
        person.began = time.monotonic()
        try:
            walk(person, panel)
            grids = {(layer.units, layer.axis_labels) for layer in person.viewer.layers}
        finally:
            panel.close_down()
            person.watch.stop()
        seconds = time.monotonic() - person.began
    gaps = sorted(person.watch.gaps)
    worst = max(person.watch.worst.items(), key=lambda pair: pair[1])
    print(
        f"{person.clicks} clicks, {seconds:.0f} s, longest stall {worst[1]:.0f} ms ({worst[0]}), p99 {gaps[int(0.99 * len(gaps))]:.0f} ms"
    )
    print(
        f"at half of the training {person.guess:.0%} of the time left was said; kinds of units and axes: {len(grids)}"
    )
    for doing, stall in sorted(person.watch.worst.items(), key=lambda pair: -pair[1]):
        print(f"  {stall:5.0f} ms  {doing}")
    person.viewer.close()
    missed = person.clicks > 8 or seconds > 180 or worst[1] > 200 or abs(person.guess - 1) > 0.3 or len(grids) > 1
    return int(missed)


def walk(person: Person, panel: Any) -> None:
    """Click through everything."""
    bar, pages = panel.tabs.tabBar(), panel.pages

    def tab(title: str) -> None:
        person.click(bar, f"the page {title}", bar.tabRect(list(pages).index(title)).center())

    data, train, predict, traces = (pages[title] for title in ("Data", "Train", "Predict", "Traces"))
    person.click(data.ready.next, "the sample volume")
    person.wait(60, lambda: all(check.ready for check in panel.session.data.checks()))
    person.look("data")
    person.click(data.ready.next, "go on to Train")
    person.click(train.setup.preset_buttons["Quick look"], "Quick look")
    person.click(train.train_button, "Train")
    person.wait(MOST_SECONDS, lambda: train.run is not None and train.run.progress.step >= 100)
    person.look("training")
    [job] = panel.session.jobs.open
    person.wait(MOST_SECONDS, lambda: 2 * job.done >= job.total)
    said, began = job.seconds_left, time.monotonic()
    person.wait(MOST_SECONDS, lambda: train.run is not None and train.run.progress.state == "finished")
    person.guess = said / (time.monotonic() - began)
    person.wait(2)
    person.look("trained")
    tab("Predict")
    person.wait(60, predict.run_all.button.isEnabled)
    person.look("predict")
    person.click(predict.run_all.button, "Run all")
    person.wait(MOST_SECONDS, lambda: traces.set is not None)
    person.wait(1)
    person.look("traces")
    person.click(
        traces.table.viewport(), "a neuron", traces.table.visualRect(traces.model.index(0, 1)).center(), double=True
    )
    person.wait(2)
    person.look("focused")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
