"""Child processes: their output, their end, and that none survives its parent."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from napari_segkit._child import Child

PAUSE = """
import signal, sys, time
from pathlib import Path
def stop(number, frame):
    Path(sys.argv[-1]).write_text("saved")
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
Path(sys.argv[-1]).write_text("ready")
while True:
    time.sleep(0.05)
"""


def wait_for(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)


@pytest.fixture
def sleeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `segkit.cli` of our own, whose command waits to be stopped and then says so in a file."""
    package = tmp_path / "fake" / "segkit" / "cli"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("")
    (package / "__init__.py").write_text("def main(args):\n" + textwrap.indent(PAUSE, "    "))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
    return tmp_path / "state.txt"


def test_a_command_that_ends_leaves_its_output(tmp_path: Path) -> None:
    child = Child(["--version"], tmp_path / "logs" / "version.log")
    assert child.wait(30) == 0
    assert "segkit, version" in child.output()
    assert child.command == "segkit --version"


def test_a_failure_is_one_sentence(tmp_path: Path) -> None:
    child = Child(["train", str(tmp_path / "missing.toml")], tmp_path / "train.log")
    assert child.wait(60) not in (0, None)
    assert child.error().startswith("There is no recipe")
    assert "Traceback" not in child.error()


def test_stopping_lets_the_child_save(sleeper: Path, tmp_path: Path) -> None:
    child = Child([str(sleeper)], tmp_path / "log")
    wait_for(lambda: sleeper.exists() and sleeper.read_text() == "ready")
    assert child.exit_code() is None
    child.stop()
    child.stop()
    assert child.wait(20) == 143
    assert sleeper.read_text() == "saved"


def test_a_child_can_be_ended_at_once(sleeper: Path, tmp_path: Path) -> None:
    child = Child([str(sleeper)], tmp_path / "log")
    wait_for(lambda: sleeper.exists() and sleeper.read_text() == "ready")
    child.kill()
    assert child.exit_code() not in (0, 143, None)
    assert sleeper.read_text() == "ready"


def test_no_child_survives_a_killed_parent(sleeper: Path, tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from napari_segkit._child import Child
Child([{str(sleeper)!r}], Path({str(tmp_path / "log")!r}))
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code])
    try:
        wait_for(lambda: sleeper.exists() and sleeper.read_text() == "ready")
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: sleeper.read_text() == "saved")


def test_counts_are_read_from_the_output(tmp_path: Path) -> None:
    child = Child(["--version"], tmp_path / "log")
    child.wait(30)
    assert child.count() is None
    (tmp_path / "log").write_text("predict: 3/64 blocks\npredict: 12/64 blocks, about 9 s left\n")
    assert child.count() == (12, 64)
