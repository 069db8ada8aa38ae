"""A napari viewer for tests, or one clear reason why there is none.

napari's pytest plugin is blocked for the other tests, so its fixtures are taken from where they are. Modules here import
napari and Qt inside their tests only, so that they can be collected and skipped where there is neither.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import pytest

os.environ.setdefault("NAPARI_CONFIG", "")  # the developer's own settings stay as they are
HERE = Path(__file__).parent
PACKAGES = "libegl1 libgl1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libdbus-1-3 xvfb"


def _problem() -> str:
    try:
        import napari  # noqa: F401
        import pyqtgraph  # noqa: F401
        import pytestqt  # noqa: F401
        from qtpy import QtWidgets  # noqa: F401
    except Exception as error:
        return f"no viewer here ({' '.join(str(error).split())[:120]}): pip install 'segkit-sdk[napari]' pyside6-essentials; apt-get install {PACKAGES}"
    return ""


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    PROBLEM = _problem()
    if not PROBLEM:
        from napari.utils._testsupport import (  # noqa: F401
            _clean_themes,
            _disable_qt_warnings,
            make_napari_viewer,
            make_napari_viewer_proxy,
            mock_app_model,
            pytest_runtest_makereport,
        )


def pytest_configure(config: pytest.Config) -> None:
    for option in ("--save-leaked-object-graph", "--show-napari-viewer"):
        setattr(config.option, option, False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Not before: pytest-xvfb may have brought a display along. Without one Qt would abort the whole process.
    no_display = sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    problem = PROBLEM or (f"no display here: apt-get install {PACKAGES}, or run below xvfb-run" if no_display else "")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.viewer)
            if problem:
                item.add_marker(pytest.mark.skip(reason=problem))


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    """A viewer that raises when a plugin touches what is private or comes from another thread."""
    return make_napari_viewer_proxy()


@pytest.fixture
def components(isolated_plugins):
    """A small set of components, so that no test here depends on which plugins are finished or installed."""
    import small_plugin

    import segkit

    segkit.register(small_plugin, "small")
    return small_plugin


@pytest.fixture
def add_volumes(viewer, raw_volume, labels_volume):
    """Add the image and its labels to the viewer, as layers in memory."""
    from napari.layers import Layer

    from napari_segkit.layers._layers import layers_of

    for volume, name in ((raw_volume, "raw"), (labels_volume, "labels")):
        for layer in layers_of(volume, name=name):
            viewer.add_layer(Layer.create(*layer))


@pytest.fixture
def panel(viewer, components, add_volumes, tmp_path):
    """The docked panel, with an image and labels open."""
    from napari_segkit.panel._panel import Panel

    made = Panel(viewer, tmp_path / "project")
    viewer.window.add_dock_widget(made, name="segkit")
    yield made
    made.close_down()
