"""The page Data, docked by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

import segkit
from segkit import Volume, write_volume


@pytest.fixture
def make_page(viewer, components, tmp_path, qtbot):
    """Dock the page of a project."""
    import segkit_datasets
    import segkit_formats
    from napari_segkit.data import DataPage
    from napari_segkit.session import Session

    for plugin in (segkit_formats, segkit_datasets):
        segkit.register(plugin)
    made = []

    def make(folder: Path = tmp_path / "project"):
        session = Session(folder)
        session.open()
        page = DataPage(viewer, session)
        page.problems, page.said = [], []
        session.problem.connect(page.problems.append)
        session.said.connect(lambda text, undo: page.said.append((text, undo)))
        page.reset_choices = lambda event=None: page.layers_changed()
        page.events = (viewer.layers.events.inserted, viewer.layers.events.removed, viewer.layers.events.reordered)
        for event in page.events:
            event.connect(page.reset_choices)
        viewer.window.add_dock_widget(page, name="data")

        def until(condition, timeout=10_000):
            def check():
                session.poll()
                return condition()

            try:
                qtbot.waitUntil(check, timeout=timeout)
            except Exception:
                print("PROBLEMS", page.problems, viewer.layers, [(j.kind, j.state, j.report()) for j in session.jobs])
                raise

        page.until, page.close_all = until, lambda: close(page)
        made.append(page)
        return page

    yield make
    for page in made:
        close(page)


@pytest.fixture
def stored(tmp_path, raw_volume) -> Volume:
    return write_volume(raw_volume, tmp_path / "em.zarr")


@pytest.fixture
def page(make_page, stored):
    page = make_page()
    page.image.source.open(stored.source)
    page.until(lambda: page.session.data.image is not None)
    return page


def close(page) -> None:
    for event in page.events:
        event.disconnect(page.reset_choices)
    if page.events:
        page.close_down()
        page.session.close()
    page.events = ()
