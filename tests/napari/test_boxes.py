"""Annotation boxes: where they lie, that they survive, and what a training gets of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import segkit
from napari_segkit.session import Boxes, Project
from napari_segkit.session.images._data import Data
from napari_segkit.session.images._painted import split
from segkit import Volume
from segkit.errors import DataError, StorageError, UsageError


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


@pytest.fixture
def image(tmp_path: Path, rng: np.random.Generator) -> Volume:
    made = Volume(
        rng.integers(0, 255, (24, 48, 48), dtype=np.uint8),
        voxel_size=(40.0, 8.0, 8.0),
        offset=(400.0, 80.0, 80.0),
        unit="nm",
    )
    return segkit.write_volume(made, tmp_path / "em.zarr", pyramid=1)


def painted(data: Data, image: Volume, shape: tuple[int, int, int] = (8, 16, 16), centre: float = 12.0):
    box = data.boxes.new(image, (centre,) * 3, shape)
    box.voxels[2, :8] = 1
    box.voxels[2, 8:] = 2
    return box


def test_a_box_is_moved_and_cut_into_the_image(project: Project, image: Volume) -> None:
    boxes = Boxes(project)
    inside = boxes.new(image, (12, 24, 24), (8, 16, 16))
    corner = boxes.new(image, (0, 47, -5), (8, 16, 16))
    large = boxes.new(image, (12, 24, 24))
    assert str(inside.box) == "z8:16, y16:32, x16:32"
    assert str(corner.box) == "z0:8, y32:48, x0:16"
    assert str(large.box) == "z0:24, y0:48, x0:48"
    assert [box.name for box in boxes.of(image)] == ["box 1", "box 2", "box 3"]
    assert inside.offset(image) == (400 + 8 * 40, 80 + 16 * 8, 80 + 16 * 8)


def test_what_is_saved_comes_back(project: Project, image: Volume) -> None:
    data = Data(project)
    box = painted(data, image)
    data.boxes.set_classes(["background", "membrane", "vesicle"])
    assert box.dirty
    data.boxes.saver(box, image)()
    assert not box.dirty
    box.voxels[3] = 2
    assert box.dirty, "painted after it was saved"
    data.boxes.set_role(box, "check")
    data.boxes.rename(box, "soma / left")
    data.boxes.saver(box, image)()
    again = Boxes(project)
    again.read()
    [found] = again.all
    assert (found.name, found.role, found.start, found.image) == ("soma / left", "check", box.start, image.source)
    assert np.array_equal(found.voxels, box.voxels)
    assert found.counts == {1: 128, 2: 384}
    assert again.classes == ["background", "membrane", "vesicle"]
    assert len(list(project.folder.glob("annotations/*.zarr"))) == 1, "the save before is gone"
    stored = segkit.open_volume(project.folder / "annotations" / found.store)
    assert (stored.offset, stored.voxel_size) == (box.offset(image), image.voxel_size)


def test_a_late_save_does_not_replace_a_newer_one(project: Project, image: Volume) -> None:
    boxes = Boxes(project)
    box = boxes.new(image, (4, 4, 4), (8, 16, 16))
    late = boxes.saver(box, image)  # its thread gets no turn
    box.voxels[3] = 2
    boxes.saver(box, image)()
    late()
    assert box.counts == {2: 256}
    again = Boxes(project)
    again.read()
    assert np.array_equal(again.all[0].voxels, box.voxels)


def test_a_crash_while_saving_leaves_the_save_before(
    project: Project, image: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = Boxes(project)
    box = boxes.new(image, (4, 4, 4), (8, 16, 16))
    box.voxels[:] = 1
    boxes.saver(box, image)()
    box.voxels[:] = 2
    save = boxes.saver(box, image)
    with monkeypatch.context() as patch:
        patch.setattr(boxes, "write_index", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            save()
    again = Boxes(project)
    again.read()
    assert (again.all[0].voxels == 1).all()


def test_a_save_that_fails_at_the_index_is_tried_again(
    project: Project, image: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes = Boxes(project)
    box = boxes.new(image, (4, 4, 4), (8, 16, 16))
    box.voxels[:] = 1
    with monkeypatch.context() as patch:
        patch.setattr(boxes, "write_index", lambda: (_ for _ in ()).throw(StorageError("full")))
        with pytest.raises(StorageError):
            boxes.saver(box, image)()
    assert box.dirty
    boxes.saver(box, image)()
    again = Boxes(project)
    again.read()
    assert (again.all[0].voxels == 1).all()


def test_removing_is_undone_exactly(project: Project, image: Volume) -> None:
    data = Data(project)
    first, second = painted(data, image), painted(data, image, centre=4)
    for box in (first, second):
        data.boxes.saver(box, image)()
    before = (project.folder / "annotations" / "boxes.json").read_bytes()
    files = {path: path.read_bytes() for path in project.folder.glob("annotations/**/*") if path.is_file()}
    undo = data.boxes.remove(first)
    assert data.boxes.all == [second]
    assert len(json.loads((project.folder / "annotations" / "boxes.json").read_text())["boxes"]) == 1
    undo()
    assert data.boxes.all == [first, second]
    assert (project.folder / "annotations" / "boxes.json").read_bytes() == before
    assert {path: path.read_bytes() for path in project.folder.glob("annotations/**/*") if path.is_file()} == files


def test_damaged_boxes_are_named_and_the_others_read(project: Project, image: Volume) -> None:
    data = Data(project)
    first, second = painted(data, image), painted(data, image, centre=4)
    for box in (first, second):
        data.boxes.saver(box, image)()
    (project.folder / "annotations" / first.store / "zarr.json").write_text("torn")
    again = Boxes(project)
    with pytest.raises(DataError, match=r"1 painted boxes cannot be read. box 1"):
        again.read()
    assert [box.name for box in again.all] == ["box 2"]
    again.write_index()
    index = json.loads((project.folder / "annotations" / "boxes.json").read_text())
    assert {box["name"] for box in index["boxes"]} == {"box 1", "box 2"}, "a damaged box is not forgotten"
    (project.folder / "annotations" / "boxes.json").write_text("{")
    with pytest.raises(DataError, match=r"boxes.json is damaged"):
        Boxes(project).read()


def test_names_are_unique(project: Project, image: Volume) -> None:
    boxes = Boxes(project)
    first, second = boxes.new(image, (0, 0, 0), (2, 4, 4)), boxes.new(image, (0, 0, 0), (2, 4, 4))
    assert not boxes.rename(second, first.name)
    assert not boxes.rename(second, "  ")
    assert boxes.rename(second, "axon")


def test_what_is_held_out_is_a_far_end_of_what_is_painted() -> None:
    voxels = np.zeros((4, 20, 50), np.uint16)
    voxels[1, 3:6, 10:50] = 1
    train, check = split(voxels)
    assert np.array_equal(train + check, voxels)
    assert not (train.astype(bool) & check.astype(bool)).any()
    assert 0.14 < np.count_nonzero(check) / np.count_nonzero(voxels) < 0.19
    assert np.flatnonzero(check.any((0, 1))).min() == 44
    single = np.zeros((4, 4, 4), np.uint16)
    single[1, 1, 1] = 1
    assert not split(single)[1].any(), "nothing that could be cut"


def test_a_training_gets_painted_boxes(project: Project, image: Volume) -> None:
    data = Data(project)
    data.choose_image(image)
    with pytest.raises(UsageError, match="Paint a part of the image"):
        data.writer()
    box = painted(data, image)
    data.boxes.saver(box, image)()
    tables = data.writer()()
    assert set(tables) == {"dataset", "validation_dataset", "split"}
    assert tables["split"] == {"share": 0.0}
    assert data.writer()() == tables, "the same painting is written once"
    [train] = segkit.datasets["files"](**{key: value for key, value in tables["dataset"].items() if key != "name"})
    [check] = segkit.datasets["files"](
        **{key: value for key, value in tables["validation_dataset"].items() if key != "name"}
    )
    patch, held = train.read(train.raw.box), check.read(check.raw.box)
    assert np.array_equal(patch.raw[0], image.read(box.box))
    assert np.array_equal(patch.mask | held.mask, box.voxels != 0)
    assert not (patch.mask & held.mask).any()
    assert np.array_equal(patch.labels[patch.mask], box.voxels[patch.mask] - 1), "classes count from 0"
    box.voxels[4] = 2
    assert data.writer()()["dataset"]["labels"] != tables["dataset"]["labels"], "a run keeps what it began with"


def test_a_box_that_cannot_be_saved_keeps_no_other_from_it(
    project: Project, image: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Data(project)
    data.choose_image(image)
    first, second = painted(data, image), painted(data, image, centre=4)
    for box in (first, second):
        data.boxes.saver(box, image)()
        box.voxels[4] = 1
    write, write_index, failures = data.writer(), data.boxes.write_index, [StorageError("full")]

    def fails_once() -> None:
        if failures:
            raise failures.pop()
        write_index()

    monkeypatch.setattr(data.boxes, "write_index", fails_once)
    with pytest.raises(StorageError):
        write()
    assert first.dirty
    again = Boxes(project)
    again.read()
    assert np.array_equal(again.named(second.name).voxels, second.voxels)


def test_boxes_with_the_role_check_are_held_out(project: Project, image: Volume) -> None:
    data = Data(project)
    data.choose_image(image)
    first, second = painted(data, image), painted(data, image, centre=4)
    for box in (first, second):
        data.boxes.saver(box, image)()
    data.choose_hold_out("boxes")
    assert [check.sentence for check in data.checks() if not check.ready] == ["No painted box has the role Check"]
    data.boxes.set_role(second, "check")
    tables = data.writer()()
    [check] = segkit.datasets["files"](**{k: v for k, v in tables["validation_dataset"].items() if k != "name"})
    assert np.array_equal(check.raw.read(), image.read(second.box))


def test_a_voxel_size_that_people_know_better(project: Project, image: Volume) -> None:
    data = Data(project)
    data.choose_image(image)
    assert data.size_from == "file"
    box = painted(data, image)
    data.boxes.saver(box, image)()
    data.set_voxel_size((33.0, 4.0, 4.0))
    assert (data.image.voxel_size, data.image.offset, data.size_from) == ((33.0, 4.0, 4.0), image.offset, "you")
    assert box.dirty
    tables = data.writer()()
    assert tables["dataset"]["voxel_size"] == [33.0, 4.0, 4.0]
    [train] = segkit.datasets["files"](**{k: v for k, v in tables["dataset"].items() if k != "name"})
    assert np.array_equal(train.raw.read(), image.read(box.box)), "boxes move along"
    with pytest.raises(UsageError, match="above 0"):
        data.set_voxel_size((0.0, 1.0, 1.0))


def test_an_image_without_voxel_size_and_a_box_at_its_corner(project: Project, rng: np.random.Generator) -> None:
    data = Data(project)
    data.choose_image(Volume(rng.integers(0, 255, (8, 20, 20), dtype=np.uint8), source="drawing"))
    box = painted(data, data.image, centre=0)
    data.boxes.saver(box, data.image)()
    assert any(check.advice and "assumed" in check.sentence for check in data.checks())
    tables = data.writer()()
    [train] = segkit.datasets["files"](**{k: v for k, v in tables["dataset"].items() if k != "name"})
    assert np.array_equal(train.raw.read(), data.image.read(box.box))
    assert (train.raw.unit, box.start) == ("voxel", (0, 0, 0))


def test_advice_on_what_is_painted_little(project: Project, image: Volume) -> None:
    data = Data(project)
    data.choose_image(image)
    box = painted(data, image)
    data.boxes.saver(box, image)()
    data.boxes.set_classes(["background", "membrane"])
    words = {check.sentence: check for check in data.checks()}
    found = words["membrane: 128 voxels, at least 500 advised"]
    assert found.ready
    assert found.advice
    assert (found.fix.key, found.fix.value, found.fix.label) == ("go_to_box", "box 1", "Go to box 1")
