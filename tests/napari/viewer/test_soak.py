"""The dock under long use: opened and closed again and again, and everything clicked."""

from __future__ import annotations

import gc
import os
import random
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

SOAK_SECONDS = float(os.environ.get("SEGKIT_SOAK_SECONDS", "40"))
# They open windows of the system, end the session, or leave the viewer.
LEFT_OUT = ("Browse", "Open or make", "Show its folder", "Open folder", "Save", "Export", "Choose", "Close", "Load")


def resident() -> float:
    return psutil.Process().memory_info().rss / 2**20


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_point_47_opening_and_closing_twenty_times_leaves_nothing(
    viewer, components, add_volumes, tmp_path: Path, qtbot
) -> None:
    from qtpy.QtWidgets import QApplication

    from napari_segkit.panel._panel import Panel

    def once() -> None:
        panel = Panel(viewer, tmp_path / "project")
        viewer.window.add_dock_widget(panel, name="segkit")
        for index in range(panel.tabs.count()):
            panel.tabs.setCurrentIndex(index)
            qtbot.wait(30)
        viewer.window.remove_dock_widget(panel)
        panel.close_down()
        panel.deleteLater()

    def counts() -> tuple[int, int, int]:
        for _ in range(5):
            qtbot.wait(50)
            gc.collect()
        children = [child for child in psutil.Process().children() if "segkit" in " ".join(child.cmdline())]
        return len(QApplication.allWidgets()), threading.active_count(), len(children)

    for _ in range(3):
        once()
    before, memory = counts(), resident()
    for _ in range(20):
        once()
    after = counts()
    print("widgets, threads, children", before, after, f"memory {memory:.0f} -> {resident():.0f} MiB")
    assert after[0] <= before[0] + 20
    assert after[1] <= before[1] + 1
    assert after[2] == before[2] == 0
    assert resident() < memory + 50


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_point_7_everything_can_be_clicked(viewer, components, add_volumes, tmp_path: Path, qtbot) -> None:
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QAbstractButton, QApplication, QComboBox, QDialog

    from napari_segkit.panel._panel import Panel

    panel = Panel(viewer, tmp_path / "project")
    panel.resize(400, 860)
    panel.show()  # in a window of its own: what is hidden cannot be clicked
    draw, clicks = random.Random(7), 0

    def dismiss() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, QDialog):
            dialog.reject()

    timer = QTimer()
    timer.timeout.connect(dismiss)
    timer.start(100)
    references, end = sys.getrefcount(None), time.monotonic() + SOAK_SECONDS
    while time.monotonic() < end:
        panel.tabs.setCurrentIndex(draw.randrange(panel.tabs.count()))
        page = panel.tabs.currentWidget()
        buttons = [
            button
            for button in page.findChildren(QAbstractButton)
            if button.isVisible()
            and button.isEnabled()
            and not button.text().startswith(LEFT_OUT)
            and not getattr(button, "menu", lambda: None)()
        ]
        if buttons:
            draw.choice(buttons).click()
            clicks += 1
        combos = [combo for combo in page.findChildren(QComboBox) if combo.isVisible() and combo.count()]
        if combos and draw.random() < 0.2:
            combo = draw.choice(combos)
            combo.setCurrentIndex(draw.randrange(combo.count()))
        qtbot.wait(30)
    timer.stop()
    print(f"{clicks} clicks, references of None {references} -> {sys.getrefcount(None)}")
    assert clicks > SOAK_SECONDS
    assert sys.getrefcount(None) > references / 2, "a Qt binding loses references"
    panel.close_down()
    panel.close()
