"""What would make the window stop with the first layers, done before that."""

from __future__ import annotations

import gc
import sys
import threading
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer

__all__ = ["prepare_canvas", "prepare_process"]

DRAWN_MS = 40
"""Until something was drawn that is taken away again."""

SWITCH_SECONDS = 0.0005
"""How long a thread may compute when another one waits."""

COMPILED = ("tensorstore", "scipy", "cc3d", "edt", "fastremap")
"""Packages with large compiled libraries, 120 MB in all, that the first image needs."""


def prepare_process() -> None:
    """Let the window go on soon while another thread computes, and load the units, which two threads may not at once.

    Whoever draws gives way to other threads with each call of OpenGL, and would wait 5 ms each time.

    A thread reads the large compiled libraries, so that they are in memory when they are loaded: all threads wait
    while Python loads one, for 1.6 s where it still lies on the disk.
    """
    _read_ahead()
    sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_SECONDS))
    with suppress(ImportError):
        import pint

        pint.get_application_registry().Unit("nm")  # type: ignore[no-untyped-call]


def prepare_canvas(viewer: Any) -> None:
    """Get ready for layers, which napari does in the thread of the window when a layer asks for it.

    It draws its letters, for which the first points wait even without a text: here for a text of one space. Then a
    thread loads what the first image and labels need: xarray, the compiled colours, the lines of labels and what reads
    volumes, a second of work. Not both at once, as each would wait for the other.
    """
    _put_aside(viewer)
    overlay, taken_away = viewer.canvas.overlays.text, {}
    if not overlay.visible:
        taken_away = {"text": overlay.text, "visible": False}
        overlay.text, overlay.visible = " ", True

    def work() -> None:
        with suppress(ImportError):  # napari can do without xarray, and may do without the other
            _load()
        _put_aside(viewer)

    def go_on() -> None:
        overlay.update(taken_away)
        threading.Thread(target=work, name="segkit-warm-up", daemon=True).start()

    QTimer.singleShot(DRAWN_MS, go_on)


def _put_aside(viewer: Any) -> None:
    """Put everything that lives aside from Python's search for unreachable objects.

    That search stops all threads and takes a quarter of a second for the modules of napari and what it needs;
    `gc.unfreeze` takes this back. A viewer that holds layers already is left as it is, because layers that are removed
    are found by that search.
    """
    if not viewer.layers:
        gc.freeze()


@cache
def _read_ahead() -> None:
    threading.Thread(target=_read_libraries, name="segkit-read-ahead", daemon=True).start()


def _read_libraries() -> None:
    for name in COMPILED:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            continue
        place = Path(spec.origin)
        beside = (place.parent, place.parent.with_name(f"{name}.libs")) if place.suffix == ".py" else ()
        for path in [path for folder in beside for path in folder.glob("*.so*")] or [place]:
            with suppress(OSError), path.open("rb", buffering=0) as file:
                while file.read(1 << 22):
                    pass


def _load() -> None:
    import numpy as np
    from napari.utils.colormaps import label_colormap
    from vispy.visuals.line.dash_atlas import DashAtlas  # type: ignore[import-untyped]

    for name in ("xarray", "scipy.ndimage", "tensorstore"):  # napari looks whether data are an array of the first
        import_module(name)
    DashAtlas()  # the patterns of lines, which are kept
    label_colormap(49).map(np.zeros((1, 1), np.uint8))
