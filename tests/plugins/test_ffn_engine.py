"""Flood filling: the engine beside a plain reference, seeds, several objects at once, and the segmenter."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pickle
import random
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import segkit
from segkit.errors import DataError, UsageError
from segkit.model import Model
from segkit_ffn._movement import Movement

ROOT = Path(__file__).parents[2]
MOVEMENT = Movement((9, 9, 9), (3, 3, 3), 0.95, 0.05, 0.9)


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The plain serial algorithm of the benchmarks."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "benchmarks" / "_reference_filling.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["reference"] = module
    spec.loader.exec_module(module)
    return module


def bright(width: int = 4, depth: int = 1):
    """A network that is sure of an object wherever the image is bright around a voxel, and of none where it is dark."""
    import torch

    from segkit_ffn import ffn

    network = ffn(2, 1, width=width, depth=depth)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for channel, sign in enumerate((1, -1)):
            network.first.a.weight[channel, 0] = sign / 27
            network.first.b.weight[channel, channel, 1, 1, 1] = 1
            network.last.weight[0, channel] = 6 * sign
    return network.eval()


def cells(shape=(24, 40, 40), count: int = 9, seed: int = 3) -> np.ndarray:
    """An image (1, Z, Y, X): bright cells, 1, between dark walls, -1, and a little noise."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, shape, (count, 3))
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    distances = np.sort(np.stack([np.linalg.norm(grid - c, axis=-1) for c in centres]), axis=0)
    image = np.where(distances[1] - distances[0] > 2, 1, -1) + rng.normal(0, 0.05, shape)
    return image[None].astype(np.float32)


def engine(movement: Movement = MOVEMENT, precision: str = "exact", network=None, **policy):
    from segkit_ffn._engine import Engine, Policy
    from segkit_ffn._stepping import Step

    return Engine(Step(network or bright(), precision), movement, Policy(**{"min_size": 50, "skip": 0.0, **policy}))


def seeds_of(image: np.ndarray, order: str = "distance", margin=(4, 4, 4)) -> np.ndarray:
    from segkit_ffn._seeds import edges, peaks

    return peaks(edges(image, (1, 1, 1)), (1, 1, 1), margin, order)


def agreement(one: np.ndarray, two: np.ndarray) -> float:
    """The share of voxels that are in the largest overlap of their object with one of the other segmentation, both ways."""
    pairs, counts = np.unique(np.stack([one.ravel(), two.ravel()]), axis=1, return_counts=True)
    best = [sum(int(counts[ids == a].max()) for a in np.unique(ids)) for ids in pairs]
    return min(best) / one.size


@pytest.mark.parametrize(
    "movement",
    [MOVEMENT, Movement((5, 9, 11), (1, 2, 3), 0.95, 0.05, 0.9), Movement((3, 9, 9), (0, 2, 2), 0.9, 0.1, 0.8)],
)
def test_exact_mode_equals_the_reference_voxel_by_voxel(reference: ModuleType, movement: Movement) -> None:
    import torch

    image = cells()
    network = bright(depth=2)

    def plain(view: np.ndarray, logits: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return logits + network(torch.from_numpy(np.stack([view, logits]))[None])[0, 0].numpy()

    seeds = seeds_of(image, "distance", movement.radius)
    filling = reference.Filling(
        image[0], plain, movement.field_of_view, movement.deltas, movement.seed, movement.pad, movement.move_threshold,
        min_size=50,
    )  # fmt: skip
    expected = filling(seeds)
    found = engine(movement, network=network).fill(image, seeds)
    assert expected.max() > 2
    assert np.array_equal(found.ids, expected)
    assert found.steps == filling.steps > 50


def test_seeds_by_position_are_those_of_the_reference(reference: ModuleType) -> None:
    image = cells((24, 48, 48), 40)
    expected = reference.lexicographic_seeds(image[0], (4, 4, 4))
    assert len(expected) > 10
    assert seeds_of(image, "position").tolist() == expected.tolist()


def test_seeds_come_in_order_of_their_distance() -> None:
    from scipy.ndimage import distance_transform_edt

    walls = np.zeros((20, 40, 40), bool)
    walls[:, ::13] = walls[:, :, 20] = True
    from segkit_ffn._seeds import peaks

    found = peaks(walls, (40.0, 8.0, 8.0), (4, 0, 0), "distance")
    by_place = peaks(walls, (40.0, 8.0, 8.0), (4, 0, 0), "position")
    distance = distance_transform_edt(~walls, sampling=(5, 1, 1))[tuple(found.T)]
    assert len(found) > len(by_place) > 5
    for part in (distance[: len(by_place)], distance[len(by_place) :]):
        assert (np.diff(part) < 1e-3).all()
    assert (found[:, 0].min(), found[:, 0].max()) == (4, 15)
    assert by_place.tolist() == sorted(by_place.tolist())
    assert len(peaks(np.zeros((9, 9, 9), bool), (1, 1, 1), (4, 4, 4))) == 1  # no wall at all


def test_skipping_computes_less_and_finds_the_same() -> None:
    image = cells((24, 48, 48), 12)
    all_steps, fewer = (engine(skip=skip).fill(image, seeds_of(image)) for skip in (0.0, 0.4))
    assert fewer.steps < 0.95 * all_steps.steps
    assert fewer.skipped > 0
    assert agreement(fewer.ids, all_steps.ids) > 0.9


def test_many_objects_and_positions_at_once_find_the_same_again_and_again() -> None:
    image = cells((24, 48, 48), 12)
    serial = engine().fill(image, seeds_of(image))
    for policy in ({"objects": 4}, {"positions": 3}, {"objects": 3, "positions": 2}):
        found, again = (engine(**policy).fill(image, seeds_of(image)) for _ in range(2))
        assert np.array_equal(found.ids, again.ids)
        assert agreement(found.ids, serial.ids) > 0.9, policy


def test_of_two_seeds_in_one_object_one_is_given_up() -> None:
    image = np.full((1, 13, 13, 80), -1, np.float32)
    image[0, 3:10, 3:10, :] = 1
    found = engine(objects=2).fill(image, np.array([[6, 6, 10], [6, 6, 70]]))
    assert found.ids.max() == 1
    assert found.seeds == [(6, 6, 10)]
    assert found.wasted > 0


def test_objects_stay_in_free_space_and_their_map_can_be_had() -> None:
    image = cells()
    seeds = seeds_of(image)
    free = np.zeros(image.shape[1:], bool)
    free[:, :20] = True
    found = engine().fill(image, seeds, free)
    assert found.ids.any()
    assert not found.ids[~free].any()
    logits = engine().follow(image, found.seeds[0])
    assert np.mean(logits[found.ids == 1] >= np.log(0.6 / 0.4) - 1e-6) > 0.9
    assert np.isnan(logits).any()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("flood") / "model")


def save(path: Path, **changes) -> Path:
    from segkit.contracts import Normalization
    from segkit.recipe import Selection

    task = Selection("ffn:flood_filling", {"field_of_view": (9, 9, 9), "deltas": (3, 3, 3)})
    architecture = Selection("ffn:ffn", {"width": 4, "depth": 1})
    given = {"voxel_size": (8.0, 8.0, 8.0), "unit": "nm", **changes}
    model = Model(
        bright(), task, architecture, task.build("tasks"), 1, Normalization((0.0,), (1.0,)), (15, 15, 15), **given
    )
    model.save(path)
    return path


OPTIONS = {"min_size": 50, "precision": "exact", "mirror": False}


def test_the_segmenter_fills_an_image(package: Path) -> None:
    image = cells((24, 48, 48), 12)
    found = segkit.segment(
        image, "flood_fill", options={"model": str(package), **OPTIONS, "skip": 0.0, "grow": 0}
    ).read()
    expected = engine().fill(image, seeds_of(image)).ids
    assert agreement(found, expected) == 1


def test_workers_change_no_voxel(package: Path, tmp_path: Path) -> None:
    image = cells((24, 48, 48), 12)
    options = {"model": str(package), **OPTIONS, "cell": 24}
    found = [
        segkit.segment(image, "flood_fill", tmp_path / f"{n}.zarr", options=options, workers=n).read()
        for n in (1, 2, 4)
    ]
    assert len(np.unique(found[0])) > 6
    assert all(np.array_equal(found[0], other) for other in found[1:])
    in_memory = segkit.segment(image, "flood_fill", options=options, workers=2).read()
    assert np.array_equal(in_memory, found[0])


def test_it_is_small_when_sent_elsewhere_and_knows_its_weights(package: Path, tmp_path: Path) -> None:
    segmenter = segkit.segmenters["flood_fill"](model=str(package), **OPTIONS)
    copy = pickle.loads(pickle.dumps(segmenter))
    assert len(pickle.dumps(segmenter)) < 2000
    assert copy == segmenter
    assert segmenter.halo == (4, 4, 4)
    image = cells()
    assert np.array_equal(copy(image, (8.0, 8.0, 8.0)), segmenter(image, (8.0, 8.0, 8.0)))
    other = save(tmp_path / "other", details={"step": 3})
    assert segkit.segmenters["flood_fill"](model=str(other)).fingerprint != segmenter.fingerprint


def test_volumes_thinner_than_a_field_of_view_are_filled_too(package: Path) -> None:
    image = np.full((1, 4, 40, 40), -1, np.float32)
    image[0, :, 10:20, 5:35] = 1
    ids = segkit.segmenters["flood_fill"](model=str(package), **OPTIONS)(image, (1.0, 1.0, 1.0))
    assert ids.shape == (4, 40, 40)
    assert ids[2, 15, 20] > 0


def test_objects_at_the_sides_are_found_in_a_mirror(package: Path) -> None:
    image = np.full((1, 24, 40, 40), -1, np.float32)
    image[0, :, 10:24, 3:37] = 1
    image[0, :, 36:] = 1  # no middle of a field of view can be in it
    ids = {
        mirror: segkit.segment(image, "flood_fill", options={"model": str(package), **OPTIONS, "mirror": mirror}).read()
        for mirror in (False, True)
    }
    side = np.s_[2:-2, 38, 5:-5]
    assert not ids[False][side].any()
    assert ids[True][side].all()


def test_a_channel_of_boundaries_gives_the_seeds(package: Path) -> None:
    image = cells()
    both = np.concatenate([(image < 0).astype(np.float32), image])
    segmenter = segkit.segmenters["flood_fill"](model=str(package), **OPTIONS, boundary_channel=0)
    assert segmenter(both, (1.0, 1.0, 1.0)).max() > 4
    with pytest.raises(DataError, match="has 1 channels, and the model .* takes 1, and one of boundaries"):
        segmenter(image, (1.0, 1.0, 1.0))


def test_what_does_not_fit_is_refused(package: Path, tmp_path: Path) -> None:
    segmenter = segkit.segmenters["flood_fill"](model=str(package), **OPTIONS)
    with pytest.raises(DataError, match="has 2 channels, and the model .* takes 1. Choose"):
        segmenter(np.zeros((2, 20, 20, 20), np.float32), (8.0, 8.0, 8.0))
    with pytest.raises(DataError, match="voxels of .40.0, 8.0, 8.0. nm .* Resample the image"):
        segmenter(np.zeros((1, 20, 20, 20), np.float32), (40.0, 8.0, 8.0))
    with pytest.raises(DataError, match="no trained model at"):
        segkit.segmenters["flood_fill"](model=str(tmp_path))
    with pytest.raises(UsageError, match="`move_threshold`"):
        segkit.segmenters["flood_fill"](model=str(package), move_threshold=0.97)


def test_a_model_that_predicts_by_itself_is_refused(tmp_path: Path) -> None:
    from segkit.contracts import Normalization
    from segkit.recipe import Selection

    task, architecture = Selection("tasks:semantic", {}), Selection("ffn:ffn", {"width": 4, "depth": 1})
    network = architecture.build("architectures", 1, task.build("tasks").out_channels)
    model = Model(network, task, architecture, task.build("tasks"), 1, Normalization((0.0,), (1.0,)), (9, 9, 9))
    model.save(tmp_path / "model")
    with pytest.raises(UsageError, match="trained for the task 'tasks:semantic'"):
        segkit.segmenters["flood_fill"](model=str(tmp_path / "model"))


def test_a_model_that_is_replaced_meanwhile_is_noticed(tmp_path: Path) -> None:
    folder = save(tmp_path / "model")
    segmenter = segkit.segmenters["flood_fill"](model=str(folder), **OPTIONS)
    from segkit_ffn import _stepping

    _stepping._model.cache_clear()
    save(folder, details={"step": 4})
    with pytest.raises(DataError, match="was replaced while it was used"):
        segmenter(cells(), (8.0, 8.0, 8.0))


def test_threads_of_torch_are_as_before_afterwards() -> None:
    import torch

    from segkit_ffn._stepping import one_thread

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread(), one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_published_weights_segment_as_pinned() -> None:
    folder = os.environ.get("SEGKIT_TEST_DATA")
    if not folder:
        pytest.skip("SEGKIT_TEST_DATA names no folder with the published weights")
    import h5py

    from segkit_ffn import google_ffn

    model = google_ffn().read(Path(folder, "ffn-fib25-weights", "fib25_ffn_weights.npz"))
    with h5py.File(Path(folder, "fib25", "grayscale_maps.h5")) as file:
        raw = file["raw"][54:118, 93:157, 93:157]
    found = engine(model.task.movement, network=model.network, min_size=1000).fill(
        model.normalization(raw[None]), seeds_of(raw[None], "position", (16, 16, 16))
    )
    assert found.steps == 66
    assert hashlib.sha256(found.ids.astype("<u4").tobytes()).hexdigest() == (
        "5c738716bea94f9338cb4076b468175f90997dd5c091edd0461547bf2a4014f0"
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_filling_survives_kills_and_is_the_same_in_two_processes(package: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", cells((24, 96, 96), 60))
    options = {"model": package, "cell": 24, **OPTIONS}
    pairs = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]

    def start(name: str, *more: str) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "segkit",
            "segment",
            tmp_path / "image.npy",
            tmp_path / name,
            "--with",
            "flood_fill",
        ]
        return subprocess.Popen([*map(str, command), *pairs, *more], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def finish(name: str, *more: str) -> np.ndarray:
        process = start(name, *more)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()
        return segkit.open_volume(tmp_path / name).read()

    whole = finish("whole.zarr")
    assert whole.max() > 20
    chance, hits = random.Random(3), 0
    while hits < 6:
        process = start("killed.zarr")
        journals = tmp_path / "killed.zarr" / ".segkit"
        while process.poll() is None and not list(journals.glob("objects-*/provisional.zarr")):
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 2))
        if process.poll() is not None:
            process.communicate()
            break
        process.kill()
        process.communicate()
        hits += 1
    assert hits > 1
    assert np.array_equal(finish("killed.zarr"), whole)
    assert np.array_equal(finish("spread.zarr", "--cluster", "local:2"), whole)
