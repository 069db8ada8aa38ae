"""From an empty viewer to a focused neuron, by real clicks in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "first_success.py"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_point_48_first_success(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", SCRIPT, tmp_path], capture_output=True, text=True, check=False
    )
    print(done.stdout)
    found = re.search(r"(\d+) clicks, (\d+) s, longest stall", done.stdout)
    assert found is not None, done.stderr
    assert int(found[1]) <= 8
    assert int(found[2]) < 180
    assert "kinds of units and axes: 1\n" in done.stdout  # point 20, over everything that is shown
    assert len(list(tmp_path.glob("*.png"))) == 6
