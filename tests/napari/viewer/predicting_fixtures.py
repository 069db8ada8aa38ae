"""A project with an untrained model and the docked panel, for the tests of the page Predict."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    from toy_model import make_image, make_run

    folder = tmp_path_factory.mktemp("toy")
    make_run(folder / "runs" / "run-1")
    make_image(folder / "image.zarr", (16, 96, 96))
    return folder


@pytest.fixture
def project(toy: Path, tmp_path: Path) -> Path:
    shutil.copytree(toy / "runs", tmp_path / "project" / "runs")
    return tmp_path / "project"


@pytest.fixture
def docked(viewer, project: Path, toy: Path):
    """The panel with its page Predict shown, and an image open."""
    from napari_segkit.layers import add_layers, create_layers, open_layers
    from napari_segkit.panel._panel import Panel

    [image] = add_layers(viewer, create_layers(open_layers(str(toy / "image.zarr"))))
    image.colormap = "gray"
    made = Panel(viewer, project)
    viewer.window.add_dock_widget(made, name="segkit")
    made.show_page("Predict")
    yield made
    made.close_down()
    for job in made.session.jobs:
        job.force()


@pytest.fixture
def page(docked):
    return docked.page("Predict")


@pytest.fixture
def larger(tmp_path: Path) -> Path:
    from toy_model import make_image

    return make_image(tmp_path / "larger.zarr", (32, 128, 128))
