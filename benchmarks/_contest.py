"""A contest: the same work done by segkit and by others, each in a process and a virtual environment of its own.

A script defines one `Contest`, with a function for each contestant. Run as it is, the script prepares the data, starts
every contestant, lets them take turns, round by round, and compares medians. The processes it starts run the same file
with ``--enter``, so the file imports nothing at its top that a peer's environment lacks.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Contest", "Result", "python_of"]

Task = Mapping[str, Any]
Work = Callable[[int], "float | tuple[float, Callable[[], Sequence[float]]]"]

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".venv" / "peers"


def python_of(environment: str) -> str:
    """Return the interpreter of a peer's virtual environment, made from ``benchmarks/peers/<name>.txt`` if need be."""
    if environment == "segkit":
        return sys.executable
    folder = PEERS / environment
    ready = folder / "ready"
    if not ready.exists():
        print(f"Installing the peer {environment}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        requirements = ROOT / "benchmarks" / "peers" / f"{environment}.txt"
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", requirements], check=True)
        ready.touch()
    return str(folder / "bin" / "python")


@dataclass
class Result:
    """What one contestant did in one case.

    Parameters
    ----------
    rates
        Units of work a second, one for each round.
    peak
        Largest resident memory of its process, in MiB.
    values
        What the work found, if it says so.
    """

    rates: list[float] = field(default_factory=list)
    peak: float = 0.0
    values: Sequence[float] = ()

    @property
    def rate(self) -> float:
        """Median over the rounds; NaN for a contestant that could not do the work."""
        return statistics.median(self.rates) if self.rates else float("nan")


class _Process:
    """A contestant at work: it answers each line with the seconds and units of one round."""

    def __init__(self, script: Path, name: str, environment: str, task: Task, threads: int) -> None:
        limits = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
        self.process = subprocess.Popen(
            [python_of(environment), script, "--enter", name, json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **limits, "PYTHONWARNINGS": "ignore"},
        )
        self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("> "):  # libraries print other things
                found: dict[str, Any] = json.loads(line[2:])
                return found
        raise RuntimeError("the contestant stopped")

    def turn(self, number: int, result: Result) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()
        found = self.answer()
        if number:
            result.rates.append(found["units"] / found["seconds"])
            result.values = found["values"]

    def end(self) -> float:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            return self.answer()["peak"]
        finally:
            self.process.wait()


def peak_memory() -> float:
    """Return the largest resident memory of this process in MiB; ``ru_maxrss`` would count what its parent had."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


class Contest:
    """Contestants for one kind of work.

    Parameters
    ----------
    script
        The file that defines them: ``__file__``.
    threads
        Threads that numerical libraries may use in each process.
    clock
        What is measured: seconds by the wall, or `time.process_time` for work so long that others disturb it.
    """

    def __init__(self, script: str, threads: int = 2, clock: Callable[[], float] = time.perf_counter) -> None:
        self.script, self.threads, self.clock = Path(script).resolve(), threads, clock
        self.contestants: dict[str, tuple[str, Callable[[Task], Work]]] = {}

    def contestant(self, name: str, environment: str = "segkit") -> Callable[[Any], Any]:
        """Add a function that gets a task ready and returns the work.

        The work is called with the number of the round, from 1; it returns the units done, and, if that is to be
        compared, a function that tells what was found. Round 0 warms up.
        """

        def add(function: Callable[[Task], Work]) -> Callable[[Task], Work]:
            self.contestants[name] = (environment, function)
            return function

        return add

    def enter_if_asked(self) -> None:
        """In a process started by `compare`: do the work, round by round, and leave."""
        if sys.argv[1:2] != ["--enter"]:
            return
        _, function = self.contestants[sys.argv[2]]
        work = function(json.loads(sys.argv[3]))
        print("> {}", flush=True)
        for line in sys.stdin:
            began = self.clock()
            done = work(int(line))
            seconds = self.clock() - began
            units, find = done if isinstance(done, tuple) else (done, tuple)
            values = find()  # looked at when the clock has stopped
            del done, find  # the memory of a result is there again for the next round
            print("> " + json.dumps({"seconds": seconds, "units": units, "values": list(values)}), flush=True)
        print("> " + json.dumps({"peak": peak_memory()}), flush=True)
        os._exit(0)  # some peers leave threads behind that never end

    def compare(self, task: Task, names: Sequence[str], rounds: int) -> dict[str, Result]:
        """Let contestants take turns at a task; a first turn of each warms up and does not count."""
        results = {name: Result() for name in names}
        running: dict[str, _Process] = {}
        for name in names:
            try:
                running[name] = _Process(self.script, name, self.contestants[name][0], task, self.threads)
                running[name].turn(0, results[name])
            except RuntimeError:
                running.pop(name, None)
                print(f"{name} could not do this", flush=True)
        for number in range(1, rounds + 1):
            order = list(running)
            for name in order[number % len(order) :] + order[: number % len(order)]:
                running[name].turn(number, results[name])
        for name, process in running.items():
            results[name].peak = process.end()
        return results
