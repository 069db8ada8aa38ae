"""One child process of the viewer: a segkit command with its output in a log file; knows no Qt."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Child"]

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_COUNT = re.compile(r"(\d+)/(\d+)")


class Child:
    """A running ``segkit`` command.

    It ends by itself, with everything saved, when this process is gone.

    Parameters
    ----------
    arguments
        What follows ``segkit`` on the command line.
    log
        File that gets everything the command prints; its folder is made.
    """

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.arguments = tuple(arguments)
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "napari_segkit._guarded", *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def command(self) -> str:
        """The same command as somebody would type it."""
        return " ".join(["segkit", *self.arguments])

    def exit_code(self) -> int | None:
        """Return the exit code, None while it runs; 143 and negative ones mean that it was stopped."""
        code = self._process.poll()
        if code is not None:
            self.stop()
        return code

    def stop(self) -> None:
        """Ask it to save everything and end; returns at once, and asking again changes nothing.

        A second signal would end it at once, so there is one way to ask: the pipe that also closes when this process
        ends by any means.
        """
        if self._process.stdin is not None:
            self._process.stdin.close()

    def kill(self) -> None:
        """End it at once; what it published before stays."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self.exit_code()

    def wait(self, seconds: float) -> int | None:
        """Wait for its end for at most so long, and return the exit code if it came."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        return self.exit_code()

    def output(self, characters: int = 20_000) -> str:
        """Return the end of what it printed."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - characters))
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return _ANSI.sub("", text).replace("\r", "\n")

    def error(self) -> str:
        """Return the one sentence that says why it failed, as far as its output tells."""
        lines = [line.strip() for line in self.output().splitlines() if line.strip()]
        errors = [line.removeprefix("error:").strip() for line in lines if line.startswith("error:")]
        return (errors or lines or [f"The command ended with code {self.exit_code()} and said nothing."])[-1]

    def count(self) -> tuple[int, int] | None:
        """Return how many units of how many are done, if its output says so."""
        for line in reversed(self.output(2_000).splitlines()):
            found = _COUNT.search(line)
            if found and int(found[2]):
                return int(found[1]), int(found[2])
        return None
