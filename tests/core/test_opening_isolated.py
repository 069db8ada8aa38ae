"""Arrays that another process reads: what it says arrives, and its death is one error."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import DataError, UsageError
from segkit.opening import Isolated, _isolated

ARRAY = np.arange(6 * 7 * 8, dtype=">u4").reshape(6, 7, 8)


class Trap:
    """An array that does something else than giving its voxels."""

    shape, dtype, chunks = (4,), np.dtype("u1"), (4,)

    def __init__(self, deed: str) -> None:
        self.deed = deed

    def __getitem__(self, key: tuple[slice, ...]) -> Any:
        if self.deed == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        while self.deed == "hang":
            pass
        if self.deed == "bomb":
            return np.ones(2**40, np.uint8)
        raise UsageError("not so")


def plain(path: str) -> tuple[Any, dict[str, Any]]:
    print("what libraries print is no answer")
    return ARRAY, {"name": path, "process": os.getpid()}


def trap(path: str, deed: str) -> tuple[Any, dict[str, Any]]:
    if deed == "refuse":
        raise DataError(f"{path} is torn")
    if deed == "exit":
        sys.exit(3)
    if deed == "hang":
        sys.modules["__main__"]._SECONDS = 0.3  # of the process that reads
    return Trap(deed), {}


@pytest.fixture(autouse=True)
def _importable_there(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    for function in (plain, trap):
        monkeypatch.setattr(function, "__module__", Path(__file__).stem)
    _isolated._children.stop()
    yield
    _isolated._children.stop()


def test_voxels_and_facts_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    array = Isolated(plain, "a")
    assert (array.shape, array.dtype, array.facts["name"]) == (ARRAY.shape, ARRAY.dtype, "a")
    assert array.facts["process"] != os.getpid()
    key = (slice(1, 5), slice(0, 7), slice(2, 3))
    np.testing.assert_array_equal(array[key], ARRAY[key])
    monkeypatch.setattr(_isolated, "_PIECE_BYTES", 64)
    np.testing.assert_array_equal(array[key], ARRAY[key])
    np.testing.assert_array_equal(array[(slice(None),) * 3], ARRAY)
    assert len(_isolated._children._idle) == 1


def test_errors_arrive_as_what_they_were() -> None:
    with pytest.raises(DataError, match="a is torn"):
        Isolated(trap, "a", "refuse")
    with pytest.raises(UsageError, match="not so"):
        Isolated(trap, "a", "raise")[(slice(0, 1),)]
    with pytest.raises(DataError, match=r"a cannot be read: Unable to allocate"):
        Isolated(trap, "a", "bomb")[(slice(0, 1),)]
    assert len(_isolated._children._idle) == 1


def test_a_death_is_one_error_and_the_next_file_is_read() -> None:
    with pytest.raises(DataError, match=r"a cannot be read: .*crashed on it \(SIGSEGV\)"):
        Isolated(trap, "a", "crash")[(slice(0, 1),)]
    with pytest.raises(DataError, match="exit code 3"):
        Isolated(trap, "a", "exit")
    began = time.monotonic()
    with pytest.raises(DataError, match="does not come to an end"):
        Isolated(trap, "a", "hang")[(slice(0, 1),)]
    assert time.monotonic() - began < 10
    assert Isolated(plain, "a")[(slice(0, 1),) * 3] == 0


@pytest.mark.parametrize("at_a_broken_pipe", [signal.SIG_IGN, signal.SIG_DFL])
def test_a_dead_process_is_replaced_under_an_open_array(at_a_broken_pipe: signal.Handlers) -> None:
    before = signal.signal(signal.SIGPIPE, at_a_broken_pipe)  # the command line ends at one, as others do
    try:
        replace_a_dead_process()
    finally:
        signal.signal(signal.SIGPIPE, before)


def replace_a_dead_process() -> None:
    array = Isolated(plain, "a")
    (child,) = _isolated._children._idle
    os.kill(child.process.pid, signal.SIGKILL)
    child.process.wait()
    with pytest.raises(DataError, match="SIGKILL"):
        array[(slice(0, 1),) * 3]
    assert array[(slice(0, 1),) * 3] == 0


def test_many_threads_and_other_processes_ask() -> None:
    array, found = Isolated(plain, "a"), {}

    def read(z: int) -> None:
        found[z] = array[(slice(z, z + 1), slice(0, 7), slice(0, 8))]

    threads = [threading.Thread(target=read, args=(z,)) for z in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(np.concatenate([found[z] for z in range(6)]), ARRAY)
    assert pickle.loads(pickle.dumps(array))[(slice(5, 6), slice(0, 1), slice(0, 1))] == ARRAY[5, 0, 0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
def test_a_fork_has_children_of_its_own() -> None:
    array = Isolated(plain, "a")
    for _ in range(2):
        pid = os.fork()
        if pid == 0:
            right = np.array_equal(array[(slice(None),) * 3], ARRAY)
            _isolated._children.stop()
            os._exit(0 if right else 1)
        assert array[(slice(0, 1),) * 3] == 0
        assert os.waitpid(pid, 0)[1] == 0
