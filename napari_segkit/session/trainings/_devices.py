"""Where a training can run, and how much memory is free there, found out without torch."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass

import psutil

__all__ = ["Device", "devices"]


@dataclass(frozen=True)
class Device:
    """One choice of the entry ``training.device``.

    Parameters
    ----------
    key
        What the recipe says.
    label
        Its name and free memory.
    """

    key: str
    label: str


def devices() -> list[Device]:
    """Return what there is, the first being what ``auto`` will take; asks programs, so call it in a thread."""
    cores = os.cpu_count() or 1
    free = psutil.virtual_memory().available / 1e9
    found = [Device("cpu", f"CPU · {cores} cores · {free:.0f} GB free")]
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        found.insert(0, Device("mps", f"Apple GPU · {free:.0f} GB free"))
    program = shutil.which("nvidia-smi")
    if program:
        command = [program, "--query-gpu=name,memory.free", "--format=csv,noheader,nounits"]
        try:
            said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
            name, _, mib = said.strip().splitlines()[0].rpartition(",")
            found.insert(0, Device("cuda", f"{name.strip()} · {float(mib) * 2**20 / 1e9:.0f} GB free"))
        except (OSError, subprocess.SubprocessError, ValueError, IndexError):
            pass  # a driver that does not answer is no GPU
    return found
