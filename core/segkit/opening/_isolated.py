"""An array that another process reads, so that a file which crashes or hangs its library takes nothing else with it.

Libraries in C that decode intricate formats (HDF5, microscope makers' files) can be crashed by a damaged file. What they
do happens in a child process with limits to memory and processor time; it serves all files of this process and is
started anew when it dies. Regions come back through a pipe, a few ways at once.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, cast

import numpy as np

from segkit import errors
from segkit.errors import DataError, SegkitError

__all__ = ["Isolated"]

_MOST_AT_ONCE = max(1, min(4, os.cpu_count() or 1))
_PIECE_BYTES = 64 * 2**20


class Isolated:
    """The array that ``opener(*arguments)`` opens in a child process.

    Parameters
    ----------
    opener
        A function of a module. It returns the array, whose slices are read one region at a time, and facts about it:
        anything JSON can say. A `DataError` that it raises arrives here; a crash becomes one.
    arguments
        What it takes, anything JSON can say; the first is the path, for messages.
    """

    def __init__(self, opener: Callable[..., tuple[Any, dict[str, Any]]], *arguments: Any) -> None:
        self._how = (opener, *arguments)
        self._request = {"opener": [opener.__module__, opener.__qualname__], "arguments": list(arguments)}
        answer, _ = self._ask({})
        self.shape: tuple[int, ...] = tuple(answer["shape"])
        self.dtype: np.dtype[Any] = np.dtype(answer["dtype"])
        self.facts: dict[str, Any] = answer["facts"]
        self._chunks: tuple[int, ...] = tuple(answer["chunks"] or (1,) * len(self.shape))

    def _ask(self, more: dict[str, Any]) -> tuple[dict[str, Any], bytearray]:
        with _children.lend() as child:
            answer, payload = child.ask(self._request | more, str(self._how[1]))
        if "error" in answer:
            kind = getattr(errors, answer["error"], DataError)
            raise cast("type[SegkitError]", kind)(answer["message"])
        return answer, payload

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        ranges = [range(*part.indices(n)) for part, n in zip(key, self.shape, strict=True)]
        shape = tuple(len(r) for r in ranges)
        long = [axis for axis, n in enumerate(shape) if n > self._chunks[axis]]
        if math.prod(shape) * self.dtype.itemsize > _PIECE_BYTES and long:
            axis, chunk = long[0], self._chunks[long[0]]
            first, last = ranges[axis].start, ranges[axis].stop
            middle = max(first // chunk + 1, (first + last) // 2 // chunk) * chunk
            halves = [slice(first, middle), slice(middle, last)]
            voxels = np.empty(shape, self.dtype)
            for half in halves:
                place = [slice(None)] * axis + [slice(half.start - first, half.stop - first)]
                voxels[tuple(place)] = self[(*key[:axis], half, *key[axis + 1 :])]
            return voxels
        _, payload = self._ask({"region": [[r.start, r.stop] for r in ranges]})
        return np.frombuffer(payload, self.dtype).reshape(shape)

    def __reduce__(self) -> tuple[type[Isolated], tuple[Any, ...]]:
        return Isolated, self._how


@contextmanager
def _no_pipe_signal() -> Iterator[None]:
    """Let writing to a dead process fail with an error, also where a program ends at SIGPIPE, as the command line does."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
    try:
        yield
    finally:
        if signal.SIGPIPE in signal.sigpending() and signal.SIGPIPE not in before:
            signal.sigwait({signal.SIGPIPE})
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Child:
    """One process that opens and reads on demand."""

    def __init__(self) -> None:
        # -P: a folder that someone else filled is not searched for modules because it is the current one.
        command = [sys.executable, "-P", "-m", "segkit.opening._isolated_child"]
        surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=surroundings | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    def ask(self, request: dict[str, Any], source: str) -> tuple[dict[str, Any], bytearray]:
        """Send a request and return the answer with the bytes that follow it."""
        ingoing, outgoing = cast("IO[bytes]", self.process.stdin), cast("IO[bytes]", self.process.stdout)
        try:
            with _no_pipe_signal():
                line = json.dumps(request).encode() + b"\n"
                while line:
                    line = line[os.write(ingoing.fileno(), line) :]  # nothing stays in a buffer to be written later
            line = outgoing.readline()
            answer = json.loads(line) if line.endswith(b"\n") else None
            if answer is not None:
                payload = bytearray(int(answer.get("bytes", 0)))
                view = memoryview(payload)
                while view and (count := outgoing.readinto(view)):  # type: ignore[attr-defined]
                    view = view[count:]
                if not view:
                    return answer, payload
        except (BrokenPipeError, ConnectionError):
            pass
        return {"error": "DataError", "message": f"{source} cannot be read: {self._end()}"}, bytearray()

    def _end(self) -> str:
        """Say why the process ended, as it did or is about to do."""
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
        code = self.process.wait()
        self.stop()
        if code == -getattr(signal, "SIGPROF", 0):
            return "decoding it does not come to an end. It is damaged; copy it again."
        what = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return (
            f"the library that decodes it crashed on it ({what}). It is damaged, or needs more memory than segkit allows one "
            "file; copy it again."
        )

    @property
    def alive(self) -> bool:
        """Whether it can be asked again."""
        return self.process.poll() is None

    def stop(self) -> None:
        """End the process: it has nothing to lose."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                cast("IO[bytes]", pipe).close()


class _Children:
    """The processes of this process, each lent to one thread at a time."""

    def __init__(self) -> None:
        self._idle: list[_Child] = []
        self._slots = threading.Semaphore(_MOST_AT_ONCE)

    @contextmanager
    def lend(self) -> Iterator[_Child]:
        with self._slots:
            try:
                child = self._idle.pop()
            except IndexError:
                child = _Child()
            try:
                yield child
            except BaseException:  # such as Ctrl+C between question and answer
                child.stop()
                raise
            if child.alive:
                self._idle.append(child)

    def stop(self) -> None:
        """End those that nobody uses."""
        while self._idle:
            self._idle.pop().stop()


_children = _Children()
_of_others: list[_Children] = []


def _forget() -> None:
    """Leave the children to the process that this one was forked from."""
    global _children
    _of_others.append(_children)
    _children = _Children()


atexit.register(lambda: _children.stop())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
