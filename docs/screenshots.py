"""Drive the napari panel through a real training and take the pictures of the manual.

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/screenshots.py docs/images

It takes some minutes: the network is really trained, and the traces are really traced.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari  # noqa: TID253
from qtpy.QtWidgets import QApplication  # noqa: TID253

from napari_segkit._panel import Panel

SIZE = (1440, 900)
TRAINING = {"steps": 300, "validate_every": 20}


def wait(seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Let the window work, for so long or until something is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        QApplication.processEvents()
        time.sleep(0.01)


def main(folder: Path) -> None:
    """Take all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    viewer.open_sample("segkit-sdk", "tiny_neurites")

    def picture(name: str) -> None:
        wait(1.5)
        viewer.screenshot(path=str(folder / f"{name}.png"), canvas_only=False, flash=False)

    def problem() -> bool:
        if not panel.banner.isHidden():
            raise SystemExit(f"{panel.banner.sentence.text()}\n{panel.banner.details.toPlainText()}")
        return False

    project = Path(tempfile.gettempdir()) / "neurites-01"
    shutil.rmtree(project, ignore_errors=True)
    try:
        panel = Panel(viewer, project)
        viewer.window.add_dock_widget(panel, name="segkit", area="right")
        wait(1)
        form = panel.train_page.recipe
        form.pickers["architecture"].set_table({"name": "unet", "width": 8, "depth": 2})
        form.sections["sampling"].set_values({"patch_shape": (12, 48, 48), "batch_size": 1})
        form.sections["optimizer"].set_values({"learning_rate": 5e-3})
        form.sections["training"].set_values(TRAINING)
        picture("dock_before")

        viewer.layers["neurite labels"].visible = False
        viewer.layers.selection.active = viewer.layers["neurites"]
        panel.train()
        enough = TRAINING["steps"] // 2
        wait(900, lambda: problem() or panel.follower.progress.step >= enough)
        picture("dock_training")
        panel.job.stop()
        wait(60, lambda: problem() or not panel.job.running)

        panel.tabs.setCurrentIndex(1)
        panel.results.trace()
        wait(300, lambda: problem() or "traces" in viewer.layers)
        for layer in viewer.layers:
            layer.visible = layer.name.startswith("traces") or layer.name == "neurites"
        viewer.layers["neurites"].depiction = "plane"
        viewer.layers["neurites"].opacity = 0.5
        viewer.layers["neurites"].plane.position = tuple(n / 2 for n in viewer.layers["neurites"].data.shape)
        viewer.reset_view()
        viewer.scene.camera.angles = (8, -32, 128)
        viewer.scene.camera.zoom *= 0.8
        picture("traces_3d")
        panel.close_down()
    finally:
        shutil.rmtree(project, ignore_errors=True)
    viewer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images"))
