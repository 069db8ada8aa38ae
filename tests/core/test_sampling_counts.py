"""Label counts kept beside a run: found again, and never believed when the labels are others."""

from __future__ import annotations

import os
from types import SimpleNamespace

import numpy as np
import pytest

import segkit
from segkit import Sample, Volume
from segkit.recipe import Recipe, Selection
from segkit.sampling import CountsFile, LabelIndex
from segkit.store import open_zarr
from segkit.training import Preparing, Run, fit_events
from segkit.writing import write_volume


@pytest.fixture
def task(tiny):
    return Selection("foreground").build("tasks")


@pytest.fixture
def arrays(rng) -> dict[str, np.ndarray]:
    labels = np.zeros((32, 96, 96), np.uint8)
    labels[4:12, 10:40, 20:80] = 1
    labels[20, 50] = 2
    return {"raw": (80 * (labels > 0) + rng.integers(0, 60, labels.shape)).astype(np.uint8), "labels": labels}


@pytest.fixture
def stored(tmp_path, arrays) -> dict[str, str]:
    for name, array in arrays.items():
        write_volume(Volume.from_array(array), tmp_path / f"{name}.zarr", chunk_shape=(16, 16, 16), pyramid=1)
    return {name: str(tmp_path / f"{name}.zarr") for name in arrays}


def sample_of(stored) -> Sample:
    return Sample("stored", open_zarr(stored["raw"]), open_zarr(stored["labels"]))


def drained(steps) -> tuple[int, LabelIndex]:
    counted = 0
    while True:
        try:
            next(steps)
            counted += 1
        except StopIteration as end:
            return counted, end.value


def built(file, samples, task, ids=False) -> tuple[int, LabelIndex]:
    return drained(file.building(samples, task.foreground, ids=ids, workers=2, write=True))


def test_counts_are_found_again_here_and_in_the_next_run(tmp_path, stored, task):
    samples = [sample_of(stored)]
    first = CountsFile(tmp_path / "one", "task 1")
    counted, index = built(first, samples, task, ids=True)
    assert counted == len(index.known)
    for file in (first, CountsFile(tmp_path / "two", "task 1")):
        again, found = built(file, [sample_of(stored)], task, ids=True)
        assert again == 0
        for name in ("known", "foreground", "sample_of", "first_block", "pairs"):
            np.testing.assert_array_equal(getattr(found, name), getattr(index, name))
        assert found.lattices == index.lattices
    assert built(CountsFile(tmp_path / "two", "task 2"), samples, task, ids=True)[0] > 0
    assert built(first, samples, task)[0] > 0  # without ids is another count


def test_labels_that_were_edited_are_counted_again(tmp_path, stored, task, arrays):
    file = CountsFile(tmp_path / "one", "task")
    assert built(file, [sample_of(stored)], task)[0] > 0
    assert built(file, [sample_of(stored)], task)[0] == 0
    chunk = next(p for p in sorted((tmp_path / "labels.zarr").rglob("*")) if p.is_file() and p.name[-1].isdigit())
    later = chunk.stat().st_mtime_ns + 10**9
    os.utime(chunk, ns=(later, later))  # painted over in place: the metadata stay as they were
    assert built(file, [sample_of(stored)], task)[0] > 0


def test_counts_that_do_not_hold_are_not_believed(tmp_path, stored, task):
    file = CountsFile(tmp_path / "one", "task")
    _, index = built(file, [sample_of(stored)], task)
    file.save(
        LabelIndex.over([sample_of(stored)], index.known, index.foreground[::-1].copy(), None), [sample_of(stored)]
    )
    assert built(file, [sample_of(stored)], task)[0] > 0


def test_a_damaged_file_is_counted_again(tmp_path, stored, task):
    file = CountsFile(tmp_path / "one", "task")
    built(file, [sample_of(stored)], task)
    (kept,) = (tmp_path / "one" / "counts").iterdir()
    for damaged in (kept.read_bytes()[:-7], b"", kept.read_bytes().replace(b"known", b"knowm")):
        kept.write_bytes(damaged)
        assert built(file, [sample_of(stored)], task)[0] > 0
        assert built(file, [sample_of(stored)], task)[0] == 0


def test_arrays_in_memory_are_not_kept(tmp_path, task, arrays):
    sample = Sample("memory", *(Volume.from_array(array) for array in arrays.values()))
    file = CountsFile(tmp_path / "one", "task")
    assert built(file, [sample], task)[0] > 0
    assert built(file, [sample], task)[0] > 0
    assert not (tmp_path / "one").exists()


@pytest.fixture
def on_disk(tiny, stored, recipe_tables):
    """A recipe of volumes that are stored in chunks and too large to be kept whole."""

    def stored_volumes():
        """Volumes on the disk."""
        return [sample_of(stored)]

    def hook():
        return {"stored": stored_volumes}

    segkit.register(SimpleNamespace(hook=segkit.hookimpl(specname="segkit_datasets")(hook)), "disk")
    sampling = {**recipe_tables["sampling"], "reuse": 4, "memory": 1, "balance": "classes"}
    training = {"steps": 8, "validate_every": 8, "validation_patches": 4}
    return {
        **recipe_tables,
        "dataset": {"name": "stored"},
        "sampling": sampling,
        "training": training,
        "split": {"share": 0.0},
    }


def weights(folder) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    step = max((p for p in (folder / "checkpoints").iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
    return load_file(step / "tensors.safetensors")


def test_a_resumed_run_with_reuse_counts_nothing_and_ends_with_the_same_bits(tmp_path, on_disk, monkeypatch):
    from segkit.sampling import keep_decoded
    from segkit.training import _setup

    monkeypatch.setattr(_setup, "keep_decoded", lambda samples, budget: keep_decoded(samples, 0))
    recipe = Recipe.from_mapping(on_disk)
    whole = list(fit_events(recipe, tmp_path / "runs" / "whole"))
    assert any(isinstance(event, Preparing) for event in whole)
    starts, folder = 0, tmp_path / "runs" / "parts"
    while starts < 9 and (not folder.exists() or Run(folder).state().finished != "completed"):
        seen: list[object] = []
        starts += 1
        for event in fit_events(recipe, folder, stop=lambda seen=seen: len(seen) > 4):
            seen.append(event)
            assert not isinstance(event, Preparing)  # counted by the run beside it
    assert starts > 1
    one, two = weights(tmp_path / "runs" / "whole"), weights(tmp_path / "runs" / "parts")
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name], err_msg=name)
