"""Processes that run segkit commands: those that this one started, and those that an earlier one left running."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import psutil

from napari_segkit._guarded import KEEP

__all__ = ["Attached", "Child", "Process", "output_of"]

# Held until they end, so that those which are let go on are reaped as well.
_running: set[subprocess.Popen[bytes]] = set()
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Process(Protocol):
    """What a job asks of its process."""

    pid: int
    started: float

    def exit_code(self) -> int | None:
        """Return the exit code; None while it runs."""

    def stop(self) -> None:
        """Ask it to save everything and end; returns at once, and asking again changes nothing."""

    def keep(self) -> None:
        """Let it go on when this process ends."""

    def kill(self) -> None:
        """End it at once; what it published before stays."""


class Child:
    """A ``segkit`` command that ends by itself, with everything saved, when this process is gone.

    Parameters
    ----------
    arguments
        What follows ``segkit`` on the command line.
    log
        File that gets everything the command prints.
    events
        File that gets what it does, see `segkit.cli`.
    """

    def __init__(self, arguments: Sequence[str], log: Path, events: Path) -> None:
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "napari_segkit._guarded", *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "SEGKIT_EVENTS": str(events)},
                start_new_session=True,  # Ctrl-C in the viewer's terminal is for the viewer
            )
        _running.difference_update([process for process in _running if process.poll() is not None])
        _running.add(self._process)
        self.pid = self._process.pid
        self.started = started_at(self.pid)

    def exit_code(self) -> int | None:
        """Return the exit code, None while it runs; 143 and negative ones mean that it was stopped."""
        code = self._process.poll()
        if code is not None:
            self.stop()
        return code

    def stop(self) -> None:
        """Ask it to save everything and end.

        A second signal would end it at once, so there is one way to ask: the pipe that also closes when this process
        ends by any means.
        """
        if self._process.stdin is not None:
            self._process.stdin.close()

    def keep(self) -> None:
        """Let it go on when this process ends."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.write(KEEP)
            self._process.stdin.close()

    def kill(self) -> None:
        """End it, and what it started, at once; what it published before stays."""
        if self._process.poll() is None:
            kill_tree(self.pid)
        self._process.wait()
        self.exit_code()

    def wait(self, seconds: float) -> int | None:
        """Wait for its end for at most so long, and return the exit code if it came."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        return self.exit_code()


class Attached:
    """A command that an earlier viewer started and left running on this computer.

    Parameters
    ----------
    pid, started
        Process id, and when it began in seconds since 1970: ids are used again.
    """

    def __init__(self, pid: int, started: float) -> None:
        self.pid, self.started = pid, started

    def exit_code(self) -> int | None:
        """Return None while it runs, and 0 afterwards: what it wrote last says how it ended."""
        return None if started_at(self.pid) == self.started else 0

    def stop(self) -> None:
        """Ask it to save everything and end, as a user would in a shell."""
        if self.exit_code() is None:
            psutil.Process(self.pid).terminate()

    def keep(self) -> None:
        """Let it go on, which it does."""

    def kill(self) -> None:
        """End it at once."""
        if self.exit_code() is None:
            kill_tree(self.pid)


def started_at(pid: int) -> float:
    """Return when a process began, in seconds since 1970; 0 where there is none."""
    try:
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return 0.0


def kill_tree(pid: int) -> None:
    """Kill a process and those that it started."""
    try:
        processes = [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]
    except psutil.NoSuchProcess:
        return
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def output_of(log: Path, characters: int = 20_000) -> str:
    """Return the end of what a command printed."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - characters))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return _ANSI.sub("", text).replace("\r", "\n")
