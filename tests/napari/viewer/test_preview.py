"""The live preview: it asks for what is on show, shows answers where they belong, and never old ones as new."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def preview(viewer, add_volumes, tmp_path):
    from napari_segkit.train._preview import LivePreview

    made = LivePreview(viewer)
    made.follow(tmp_path / "run", viewer.layers["raw"], "raw.zarr")
    yield made
    made.close()


def asked(run: Path) -> dict:
    from napari_segkit.session._writing import writer

    writer.finish()
    return json.loads((run / "preview" / "request.json").read_text())


def answer(run: Path, step: int, request: dict, value: int = 200, number: int = 1) -> dict:
    """Write what the trainer would."""
    path = run / "preview" / f"prediction-{step}-{number}.npy"
    np.save(path, np.full((2, *request["shape"]), value, np.uint8))
    keys = {"step": step, "path": str(path), "request": request["request"], "seconds": 0.4}
    return {"event": "preview", **keys, "start": request["start"], "shape": request["shape"]}


def test_it_asks_for_the_slice_on_show(preview, viewer, tmp_path, qtbot) -> None:
    first = asked(tmp_path / "run")
    assert first["shape"][0] == 1
    assert first["start"][0] == viewer.dims.current_step[0]
    assert first["every"] == 50
    viewer.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: asked(tmp_path / "run")["start"][0] == 2, timeout=2000)
    assert asked(tmp_path / "run")["request"] != first["request"]


def test_point_33_an_old_answer_is_never_shown_as_new(preview, viewer, tmp_path, qtbot) -> None:
    run = tmp_path / "run"
    old = asked(run)
    assert preview.show_answer(answer(run, 10, old))
    assert preview.text == "Preview of step 10, 0.4 s"
    viewer.dims.set_current_step(0, 2)
    assert "updating" in preview.text  # at once
    qtbot.waitUntil(lambda: asked(run)["start"][0] == 2, timeout=2000)
    assert preview.show_answer(answer(run, 20, old, number=2))
    assert "updating" in preview.text
    assert (
        preview.layer.translate[0]
        == viewer.layers["raw"].translate[0] + old["start"][0] * viewer.layers["raw"].scale[0]
    )
    assert preview.show_answer(answer(run, 30, asked(run), number=3))
    assert preview.text == "Preview of step 30, 0.4 s"


def test_an_answer_that_was_replaced_is_not_shown(preview, tmp_path) -> None:
    run = tmp_path / "run"
    record = answer(run, 10, asked(run))
    Path(record["path"]).unlink()
    assert not preview.show_answer(record)
    assert preview.layer is None


def test_the_layer_lies_on_the_image_and_cannot_be_painted(preview, viewer, tmp_path) -> None:
    run, image = tmp_path / "run", viewer.layers["raw"]
    active = viewer.layers.selection.active
    assert preview.show_answer(answer(run, 10, asked(run)))
    layer = preview.layer
    assert not layer.editable
    assert tuple(layer.scale) == tuple(image.scale)
    assert layer.units == image.units
    assert layer.axis_labels == image.axis_labels
    assert viewer.layers.selection.active == active
    assert int(layer.data.max()) == 200
    data = layer.data
    assert preview.show_answer(answer(run, 20, asked(run), value=90, number=2))
    assert layer.data is data  # in place, which keeps its looks
    assert int(layer.data.max()) == 90


def test_preview_now_asks_again_and_at_once(preview, tmp_path) -> None:
    before = asked(tmp_path / "run")
    preview.ask(now=True)
    now = asked(tmp_path / "run")
    assert now["now"]
    assert now["request"] != before["request"]
    assert now["start"] == before["start"]


def test_a_box_around_the_slice_may_be_asked_for(preview, viewer, tmp_path) -> None:
    preview.set_options(enabled=True, every=10, whole_box=True)
    wish = asked(tmp_path / "run")
    depth = viewer.layers["raw"].data.shape[0]
    assert wish["shape"][0] == min(16, depth)
    assert wish["every"] == 10
    assert preview.show_answer(answer(tmp_path / "run", 5, wish))


def test_switched_off_it_asks_for_nothing_and_hides(preview, viewer, tmp_path, qtbot) -> None:
    run = tmp_path / "run"
    assert preview.show_answer(answer(run, 10, asked(run)))
    preview.set_options(enabled=False, every=50, whole_box=False)
    assert not preview.layer.visible
    before = asked(run)
    viewer.dims.set_current_step(0, 1)
    qtbot.wait(400)
    assert asked(run) == before


def test_in_3d_nothing_is_asked_for(preview, viewer, tmp_path, qtbot) -> None:
    before = asked(tmp_path / "run")
    viewer.dims.ndisplay = 3
    preview.ask()
    assert asked(tmp_path / "run") == before


def test_the_layer_of_an_image_is_found(viewer, add_volumes, raw_volume) -> None:
    from napari_segkit.layers import volume_of_layer
    from napari_segkit.train._preview import layer_of_image

    image = viewer.layers["raw"]
    assert layer_of_image(viewer, volume_of_layer(image), "") == image
    assert layer_of_image(viewer, None, "elsewhere.zarr") is None
    image.metadata = {"segkit": {"source": "elsewhere.zarr"}}
    assert layer_of_image(viewer, None, "elsewhere.zarr") == image
