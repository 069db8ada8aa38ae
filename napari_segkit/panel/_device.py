"""What networks will run on, found out without loading torch into the viewer."""

from __future__ import annotations

import os
import shutil
import subprocess

__all__ = ["device_text"]


def device_text() -> str:
    """Return name and free memory of the GPU, or the number of processors."""
    tool = shutil.which("nvidia-smi")
    if tool:
        query = [tool, "--query-gpu=name,memory.free", "--format=csv,noheader,nounits"]
        found = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
        if found:
            name, _, free = found.splitlines()[0].rpartition(", ")
            return f"{name} · {float(free) / 1024:.0f} GB free"
    return f"CPU · {os.cpu_count()} cores"
