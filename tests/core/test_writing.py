"""Writing block by block: continued exactly after any interruption, healed after damage, one writer at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit import Box, Volume, durable
from segkit.errors import BusyError, DataError, IncompleteError, OutputExistsError, StorageError, UsageError
from segkit.store import Blocks, open_zarr
from segkit.writing import write_volume

ARRAY = np.random.default_rng(1).integers(1, 250, (20, 24, 28), np.uint8)
SMALL: dict[str, Any] = {"block_shape": (16, 16, 16), "chunk_shape": (8, 8, 8), "pyramid": 2}


class Counted:
    """An array that counts how often it is read, and fails where it is told to."""

    def __init__(self, array: np.ndarray = ARRAY, failures: dict[tuple[int, ...], int] | None = None) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.failures = failures or {}
        self.reads: list[tuple[int, ...]] = []

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        start = tuple(part.start for part in key)
        self.reads.append(start)
        if self.failures.get(start, 0) > 0:
            self.failures[start] -= 1
            raise RuntimeError("the sensor sneezed")
        return self.array[key]


def volume_of(array: Any = ARRAY, **metadata: Any) -> Volume:
    return Volume(array, **{"voxel_size": (30.0, 8.0, 8.0), "unit": "nm", "source": "test", **metadata})


def content(path: Path) -> dict[str, bytes]:
    """Every file of an output but the lock; the journal in any order."""
    files = {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("*") if f.is_file() and f.name != "lock"}
    files[".segkit/journal.jsonl"] = b"".join(sorted(set(files[".segkit/journal.jsonl"].splitlines(keepends=True))))
    return files


def test_what_is_written_is_read(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    made = write_volume(
        volume_of(offset=(1.0, 2.0, 3.0), metadata={"geotiff": {"keys": [1]}, "odd": object()}),
        tmp_path / "deep" / "a.zarr",
        **SMALL,
        progress=lambda done, total: steps.append((done, total)),
    )
    np.testing.assert_array_equal(made.read(), ARRAY)
    assert (made.voxel_size, made.offset, made.unit) == ((30, 8, 8), (1, 2, 3), "nm")
    assert made.metadata == {"geotiff": {"keys": [1]}, "complete": True}
    assert steps == [(n, 10) for n in range(11)]
    coarse = made.levels[0]
    assert (coarse.shape, coarse.voxel_size, coarse.offset) == ((20, 12, 14), (30, 16, 16), (1, 6, 7))
    mean = ARRAY.reshape(20, 12, 2, 14, 2).astype(float).mean((2, 4))
    np.testing.assert_array_equal(coarse.read(), np.rint(mean))


def test_channels_planes_and_default_blocks(tmp_path: Path) -> None:
    channels = np.random.default_rng(0).random((3, 20, 24, 28)).astype(np.float32)
    made = write_volume(volume_of(channels, axes="czyx", channel_names=("a", "b", "c")), tmp_path / "c.zarr")
    np.testing.assert_array_equal(made.read(), channels)
    assert made.channel_names == ("a", "b", "c")
    plane = ARRAY[:1]
    np.testing.assert_array_equal(write_volume(volume_of(plane), tmp_path / "p.zarr").read(), plane)


def test_labels_keep_their_ids(tmp_path: Path) -> None:
    labels = ARRAY.astype(np.uint64) + 2**60
    made = write_volume(volume_of(labels), tmp_path / "l.zarr", **SMALL)
    np.testing.assert_array_equal(made.levels[0].read(), labels[:, ::2, ::2])
    chosen = write_volume(volume_of(), tmp_path / "m.zarr", **SMALL, labels=True)
    np.testing.assert_array_equal(chosen.levels[0].read(), ARRAY[:, ::2, ::2])


def test_a_finished_output_is_left_as_it_is(tmp_path: Path) -> None:
    write_volume(volume_of(), tmp_path / "a.zarr", **SMALL)
    before = content(tmp_path / "a.zarr")
    source = Counted()
    assert write_volume(volume_of(source), tmp_path / "a.zarr", **SMALL).metadata["complete"]
    assert source.reads == []
    assert content(tmp_path / "a.zarr") == before


def test_another_plan_is_refused_with_its_differences(tmp_path: Path) -> None:
    write_volume(volume_of(), tmp_path / "a.zarr", **SMALL, plan={"model": "one", "halo": (1, 2)})
    write_volume(volume_of(), tmp_path / "a.zarr", **SMALL, plan={"model": "one", "halo": (1, 2)})
    with pytest.raises(OutputExistsError, match="model was 'one', now 'two'.*overwrite"):
        write_volume(volume_of(), tmp_path / "a.zarr", **SMALL, plan={"model": "two", "halo": (1, 2)})
    with pytest.raises(OutputExistsError, match="block_shape was"):
        write_volume(volume_of(), tmp_path / "a.zarr", pyramid=2, plan={"model": "one", "halo": (1, 2)})
    with pytest.raises(UsageError, match="JSON"):
        write_volume(volume_of(), tmp_path / "b.zarr", plan={"model": object()})
    other = volume_of(255 - ARRAY)
    made = write_volume(other, tmp_path / "a.zarr", **SMALL, plan={"model": "two"}, overwrite=True)
    np.testing.assert_array_equal(made.read(), 255 - ARRAY)


def test_a_damaged_plan_is_not_continued(tmp_path: Path) -> None:
    write_volume(volume_of(), tmp_path / "a.zarr", **SMALL)
    plan = tmp_path / "a.zarr" / ".segkit" / "plan.json"
    plan.write_text(plan.read_text().replace("16", "17"))
    with pytest.raises(OutputExistsError, match="damaged"):
        write_volume(volume_of(), tmp_path / "a.zarr", **SMALL)
    write_volume(volume_of(), tmp_path / "a.zarr", **SMALL, overwrite=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_segkit_did_not_write_is_never_touched(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "0").write_text("precious")
    (tmp_path / "file").write_text("precious")
    for name in ("mine", "file"):
        with pytest.raises(OutputExistsError, match="did not write"):
            write_volume(volume_of(), tmp_path / name, overwrite=overwrite)
    assert (tmp_path / "mine" / "0").read_text() == (tmp_path / "file").read_text() == "precious"
    (tmp_path / "empty").mkdir()
    write_volume(volume_of(), tmp_path / "empty", overwrite=overwrite)


def test_stopping_leaves_what_can_be_continued(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    path = tmp_path / "a.zarr"
    with pytest.raises(KeyboardInterrupt):
        write_volume(volume_of(), path, **SMALL, progress=stop)
    unfinished = open_zarr(path)
    assert unfinished.metadata["complete"] is False
    np.testing.assert_array_equal(unfinished.read(Box((0, 0, 0), (16, 16, 16))), ARRAY[:16, :16, :16])
    with pytest.raises(DataError, match="missing"):
        unfinished.read()
    source, steps = Counted(), []
    write_volume(volume_of(source), path, **SMALL, progress=lambda done, total: steps.append(done))
    assert 1 <= len(source.reads) <= 4  # of 8: what was written is not computed again, also what was written at the end
    assert steps == list(range(11))
    write_volume(volume_of(), tmp_path / "b.zarr", **SMALL)
    assert content(path) == content(tmp_path / "b.zarr") | {"zarr.json": (path / "zarr.json").read_bytes()}


def damage(file: Path, how: str) -> None:
    if how == "delete":
        file.unlink()
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "half":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif how == "flip":
        whole = bytearray(file.read_bytes())
        whole[len(whole) // 3] ^= 4
        file.write_bytes(whole)
    else:  # a valid shard of another block: only the journal can tell
        file.write_bytes(file.with_name("0").read_bytes())


@pytest.mark.parametrize("how", ["delete", "empty", "half", "flip", "swap"])
@pytest.mark.parametrize("finished", [False, True])
def test_recorded_blocks_that_were_damaged_are_written_again(tmp_path: Path, how: str, finished: bool) -> None:
    path = tmp_path / "a.zarr"
    write_volume(volume_of(), path, **SMALL)
    intact = content(path)
    damage(path / "0" / "c" / "0" / "0" / "1", how)
    damage(path / "1" / "c" / "1" / "0" / "0", "delete")
    if not finished:
        text = (path / "zarr.json").read_text()
        (path / "zarr.json").write_text(text.replace('"complete": true', '"complete": false'))
    source = Counted()
    write_volume(volume_of(source), path, **SMALL, verify=finished)
    assert source.reads == [(0, 0, 16)]
    assert content(path) == intact


def test_a_block_that_fails_now_and_then_is_tried_again(tmp_path: Path) -> None:
    source = Counted(failures={(0, 0, 16): 2, (16, 16, 0): 1})
    made = write_volume(volume_of(source), tmp_path / "a.zarr", **SMALL)
    np.testing.assert_array_equal(made.read(), ARRAY)


def test_a_poison_block_is_named_and_the_others_are_finished(tmp_path: Path) -> None:
    source = Counted(failures={(0, 0, 16): 99})
    with pytest.raises(IncompleteError, match=r"1 of 8 blocks.*block 1 \(z0:16, y0:16, x16:28\).*sneezed") as caught:
        write_volume(volume_of(source), tmp_path / "a.zarr", **SMALL)
    assert caught.value.exit_code == 3
    assert source.reads.count((0, 0, 16)) == 3
    made = open_zarr(tmp_path / "a.zarr")
    assert not made.metadata["complete"]
    np.testing.assert_array_equal(made.read(Box((16, 0, 0), (20, 24, 28))), ARRAY[16:])
    healed = Counted()
    write_volume(volume_of(healed), tmp_path / "a.zarr", **SMALL)
    assert healed.reads == [(0, 0, 16)]


class Together(Counted):
    """Computes pairs of blocks; one that fails takes down its pair."""

    def read_blocks(self, boxes: Any) -> Any:
        todo = list(boxes)
        for place in range(0, len(todo), 2):
            yield from [self[box.slices] for box in todo[place : place + 2]]


def test_blocks_that_are_computed_together_do_not_fail_together(tmp_path: Path) -> None:
    source = Together(failures={(0, 16, 0): 99, (16, 0, 0): 2})
    with pytest.raises(IncompleteError, match=r"1 of 8 blocks.*block 2 \(z0:16, y16:24, x0:16\)"):
        write_volume(volume_of(source), tmp_path / "a.zarr", **SMALL)
    assert source.reads.count((0, 16, 0)) == 3
    source.failures.clear()
    made = write_volume(volume_of(source), tmp_path / "a.zarr", **SMALL)
    np.testing.assert_array_equal(made.read(), ARRAY)


@pytest.mark.parametrize("workers", [1, 4])
def test_threads_that_compute_and_write_change_nothing(tmp_path: Path, workers: int) -> None:
    source = Counted(failures={(0, 0, 16): 2})
    write_volume(volume_of(source), tmp_path / "many" / "a.zarr", **SMALL, workers=workers)
    write_volume(volume_of(), tmp_path / "one" / "a.zarr", **SMALL)
    assert content(tmp_path / "many" / "a.zarr") == content(tmp_path / "one" / "a.zarr")
    with pytest.raises(UsageError, match="workers"):
        write_volume(volume_of(), tmp_path / "b.zarr", **SMALL, workers=0)


def test_threads_leave_the_mask_of_new_files_alone(tmp_path: Path) -> None:
    write_volume(volume_of(), tmp_path / "a.zarr", block_shape=(4, 4, 4), chunk_shape=(4, 4, 4), pyramid=2, workers=4)
    modes = {file.stat().st_mode & 0o777 for file in (tmp_path / "a.zarr" / "0" / "c").rglob("*") if file.is_file()}
    mask = os.umask(0)
    os.umask(mask)
    assert modes == {0o666 & ~mask}


def test_a_source_of_the_wrong_shape_is_a_failure(tmp_path: Path) -> None:
    class Wrong(Counted):
        def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
            return self.array[key][:1]

    with pytest.raises(IncompleteError, match="was due"):
        write_volume(volume_of(Wrong()), tmp_path / "a.zarr", **SMALL)


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    def intrude(done: int, total: int) -> None:
        if done == 2:
            with pytest.raises(BusyError, match=f"process {os.getpid()}"):
                write_volume(volume_of(), tmp_path / "a.zarr", **SMALL, overwrite=True)

    made = write_volume(volume_of(), tmp_path / "a.zarr", **SMALL, progress=intrude)
    np.testing.assert_array_equal(made.read(), ARRAY)


def test_a_disk_that_is_far_too_small_is_noticed_at_once(tmp_path: Path) -> None:
    class Vast(Counted):
        shape = (2**16, 2**16, 2**16)

        def __init__(self) -> None:
            self.dtype, self.reads = np.dtype("u1"), []

    huge = volume_of(Vast())
    object.__setattr__(huge.array, "shape", Vast.shape)
    with pytest.raises(StorageError, match="free"):
        write_volume(huge, tmp_path / "a.zarr", block_shape=(8192,) * 3, chunk_shape=(64,) * 3, pyramid=1)


def test_a_full_disk_says_so_and_can_be_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.zarr"
    monkeypatch.setattr(durable, "faults", durable.Faults(at=50, mode="enospc"))
    with pytest.raises(StorageError, match="No space left.*Make room"):
        write_volume(volume_of(), path, **SMALL)
    np.testing.assert_array_equal(write_volume(volume_of(), path, **SMALL).read(), ARRAY)


# One process that forks a child for each point of failure, before any thread is started in it.
ENUMERATE = """
import json, os, sys
from pathlib import Path
import numpy as np
import tensorstore
from segkit import Volume, durable
from segkit.writing import write_volume
folder, modes, step = Path(sys.argv[1]), sys.argv[2].split(","), int(sys.argv[3])
array = np.random.default_rng(1).integers(1, 250, (6, 8, 12), np.uint8)
volume = Volume(array, voxel_size=(8.0, 8.0, 8.0), unit="nm")
def work(path):
    write_volume(volume, path, block_shape=(8, 8, 8), chunk_shape=(4, 4, 4), pyramid=2, plan={"a": 1}, overwrite="over" in str(path))
def in_child(path, at=0, mode="kill"):
    child = os.fork()
    if child == 0:
        durable.faults.count, durable.faults.at, durable.faults.mode = 0, at, mode
        code = 99
        try:
            work(path)
            code = 0 if at else 100 + durable.faults.count % 156
        except OSError:
            code = 74
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
def content(path):
    return {str(f.relative_to(path)): f.read_bytes() for f in sorted(path.rglob("*")) if f.is_file() and f.name not in ("lock", "journal.jsonl")}
(folder / "whole").mkdir()
points = in_child(folder / "whole" / "a") - 100
expected = content(folder / "whole" / "a")
for kind in ("new", "over"):
    for mode in modes:
        for at in range(1, points + 1, step):
            path = folder / f"{kind}{mode}{at}" / "a"
            path.parent.mkdir()
            if kind == "over":
                in_child(path)
            code, resumed = in_child(path, at, mode), in_child(path)
            same = content(path) == expected
            print(json.dumps({"kind": kind, "mode": mode, "at": at, "code": code, "resumed": resumed, "same": same}))
print(json.dumps({"points": points}))
"""


def enumerate_faults(folder: Path, modes: str, step: int) -> list[dict[str, Any]]:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ENUMERATE, str(folder), modes, str(step)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stderr
    *results, last = [json.loads(line) for line in ran.stdout.splitlines()]
    assert last["points"] > 30
    return results


def check_faults(results: list[dict[str, Any]]) -> None:
    assert [r for r in results if not r["same"] or r["resumed"] < 100] == []
    # The faults do happen.
    assert [r for r in results if r["code"] not in (-signal.SIGKILL, 74)] == []


def test_killed_at_a_sample_of_operations_it_is_continued_to_the_same_bytes(tmp_path: Path) -> None:
    check_faults(enumerate_faults(tmp_path, "kill,enospc", 37))


@pytest.mark.slow
def test_killed_at_every_operation_it_is_continued_to_the_same_bytes(tmp_path: Path) -> None:
    check_faults(enumerate_faults(tmp_path, "kill,torn,enospc,eio", 1))


def test_a_killed_process_is_continued(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from segkit import Volume, write_volume\n"
        "a = np.arange(20 * 24 * 28, dtype='u2').reshape(20, 24, 28)\n"
        "write_volume(Volume(a), sys.argv[1], block_shape=(8, 8, 8), chunk_shape=(8, 8, 8), pyramid=1)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.zarr")]
    killed = subprocess.run(command, env={**os.environ, "SEGKIT_FAULT": "70:kill"}, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert not open_zarr(tmp_path / "a.zarr").metadata["complete"]
    subprocess.run(command, check=True, timeout=60)
    expected = np.arange(20 * 24 * 28, dtype="u2").reshape(20, 24, 28)
    np.testing.assert_array_equal(open_zarr(tmp_path / "a.zarr").read(), expected)


MEMORY = """
import resource, sys, numpy as np
from segkit import Volume
from segkit.writing import write_volume
side = int(sys.argv[2])
line = (np.arange(side) % 251).astype("u1")
volume = Volume(np.broadcast_to(line, (64, side, side)), voxel_size=(8.0, 8.0, 8.0), unit="nm")
write_volume(volume, sys.argv[1], block_shape=(64, 64, 64), chunk_shape=(64, 64, 64))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_volume(tmp_path: Path) -> None:
    peaks = []
    for side in (128, 896):  # 1 and 49 MiB
        ran = subprocess.run(
            [sys.executable, "-c", MEMORY, str(tmp_path / f"{side}.zarr"), str(side)],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        peaks.append(int(ran.stdout))
    assert peaks[1] - peaks[0] < 16, peaks


def test_blocks_a_user_chooses(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="block_shape"):
        write_volume(volume_of(), tmp_path / "a.zarr", block_shape=(0, 8, 8))
    with pytest.raises(UsageError, match="whole chunks"):
        write_volume(volume_of(), tmp_path / "a.zarr", block_shape=(12, 8, 8), chunk_shape=(8, 8, 8))
    assert not (tmp_path / "a.zarr").exists()


def test_the_blocks_of_an_output_are_files(tmp_path: Path) -> None:
    write_volume(volume_of(), tmp_path / "a.zarr", **SMALL)
    blocks = Blocks(tmp_path / "a.zarr" / "0")
    assert sorted(blocks.file(i) for i in range(8)) == sorted(
        f for f in (tmp_path / "a.zarr/0/c").rglob("*") if f.is_file()
    )
