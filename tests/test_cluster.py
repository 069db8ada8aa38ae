"""Whole ways over a real cluster of processes: the same bytes as one process, whatever dies on the way."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from segkit import Box, Volume, open_volume, predict, segment, trace, write_volume
from segkit.errors import IncompleteError, StorageError
from segkit.execution import Cluster, connected
from segkit.writing._plan import PLAN

sys.path.insert(0, str(Path(__file__).parent / "slurm"))
from make_inputs import make_inputs

SMALL: dict[str, Any] = {"block_shape": (16, 32, 32), "halo": (4, 8, 8)}


@pytest.fixture(scope="module")
def local() -> Iterator[Cluster]:
    """Four processes on this machine."""
    with connected("local:4") as cluster:
        assert cluster is not None
        yield cluster


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def predicted(inputs: Path) -> Path:
    path = inputs / "one" / "prediction.zarr"
    predict(inputs / "model", inputs / "image.zarr", path, **SMALL)
    return path


def hashes(folder: Path) -> dict[str, str]:
    """The files of an output; its journal tells who came first."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in ("lock", "journal.jsonl")
    }


def workers_of(cluster: Cluster) -> list[int]:
    return list(cluster.client.run(os.getpid, on_error="ignore").values())


@pytest.mark.slow
def test_prediction_and_its_levels(local: Cluster, inputs: Path, predicted: Path, tmp_path: Path) -> None:
    path = tmp_path / "prediction.zarr"
    steps: list[tuple[int, int]] = []
    made = predict(
        inputs / "model", inputs / "image.zarr", path, **SMALL, cluster=local, progress=lambda *step: steps.append(step)
    )
    assert hashes(path) == hashes(predicted)
    np.testing.assert_array_equal(made.read(), open_volume(predicted).read())
    assert steps == [(n, 27) for n in range(28)]


@pytest.mark.slow
def test_a_model_in_memory_travels_too(local: Cluster, inputs: Path, predicted: Path, tmp_path: Path) -> None:
    from segkit import Model

    path = tmp_path / "prediction.zarr"
    predict(Model.load(inputs / "model", device="cpu"), inputs / "image.zarr", path, **SMALL, cluster=local)
    np.testing.assert_array_equal(open_volume(path).read(), open_volume(predicted).read())


@pytest.mark.slow
def test_segmentation_and_traces(local: Cluster, predicted: Path, tmp_path: Path) -> None:
    options = {
        "block_shape": (16, 32, 32),
        "options": {"threshold": float(np.quantile(open_volume(predicted).read(), 0.9))},
    }
    for name, cluster in (("one", None), ("many", local)):
        segment(predicted, "components", tmp_path / name / "s.zarr", **options, min_size=4, cluster=cluster)
        trace(tmp_path / name / "s.zarr", out_dir=tmp_path / name / "traces", min_size=5, cluster=cluster)
    np.testing.assert_array_equal(
        open_volume(tmp_path / "one" / "s.zarr").read(), open_volume(tmp_path / "many" / "s.zarr").read()
    )
    assert hashes(tmp_path / "one" / "s.zarr") == hashes(tmp_path / "many" / "s.zarr")
    drawn = [
        {file.name: file.read_bytes() for file in (tmp_path / name / "traces").glob("*.swc")}
        for name in ("one", "many")
    ]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) > 2


@pytest.mark.slow
def test_workers_that_die_at_any_time(local: Cluster, inputs: Path, predicted: Path, tmp_path: Path) -> None:
    chance, path, killed = random.Random(3), tmp_path / "prediction.zarr", 0

    def kill(done: int, total: int) -> None:
        nonlocal killed
        if done in (2, 6, 11, 17):
            os.kill(chance.choice(workers_of(local)), signal.SIGKILL)
            killed += 1

    predict(inputs / "model", inputs / "image.zarr", path, **SMALL, cluster=local, progress=kill)
    assert killed == 4
    assert hashes(path) == hashes(predicted)


@pytest.mark.slow
def test_what_was_begun_here_is_finished_there(local: Cluster, inputs: Path, predicted: Path, tmp_path: Path) -> None:
    path = tmp_path / "prediction.zarr"

    def stop(done: int, total: int) -> None:
        if done == 9:
            raise KeyboardInterrupt

    for cluster in (None, local):
        with pytest.raises(KeyboardInterrupt):
            predict(inputs / "model", inputs / "image.zarr", path, **SMALL, cluster=cluster, progress=stop)
        damaged = next(file for file in (path / "0" / "c").rglob("0") if file.is_file())
        damaged.write_bytes(damaged.read_bytes()[:-9])
    predict(inputs / "model", inputs / "image.zarr", path, **SMALL, cluster=local)
    assert hashes(path) == hashes(predicted)


class Poisoned:
    """An image with a block that kills whoever reads it, as long as a file is there."""

    shape, dtype = (32, 32, 64), np.dtype(np.uint8)

    def __init__(self, poison: Path) -> None:
        self.poison = poison

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        if self.poison.exists() and (key[0].start, key[2].start) == (16, 32):
            os.kill(os.getpid(), signal.SIGKILL)
        return np.fromfunction(lambda z, y, x: z + y + x, self.shape)[key].astype(np.uint8)


@pytest.mark.slow
def test_a_poison_block(local: Cluster, tmp_path: Path) -> None:
    poison = tmp_path / "poison"
    poison.touch()
    volume = Volume(Poisoned(poison))
    blocks = {"block_shape": (16, 16, 16), "chunk_shape": (16, 16, 16), "pyramid": 2}
    with pytest.raises(
        IncompleteError, match=r"2 of 16 blocks .* failed 3 times.*z16:32, y\d+:\d+, x32:48\): the worker"
    ):
        write_volume(volume, tmp_path / "a.zarr", **blocks, cluster=local)
    unfinished = open_volume(tmp_path / "a.zarr")
    assert not unfinished.metadata["complete"]
    poison.unlink()
    whole = volume.read()
    for box in (Box((0, 0, 0), (16, 32, 64)), Box((16, 0, 0), (32, 32, 32)), Box((16, 0, 48), (32, 32, 64))):
        np.testing.assert_array_equal(unfinished.read(box), whole[box.slices])
    made = write_volume(volume, tmp_path / "a.zarr", **blocks, cluster=local)
    np.testing.assert_array_equal(made.read(), whole)


@pytest.mark.slow
def test_an_output_that_was_begun_anew_gets_no_old_blocks(local: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    old = Volume(np.zeros((32, 32, 32), np.uint8), source="old")

    def replace(done: int, total: int) -> None:
        if done == 1:
            plan = path / PLAN
            plan.write_text(plan.read_text().replace('"hash": "', '"hash": "0'))

    with pytest.raises(StorageError, match="not the output that this block belongs to.*all workers share"):
        write_volume(old, path, block_shape=(8, 8, 8), chunk_shape=(8, 8, 8), cluster=local, progress=replace)


# -- the command line --------------------------------------------------------------------------------------------------


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "segkit", *map(str, args)]


def left_of(parent: int) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if f"parent_pid={parent}" in " ".join(p.info["cmdline"] or ())]


@pytest.mark.slow
def test_ctrl_c_stops_everything(inputs: Path, predicted: Path, tmp_path: Path) -> None:
    args = command(
        "predict", inputs / "model", inputs / "image.zarr", tmp_path / "prediction.zarr", "--block", 16, 32, 32,
        "--halo", 4, 8, 8, "--cluster", "local:4",
    )  # fmt: skip
    process = subprocess.Popen(args, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "prediction.zarr" / ".segkit" / "journal.jsonl"
    while process.poll() is None and not journal.exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert not left_of(process.pid)
    subprocess.run(args, check=True, timeout=120, capture_output=True)
    assert hashes(tmp_path / "prediction.zarr") == hashes(predicted)


@pytest.mark.slow
def test_bits_do_not_depend_on_the_threads_of_a_process(inputs: Path, tmp_path: Path) -> None:
    free = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    found = []
    for name, threads, cluster in (
        ("limited", {"OMP_NUM_THREADS": "1"}, ()),
        ("free", {}, ()),
        ("many", {}, ("--cluster", "local:2")),
    ):
        path = tmp_path / name / "prediction.zarr"
        args = command(
            "predict", inputs / "model", inputs / "image.zarr", path, "--block", 16, 32, 32, "--halo", 4, 8, 8
        )
        args += ["--threads", "2", *cluster]
        done = subprocess.run(args, env=free | threads, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        found.append(hashes(path))
    assert found[0] == found[1] == found[2]


PLUGIN = '''
import os, signal
from pathlib import Path
import numpy as np
import segkit

class Poisoned:
    shape, dtype = (32, 16, 32), np.dtype(np.uint8)
    def __init__(self, path):
        self.path = path
    def __getitem__(self, key):
        if not Path(self.path + ".cure").exists() and (key[0].start, key[2].start) == (16, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        return np.full(self.shape, 7, np.uint8)[key]

class Poison:
    def accepts(self, source):
        return source.endswith(".poison")
    def open(self, source):
        return segkit.Volume(Poisoned(source), source=source)

def poison():
    """A volume of which one block kills whoever reads it."""
    return Poison()

@segkit.hookimpl
def segkit_formats():
    return {"poison": poison}
'''


@pytest.mark.slow
def test_a_poison_block_on_the_command_line(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "poison-1.0.dist-info").mkdir(parents=True)
    (site / "poison-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: poison\nVersion: 1.0\n")
    (site / "poison-1.0.dist-info" / "entry_points.txt").write_text("[segkit]\npoison = poisonous\n")
    (site / "poisonous.py").write_text(PLUGIN)
    source = tmp_path / "a.poison"
    source.touch()
    args = command("convert", source, tmp_path / "a.zarr", "--block", 16, 16, 16, "--cluster", "local:2")
    env = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(args, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 3, done.stderr
    assert "1 of 4 blocks" in done.stderr
    assert "block 2 (z16:32, y0:16, x0:16): the worker" in done.stderr
    assert "Traceback" not in done.stderr
    assert len([file for file in (tmp_path / "a.zarr" / "0" / "c").rglob("*") if file.is_file()]) == 3
    (tmp_path / "a.poison.cure").touch()
    assert subprocess.run(args, env=env, capture_output=True, timeout=120).returncode == 0
    assert (open_volume(tmp_path / "a.zarr").read() == 7).all()
