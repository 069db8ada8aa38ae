"""Models, levels, regions, ledgers and the three stages, without a window; the commands are the real ones."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from toy_model import make_image, make_run

from napari_segkit.session import Job, Session
from napari_segkit.session._writing import writer
from napari_segkit.session.images._region import levels_of, nearest_level, region_text, scaled_box, size_warning, slab
from napari_segkit.session.predictions._answers import Answering
from napari_segkit.session.predictions._ledger import DONE, EMPTY, FAILED, RUNNING, Ledger, has_ledger, is_complete
from napari_segkit.session.predictions._models import model_with_hash, packages_in, read_card
from napari_segkit.session.predictions._predictions import Prediction, again, options_of
from napari_segkit.session.predictions._slice_objects import Slicer, size_histogram
from napari_segkit.session.predictions._stages import Stages, stem_of
from segkit.durable import append_record
from segkit.errors import DataError, SegkitError
from segkit.geometry import Box
from segkit.opening import open_volume


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    """A project with one run, and an image beside it."""
    folder = tmp_path_factory.mktemp("toy")
    make_run(folder / "project" / "runs" / "run-1")
    make_image(folder / "image.zarr")
    return folder


@pytest.fixture
def session(toy: Path, tmp_path: Path):
    shutil.copytree(toy / "project", tmp_path / "project")
    made = Session(tmp_path / "project")
    made.open()
    yield made
    made.close()


def begin(path: Path, shape=(8, 8, 12), block=(4, 4, 4)) -> Path:
    """Write the plan of an output without any voxels."""
    (path / ".segkit").mkdir(parents=True)
    plan = {"shape": [2, *shape], "block_shape": block}
    (path / ".segkit" / "plan.json").write_text(json.dumps({"plan": plan}))
    return path


def test_a_card_says_what_the_model_is(toy: Path) -> None:
    run = toy / "project" / "runs" / "run-1"
    assert packages_in(run) == {"best": run / "model"}
    card = read_card(run / "model")
    assert (card.task, card.architecture, card.voxel_size) == ("boundaries", "unet", (40.0, 16.0, 16.0))
    assert card.lines() == [
        "unet, width 4, depth 1 · boundaries",
        "40 × 16 × 16 nm",
        "step 150 · dice boundary 0.73",
    ]
    assert card.predicts
    assert card.fractions
    with pytest.raises(DataError, match="no model that can be read"):
        read_card(toy)


def test_the_level_nearest_to_the_training_is_found_and_others_are_warned_of(tmp_path: Path) -> None:
    image = make_image(tmp_path / "pyramid.zarr", (8, 64, 64), pyramid=2)
    volume = open_volume(image)
    levels = levels_of(volume)
    assert [level.voxel_size for level in levels][:1] == [(40.0, 16.0, 16.0)]
    assert nearest_level(levels, (40.0, 16.0, 16.0), "nm") == 0
    assert size_warning(levels[0], (40.0, 16.0, 16.0), "nm") == ""
    assert "expect poor results" in size_warning(levels[0], (40.0, 40.0, 40.0), "nm")
    assert size_warning(levels[0], (1.0, 1.0, 1.0), "voxel") == ""


def test_regions_stay_inside_and_are_said_as_the_command_takes_them(toy: Path) -> None:
    (level,) = levels_of(open_volume(toy / "image.zarr"))
    box = slab(Box((15, 0, 0), (16, 30, 40)), 6, level.shape)
    assert box == Box((10, 0, 0), (16, 30, 40))
    assert region_text(box, level.shape) == "z10:16, y0:30, x0:40"
    assert region_text(Box.of_shape(level.shape), level.shape) == ""
    assert Box.parse(region_text(box, level.shape), Box.of_shape(level.shape)) == box
    assert scaled_box(Box((0, 5, 5), (1, 6, 1000)), level) == Box((0, 5, 5), (1, 6, 64))


def test_a_ledger_tells_done_failed_running_and_empty_blocks(tmp_path: Path) -> None:
    output = begin(tmp_path / "out.zarr")
    journal = output / ".segkit" / "journal.jsonl"
    ledger = Ledger(output)
    assert ledger.counts == (0, 0, 12)
    append_record(journal, {"level": 0, "block": 3, "hash": "a"})
    append_record(journal, {"level": 0, "failed": 5, "reason": "no"})
    append_record(journal, {"level": 1, "block": 0, "hash": "b"})
    assert ledger.update() == [3]
    assert ledger.update() == []
    assert ledger.line() == "8 % done, 1 failed"
    grid = ledger.grid(running=True)
    assert grid.shape == (2, 2, 3)
    assert (grid.flat[0], grid.flat[1], grid.flat[3], grid.flat[5]) == (RUNNING, EMPTY, DONE, FAILED)
    append_record(journal, {"level": 0, "block": 5, "hash": "c"})
    assert ledger.update() == [5]
    assert ledger.counts == (2, 0, 12)
    assert has_ledger(output)
    assert not is_complete(output)
    with pytest.raises(DataError, match="no plan"):
        Ledger(tmp_path)


def test_what_is_chosen_becomes_arguments(toy: Path) -> None:
    options = {"halo": (1, 2, 3), "dtype": "float16", "precision": None}
    chosen = Prediction(Path("run/model"), "image.zarr", "z0:4", options)
    assert chosen.arguments(Path("out.zarr")) == (
        [
            "predict",
            "run/model",
            "image.zarr",
            "out.zarr",
            "--region",
            "z0:4",
            "--halo",
            "1",
            "2",
            "3",
            "--dtype",
            "float16",
        ]
    )
    assert options_of({"name": "watershed", "halo": (1, 2, 3), "limit": None}) == (
        ["--with", "watershed", "-o", "halo=1,2,3", "-o", "limit=none"]
    )
    assert [
        stem_of(name)
        for name in ("/a/b.zarr", "/a/b.zarr/1", "l/em-0123456789ab.zarr", "gs://bucket/em.zarr/#scale=2", "c.h5:raw/x")
    ] == [
        "b",
        "b",
        "em",
        "em",
        "c",
    ]


@pytest.mark.slow
def test_a_child_answers_for_the_model_and_says_what_is_wrong(toy: Path) -> None:
    answers = Answering()
    model, image = str(toy / "project" / "runs" / "run-1" / "model"), str(toy / "image.zarr")
    key = (model, image, (8, 32, 32), True, "cpu")
    try:
        head = answers.open(*key[:3], fractions=True, device="cpu")
        assert head["tile"] == [8, 32, 32]
        assert head["channels"] == ["object", "boundary"]
        tile = answers.tile(key, Box((0, 0, 0), (8, 32, 32)))
        assert tile.shape == (2, 8, 32, 32)
        assert tile.dtype == np.uint8
        assert tile.std() > 0
        request = Prediction(Path(model), image, "", {"dtype": "float16", "block": [8, 32, 32]}).request
        found = answers.estimate(request, str(toy / "x.zarr"))
        assert found["blocks"] == 8
        assert 0 < found["disk"] < 2 * 16 * 64 * 64 * 2 * 1.2
        with pytest.raises(DataError, match="no trained model"):
            answers.open(str(toy / "nothing"), image, (8, 32, 32), fractions=True)
        assert answers.tile(key, Box((0, 0, 0), (8, 32, 32))).shape == (2, 8, 32, 32)
        answers._process.kill()
        with pytest.raises(SegkitError, match="ended"):
            answers.tile(key, Box((0, 0, 0), (8, 32, 32)))
        assert answers.tile(key, Box((0, 0, 0), (8, 32, 32))).shape == (2, 8, 32, 32)
    finally:
        answers.close()
    assert not answers.running


def test_a_slice_is_cut_with_its_count_and_sizes(tmp_path: Path) -> None:
    from segkit import Volume
    from segkit.writing import write_volume

    voxels = np.zeros((1, 6, 20, 20), np.float32)
    voxels[0, :, 2:6, 2:6], voxels[0, :, 10:18, 10:18] = 0.6, 0.9
    write_volume(Volume.from_array(voxels, axes="czyx"), tmp_path / "p.zarr", plan={"kind": "test"})
    slicer = Slicer()
    box = Box((3, 0, 0), (4, 20, 20))
    found = slicer.cut(str(tmp_path / "p.zarr"), box, {"name": "components"})
    assert sorted(found.sizes.tolist()) == [16, 64]
    assert found.ids.shape == (1, 20, 20)
    assert set(np.unique(found.ids)) == {0, 1, 2}
    assert found.line() == "2 objects in this slice, median 40 pixels"
    higher = slicer.cut(str(tmp_path / "p.zarr"), box, {"name": "components", "threshold": 0.8})
    assert higher.sizes.tolist() == [64]
    counts, edges = size_histogram(found.sizes)
    assert counts.sum() == 2
    assert edges[0] == 1


@pytest.mark.slow
def test_three_stages_follow_each_other_and_end_where_they_are_told(session: Session, toy: Path) -> None:
    stages = Stages(session)
    for kind in ("predict", "segment", "trace"):
        session.jobs.when_done(kind, stages.go_on)
    model = session.project.runs[0] / "model"
    chosen = Prediction(model, str(toy / "image.zarr"), "", {"dtype": "float16"})
    then = [
        {"kind": "segment", "with": {"name": "components", "threshold": 0.3}, "min_size": 5},
        {"kind": "trace", "with": {"name": "skeleton"}, "min_size": 20},
    ]
    job = stages.predict(chosen, "run-1", then)
    assert job.output == session.project.folder / "predictions" / "run-1-image.zarr"
    assert session.wait(job, 60) == "done", job.report()
    following = session.jobs.of("segment")
    assert following is not None
    assert following.extra["then"] == [dict(then[1])]
    assert job.extra["then"] == []
    stages.let_end(following)
    assert session.wait(following, 60) == "done", following.report()
    assert session.jobs.of("trace") is None
    assert session.project.results("segmentations") == [following.output]


def test_stages_go_on_after_a_job_that_ended_while_no_viewer_was_open(session: Session) -> None:
    folder = session.project.place("jobs") / "predict"
    output = session.project.place("predictions") / "one.zarr"
    extra = {"then": [{"kind": "segment", "with": {"name": "components"}}], "source": "x"}
    job = Job(folder, "predict", "predict one", ["predict"], output, extra)
    job.state = "done"
    job.save()
    writer.finish()
    stages = Stages(session)
    stages.pick_up()
    stages.pick_up()
    writer.finish()
    (started,) = [each for each in session.jobs if each.kind == "segment"]
    assert started.arguments[:2] == ("segment", str(output))
    assert json.loads((folder / "job.json").read_text())["extra"]["then"] == []
    session.wait(started, 30)


@pytest.mark.slow
def test_point_14_a_killed_prediction_computes_only_what_is_missing(
    session: Session, toy: Path, tmp_path: Path
) -> None:
    stages = Stages(session)
    image = make_image(tmp_path / "larger.zarr", (32, 96, 96))
    model = session.project.runs[0] / "model"
    chosen = Prediction(model, str(image), "", {"dtype": "float16", "block": (8, 16, 16)})
    job = stages.predict(chosen, "run-1")
    ledger = None
    end = time.monotonic() + 60
    while time.monotonic() < end:
        session.poll()
        if ledger is None and has_ledger(job.output):
            ledger = Ledger(job.output)
        if ledger is not None:
            ledger.update()
            if ledger.counts[0] >= 0.4 * ledger.counts[2]:
                break
        time.sleep(0.002)
    assert ledger is not None
    job.process._process.send_signal(signal.SIGKILL)
    assert session.wait(job, 20) == "failed"
    ledger.update()
    before = ledger.states == DONE
    assert 0 < before.sum() < len(before), "it was killed too late"
    times = {index: file.stat().st_mtime_ns for index, file in _files(job.output, ledger) if before[index]}

    # a later session knows nothing but the output
    session.jobs.dismiss(job)
    resumed = stages.resume(job.output)
    assert resumed is not job
    assert session.wait(resumed, 90) == "done", resumed.report()
    assert is_complete(job.output)
    assert all(file.stat().st_mtime_ns == times[index] for index, file in _files(job.output, ledger) if index in times)
    computed = ledger.update()
    assert set(computed) == set(np.flatnonzero(~before).tolist())

    words = chosen.arguments(tmp_path / "clean.zarr")
    subprocess.run([sys.executable, "-m", "segkit", *words], check=True, capture_output=True)
    clean, found = open_volume(tmp_path / "clean.zarr").read(), open_volume(job.output).read()
    assert np.array_equal(clean, found)


def _files(output: Path, ledger: Ledger):
    from segkit.store import Blocks

    blocks = Blocks(output / "0")
    return [(index, blocks.file(index)) for index in range(len(ledger.lattice)) if blocks.file(index).exists()]


@pytest.mark.slow
def test_an_output_says_how_it_goes_on(session: Session, toy: Path) -> None:
    model = session.project.runs[0] / "model"
    output = session.project.place("predictions") / "one.zarr"
    chosen = Prediction(model, str(toy / "image.zarr"), "z0:8", {"dtype": "float16", "block": (8, 32, 32)})
    subprocess.run([sys.executable, "-m", "segkit", *chosen.arguments(output)], check=True, capture_output=True)
    words = again(output, session.project)
    assert words[:4] == chosen.arguments(output)[:4]
    for option in (["--region", "z0:8"], ["--block", "8", "32", "32"], ["--dtype", "float16"]):
        at = words.index(option[0])
        assert words[at : at + len(option)] == option
    done = subprocess.run([sys.executable, "-m", "segkit", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    digest = json.loads((output / ".segkit" / "plan.json").read_text())["plan"]["made_from"]["model"]
    assert model_with_hash(digest, session.project.runs) == model
    assert model_with_hash("0", session.project.runs) is None
    shutil.rmtree(session.project.runs[0])
    with pytest.raises(DataError, match="not among the runs"):
        again(output, session.project)
