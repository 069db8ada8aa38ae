"""Installing segkit beside napari changes nobody's Qt, napari or torch."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
QT = {"pyqt5", "pyqt6", "pyside2", "pyside6", "pyside6-essentials"}


def test_point_1_no_qt_binding_is_required_and_nothing_is_held_back() -> None:
    found = [Requirement(line) for line in requires("segkit-sdk") or []]
    wanted = [requirement for requirement in found if "test" not in str(requirement.marker or "")]
    assert not QT & {requirement.name.lower() for requirement in wanted}
    assert not any("all" in requirement.extras for requirement in wanted if requirement.name == "napari")
    for requirement in wanted:
        if requirement.name in ("napari", "torch", "numpy", "qtpy"):
            assert not any(specifier.operator in ("==", "<", "<=", "~=") for specifier in requirement.specifier), (
                requirement
            )


@pytest.mark.slow
@pytest.mark.skipif(find_spec("napari") is None, reason="napari is not installed")
def test_point_1_installing_beside_napari_installs_only_segkit() -> None:
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--report", "-", f"{ROOT}[napari]"]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    names = {entry["metadata"]["name"] for entry in json.loads(report)["install"]}
    assert names == {"segkit-sdk"}
