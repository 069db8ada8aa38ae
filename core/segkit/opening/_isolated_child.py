"""The process behind `Isolated`: opens and reads what it is asked for, under limits, until its input ends."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from collections import OrderedDict
from collections.abc import Mapping
from importlib import import_module
from typing import IO, Any

import numpy as np

from segkit.errors import SegkitError

__all__: list[str] = []

_MOST_OPEN = 32
_MEMORY = 2 * 2**30
_SECONDS = 4.0  # of processor time for one request, and as much again for each GiB that it decodes


def _limit_memory() -> None:
    try:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, hard))
    except (ImportError, ValueError, OSError):
        return  # not every system can


def _limit_time(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)  # ends the process, even in the middle of a library's loop


def _open(request: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    module, name = request["opener"]
    opened: tuple[Any, dict[str, Any]] = getattr(import_module(module), name)(*request["arguments"])
    return opened


def _answer(request: Mapping[str, Any], held: OrderedDict[str, Any]) -> tuple[dict[str, Any], Any]:
    key = json.dumps([request["opener"], request["arguments"]])
    if "region" not in request:
        held.pop(key, None)  # the file may be another one by now
    if key not in held:
        while len(held) >= _MOST_OPEN:
            held.popitem(last=False)
        _limit_time(_SECONDS)
        held[key] = _open(request)
    held.move_to_end(key)
    array, facts = held[key]
    chunks = getattr(array, "chunks", None)
    if "region" not in request:
        shape, chunks = [int(n) for n in array.shape], None if chunks is None else [int(n) for n in chunks]
        return {"shape": shape, "dtype": np.dtype(array.dtype).str, "chunks": chunks, "facts": facts}, None
    region = tuple(slice(start, stop) for start, stop in request["region"])
    decoded = math.prod(
        s.stop - s.start + (c - 1) * 2 for s, c in zip(region, chunks or (1,) * len(region), strict=True)
    )
    _limit_time(_SECONDS * (1 + decoded * array.dtype.itemsize / 2**30))
    voxels = np.ascontiguousarray(array[region], dtype=array.dtype)
    return {"bytes": voxels.nbytes}, voxels.reshape(-1).view(np.uint8).data


def _serve(ingoing: IO[bytes], outgoing: IO[bytes]) -> None:
    held: OrderedDict[str, Any] = OrderedDict()
    for line in ingoing:
        payload = None
        try:
            answer, payload = _answer(json.loads(line), held)
        except SegkitError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        except Exception as error:
            source, reason = json.loads(line)["arguments"][0], " ".join(str(error).split())[:300]
            message = f"{source} cannot be read: {reason or type(error).__name__}. It is damaged; copy it again."
            answer = {"error": "DataError", "message": message}
        _limit_time(0)
        outgoing.write(json.dumps(answer).encode() + b"\n")
        if payload is not None:
            outgoing.write(payload)
        outgoing.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the process that asks; this one ends with it
    _limit_memory()
    answers = os.fdopen(os.dup(1), "wb", buffering=1 << 20)
    os.dup2(2, 1)  # what libraries print must not look like an answer
    _serve(sys.stdin.buffer, answers)
