"""Run the command line of segkit as a child that stops with everything saved when its parent is gone.

The parent holds the other end of this process's standard input. When that end closes, because the viewer was closed,
crashed or was killed, this process sends itself the signal that a user would send to stop it; unless the last that it read
there was `KEEP`, which lets it go on alone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

__all__ = ["KEEP", "main"]

KEEP = b"k"
NICENESS = 5  # the viewer comes first where both want the same processor; alone, a job is as fast as ever


def _stop_with_parent() -> None:
    # Unbuffered: a buffered reader would hold a lock at exit that this thread never gives back.
    last = b""
    while read := os.read(0, 1):
        last = read
    if last == KEEP:
        return
    if os.name == "nt":  # there, os.kill would end the process without asking
        signal.raise_signal(signal.SIGTERM)
    else:
        os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run the command line with this process's arguments."""
    threading.Thread(target=_stop_with_parent, daemon=True, name="segkit-parent").start()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    from segkit.cli import main as run

    run(sys.argv[1:])


if __name__ == "__main__":
    main()
