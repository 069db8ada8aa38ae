"""Child processes: their output, their end, and that none survives its parent."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from napari_segkit.session.jobs._child import Attached, Child, output_of
from segkit.durable import read_records

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

# A parent needs the real segkit; only its child is to find the fake one.
WITHOUT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


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


def start(arguments: list[str], folder: Path) -> Child:
    return Child(arguments, folder / "log", folder / "events.jsonl")


def test_a_command_that_ends_leaves_its_output_and_says_so(tmp_path: Path) -> None:
    assert start(["--version"], tmp_path).wait(30) == 0
    assert "segkit, version" in output_of(tmp_path / "log")
    assert read_records(tmp_path / "events.jsonl")[0] == [{"event": "ended", "code": 0}]


def test_a_failure_is_one_record(tmp_path: Path) -> None:
    code = start(["train", str(tmp_path / "missing.toml")], tmp_path).wait(60)
    failed, ended = read_records(tmp_path / "events.jsonl")[0]
    assert failed["type"] == "DataError"
    assert failed["message"].startswith("There is no recipe")
    assert ended["code"] == code == 65


def test_stopping_lets_the_child_save(sleeper: Path, tmp_path: Path) -> None:
    child = start([str(sleeper)], tmp_path)
    wait_for(lambda: sleeper.exists() and sleeper.read_text() == "ready")
    assert child.exit_code() is None
    child.stop()
    child.stop()
    assert child.wait(20) == 143
    assert sleeper.read_text() == "saved"


def test_a_child_can_be_ended_at_once(sleeper: Path, tmp_path: Path) -> None:
    child = start([str(sleeper)], tmp_path)
    wait_for(lambda: sleeper.exists() and sleeper.read_text() == "ready")
    child.kill()
    assert child.exit_code() not in (0, 143, None)
    assert sleeper.read_text() == "ready"


def test_no_child_survives_a_killed_parent(sleeper: Path, tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
import os
from napari_segkit.session.jobs._child import Child
os.environ['PYTHONPATH'] = {str(tmp_path / "fake")!r}
Child([{str(sleeper)!r}], Path({str(tmp_path / "log")!r}), Path({str(tmp_path / "events")!r}))
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], env=WITHOUT)
    try:
        wait_for(lambda: sleeper.exists() and sleeper.read_text() == "ready")
    finally:
        parent.kill()
        parent.wait()
    wait_for(lambda: sleeper.read_text() == "saved")


def test_a_child_that_is_kept_outlives_its_parent_and_is_found_again(sleeper: Path, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
import os
from napari_segkit.session.jobs._child import Child
os.environ['PYTHONPATH'] = {str(tmp_path / "fake")!r}
child = Child([{str(sleeper)!r}], Path({str(tmp_path / "log")!r}), Path({str(tmp_path / "events")!r}))
child.keep()
print(child.pid, child.started)
"""
    pid, started = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=WITHOUT
    ).stdout.split()
    wait_for(lambda: sleeper.exists() and sleeper.read_text() == "ready")
    found = Attached(int(pid), float(started))
    assert found.exit_code() is None
    assert Attached(int(pid), float(started) + 100).exit_code() == 0, "another process of the same id is not the child"
    found.stop()
    wait_for(lambda: sleeper.read_text() == "saved" and found.exit_code() is not None)
