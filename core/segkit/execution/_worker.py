"""What runs on the workers of a cluster: the task is unpacked once a process, then done for a batch of indices."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Any

from segkit.errors import SegkitError
from segkit.execution._failure import Failure, outcome_of
from segkit.execution._ledger import Returned

__all__ = ["Unfit", "introduce", "keep", "pack", "work"]

Task = Callable[[int], Any]

_lock = threading.Lock()
_unpacked: dict[bytes, Task] = {}


class Unfit(SegkitError):
    """A worker that cannot take part at all."""


def pack(task: Task) -> tuple[bytes, bytes]:
    """Return the bytes that a task travels as, and their name."""
    from distributed.protocol.pickle import dumps

    packed: bytes = dumps(task)
    return packed, blake2b(packed, digest_size=16).digest()


def keep(packed: bytes) -> bytes:
    """Return the same; as a task of the cluster it has large bytes travel to each worker once."""
    return packed


def introduce() -> dict[str, Any]:
    """Say which segkit a worker has, and where it runs."""
    import socket

    from segkit import __version__

    return {"version": __version__, "host": socket.gethostname(), "python": sys.version.split()[0]}


def work(packed: bytes, name: bytes, indices: tuple[int, ...], threads: int) -> Returned:
    """Do a batch; a failure of one index is part of what is returned.

    Parameters
    ----------
    packed, name
        See `pack`.
    indices
        The batch.
    threads
        How many threads torch uses for one index; 0 leaves that as it is.
    """
    from distributed import get_worker

    worker = str(get_worker().address)
    try:
        task = _unpack(packed, name, threads)
    except Exception as error:  # a plugin, a file or memory that this worker lacks
        reason = f"The worker {worker} ({introduce()['host']}) cannot load the work: {Failure.of(error).reason}"
        return Returned(tuple((index, Failure(reason, Unfit(reason))) for index in indices), 0.0, worker)
    began = time.perf_counter()
    outcomes = tuple((index, _portable(outcome)) for index, outcome in _outcomes(task, indices))
    return Returned(outcomes, time.perf_counter() - began, worker)


def _outcomes(task: Task, indices: tuple[int, ...]) -> Iterator[tuple[int, Any]]:
    many = getattr(task, "many", None)
    if many is None or len(indices) == 1:
        yield from ((index, outcome_of(task, index)) for index in indices)
        return
    left = list(indices)
    try:
        for index, outcome in many(indices):
            yield index, outcome
            left.remove(index)
    except Exception as error:
        yield from ((index, Failure.of(error)) for index in left)


def _portable(outcome: Any) -> Any:
    """Leave out an exception of somebody else's, which may not survive the way back."""
    if isinstance(outcome, Failure) and not isinstance(outcome.error, SegkitError | MemoryError):
        return Failure(outcome.reason)
    return outcome


def _unpack(packed: bytes, name: bytes, threads: int) -> Task:
    from distributed.protocol.pickle import loads

    with _lock:  # the threads of a worker share one task, and so one network in memory
        if name not in _unpacked:
            _unpacked.clear()
            task: Task = loads(packed)
            torch = sys.modules.get("torch")
            if torch is not None and threads:
                torch.set_num_threads(threads)
            _unpacked[name] = task
        return _unpacked[name]
