"""Trainings in processes of their own, on this computer.

A child ends when its standard input does: when it is asked to, and also when the process that started it is killed, so
that no training goes on unseen.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from segkit.errors import StorageError
from segkit.sweeping._folder import Outcome
from segkit.sweeping._training import Trainings, train

__all__ = ["Children"]

_LOOKS_EVERY_SECONDS = 0.1
_MARK = "segkit-outcome "


class Children:
    """The trainings of a sweep by index, each in a child process.

    Parameters
    ----------
    trainings
        What is done.
    threads
        Threads of a training's arithmetic.
    stop
        Whether everything should be saved and end.
    """

    def __init__(self, trainings: Trainings, threads: int, stop: Callable[[], bool]) -> None:
        self._trainings, self._threads, self._stop = trainings, threads, stop

    def __call__(self, index: int) -> Outcome:
        """Start a child and wait for it."""
        if self._stop():
            return Outcome("stopped")
        number, seed = self._trainings.units[index]
        command = [sys.executable, "-m", "segkit.sweeping._children", str(self._trainings.path), str(number), str(seed)]
        # In a group of its own, so that a Ctrl-C of the terminal reaches the sweep alone, which then asks.
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | {"OMP_NUM_THREADS": str(self._threads)},
        )
        said: dict[str, str] = {}
        readers = [
            threading.Thread(target=lambda n=name, s=stream: said.__setitem__(n, s.read()), daemon=True)
            for name, stream in (("out", child.stdout), ("err", child.stderr))
        ]
        for reader in readers:
            reader.start()
        assert child.stdin is not None
        try:
            while True:
                try:
                    child.wait(_LOOKS_EVERY_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    if self._stop() and not child.stdin.closed:
                        child.stdin.close()
        except BaseException:
            child.kill()
            raise
        for reader in readers:
            reader.join()
        return _told(child.returncode, said)


def _told(code: int, said: dict[str, str]) -> Outcome:
    """Return what a child that has ended said of its training."""
    for line in reversed(said["out"].splitlines()):
        if line.startswith(_MARK):
            told = json.loads(line.removeprefix(_MARK))
            if "disk" in told:
                raise StorageError(told["disk"])
            return Outcome(**{**told, "curve": tuple((step, score) for step, score in told["curve"])})
    last = next((line.strip() for line in reversed(said["err"].splitlines()) if line.strip()), "")
    if code < 0:
        name = signal.Signals(-code).name
        return Outcome(
            "failed", f"its process was ended by {name}{', as it is when memory is full' if code == -9 else ''}"
        )
    return Outcome("failed", f"its process ended with code {code}: {last[:300]}")


def _main() -> None:
    path, number, seed = sys.argv[1:]
    asked = threading.Event()

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        asked.set()

    threading.Thread(target=watch, daemon=True).start()
    told: dict[str, object]
    try:
        told = asdict(train(Path(path), int(number), int(seed), asked.is_set))
    except StorageError as error:
        told = {"disk": str(error)}
    sys.stdout.write(f"\n{_MARK}{json.dumps(told)}\n")


if __name__ == "__main__":
    _main()
