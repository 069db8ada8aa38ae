"""The live overlay in a viewer: quick steps of the slider, and a window that keeps moving."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from predicting import SECOND
from stall_watch import StallWatch

SHAPE = (12, 512, 512)
TILE = (1, 128, 128)


class Slow:
    """Answers like the child that holds a model, a tile each 15 ms: its first voxels are z + 1."""

    running = False

    def open(self, model, source, tile, *, fractions, device):
        return {"tile": list(TILE), "shape": list(SHAPE), "channels": ["foreground"], "dtype": "uint8"}

    def tile(self, opened, box):
        time.sleep(0.015)
        z = np.arange(box.start[0], box.stop[0], dtype=np.uint8)[:, None, None] + 1
        return np.broadcast_to(z, (1, *box.shape)).copy()


@pytest.fixture
def overlay(viewer, tmp_path: Path):
    from qtpy.QtCore import QTimer

    from napari_segkit.predict._overlay import LiveOverlay
    from napari_segkit.session import Session

    session = Session(tmp_path / "project")
    viewer.add_image(np.zeros(SHAPE, np.uint8), contrast_limits=(0, 255), name="image")
    made = LiveOverlay(viewer, session, Slow())
    timer = QTimer()
    timer.setInterval(50)
    timer.timeout.connect(session.poll)
    timer.start()
    yield made
    timer.stop()
    made.stop()
    session.close()


def start(overlay, qtbot):
    from napari_segkit.session.images._region import Level
    from napari_segkit.session.predictions._models import ModelCard

    size, start = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    card = ModelCard(Path("model"), "semantic", "unet", {}, size, "voxel", 1)
    overlay.start(card.package, card, Level("image.zarr", size, SHAPE, "voxel", start))
    qtbot.waitUntil(lambda: overlay.tiles is not None, timeout=10 * SECOND)


def test_tile_overlay_quick_steps_compute_a_part_and_what_is_seen_is_filled(overlay, viewer, qtbot) -> None:
    start(overlay, qtbot)
    (layer,) = overlay.layers
    refreshes = []
    layer.events.set_data.connect(lambda event: refreshes.append(time.monotonic()))
    qtbot.waitUntil(lambda: overlay.tiles.waiting == 0, timeout=10 * SECOND)
    qtbot.wait(300)
    before = overlay.tiles.computed
    began, refreshes[:] = time.monotonic(), []
    with StallWatch() as watch:
        for z in range(12):
            viewer.dims.set_current_step(0, z)
            qtbot.wait(30)
        qtbot.waitUntil(lambda: bool((np.asarray(layer.data[11]) == 12).all()), timeout=10 * SECOND)
        qtbot.wait(400)
    computed = overlay.tiles.computed - before
    print(
        f"12 steps over slices of 16 tiles: {computed} of 192 computed, {len(refreshes)} drawings in "
        f"{time.monotonic() - began:.1f} s, {watch}"
    )
    assert computed < 120
    assert (np.asarray(layer.data[11]) == 12).all()
    assert overlay.tiles.waiting == 0


def test_another_model_starts_anew_and_a_failure_takes_the_overlay_away(overlay, viewer, qtbot, monkeypatch) -> None:
    said = []
    overlay._session.problem.connect(said.append)
    start(overlay, qtbot)
    qtbot.waitUntil(lambda: overlay.tiles.waiting == 0, timeout=10 * SECOND)

    def broken(opened, box):
        raise OSError("the image went away")

    monkeypatch.setattr(overlay._answers, "tile", broken)
    viewer.dims.set_current_step(0, 0)
    qtbot.waitUntil(lambda: bool(said), timeout=10 * SECOND)
    assert len(said) == 1
    assert "the image went away" in said[0].sentence
    assert not overlay.on
    assert [layer.name for layer in viewer.layers] == ["image"]
