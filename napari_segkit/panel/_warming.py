"""What would make the window stop with the first layers, done before that in a thread."""

from __future__ import annotations

import gc
import threading
from contextlib import suppress
from typing import Any

__all__ = ["warm_up"]


def warm_up(viewer: Any) -> None:
    """Begin to load what the first image and labels need: xarray, the compiled colours and the lines of labels.

    That is a second of work, which napari does in the thread of the window when a layer asks for it. The units, which
    may not be loaded by two threads at once, are loaded here and now.

    Before and after that, everything that lives is put aside from Python's search for unreachable objects, which stops all
    threads and takes a quarter of a second for the modules of napari and what it needs. `gc.unfreeze` takes that back. A
    viewer that holds layers already is left as it is, because layers that are removed are found by that search.
    """
    with suppress(ImportError):
        import pint

        pint.get_application_registry().Unit("nm")  # type: ignore[no-untyped-call]

    def put_aside() -> None:
        if not viewer.layers:
            gc.freeze()

    def work() -> None:
        with suppress(ImportError):  # napari can do without xarray, and may do without the other
            _load()
        put_aside()

    put_aside()
    threading.Thread(target=work, name="segkit-warm-up", daemon=True).start()


def _load() -> None:
    import numpy as np
    import xarray  # noqa: F401 (napari looks whether the data are one of its arrays)
    from napari.utils.colormaps import label_colormap
    from vispy.visuals.line.dash_atlas import DashAtlas  # type: ignore[import-untyped]

    DashAtlas()  # the patterns of lines, which are kept
    label_colormap(49).map(np.zeros((1, 1), np.uint8))
