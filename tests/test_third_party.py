"""A stranger's plugin, installed with pip beside a wheel of segkit, shows up everywhere with nothing edited."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import segkit

ROOT = Path(__file__).parent.parent
PLUGIN = ROOT / "examples" / "segkit-attention"

pytestmark = pytest.mark.slow


def run(*words: str | Path, cwd: Path | None = None) -> str:
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SEGKIT"))}
    surroundings["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    done = subprocess.run([str(word) for word in words], env=surroundings, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of segkit."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def venv(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with that wheel and the example plugin, which borrows everything heavy from this one."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip()
    # A folder named by a .pth file is searched, and its own .pth files (this checkout, installed for editing) are not.
    Path(site, "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    install = (python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--ignore-installed")
    run(*install, "--no-index", wheel, PLUGIN)
    return folder


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    plugins = {folder.name for folder in (ROOT / "plugins").glob("segkit_*")}
    assert tops == {"segkit", "napari_segkit", f"segkit_sdk-{segkit.__version__}.dist-info", *plugins}
    for needed in (
        "segkit/py.typed",
        "napari_segkit/napari.yaml",
        "segkit/testing/__init__.py",
        "segkit/cli/__init__.py",
    ):
        assert needed in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert not [name for name in names if name.endswith((".pyc", ".ipynb", ".zarr")) or "/tests/" in name]


def test_the_wheel_is_what_is_imported(venv: Path) -> None:
    where = run(
        venv / "bin" / "python", "-c", "import segkit, segkit_unet; print(segkit.__file__, segkit_unet.__file__)"
    )
    assert all(path.startswith(str(venv)) for path in where.split())


def test_it_is_listed(venv: Path) -> None:
    table = run(venv / "bin" / "segkit", "list")
    (line,) = [line for line in table.splitlines() if line.startswith("attention_net ")]
    assert line.split()[1] == "attention"
    assert "Small U-shaped network with self-attention" in line
    assert any(line.startswith("tversky_squared ") for line in table.splitlines())
    assert "unet" in table


def test_its_parameters_are_shown(venv: Path) -> None:
    (shown,) = json.loads(run(venv / "bin" / "segkit", "show", "attention_net", "--json"))
    assert (shown["kind"], shown["plugin"], shown["distribution"], shown["version"]) == (
        "architecture",
        "attention",
        "segkit-attention",
        "0.1.0",
    )
    assert {p["name"]: (p["type"], p["default"]) for p in shown["parameters"]} == {
        "width": ("int 4..256", 16),
        "heads": ("int 1..16", 4),
        "tokens": ("int 1..16", 4),
    }
    assert "attention_net" in run(venv / "bin" / "segkit", "show", "attention:attention_net")


def test_it_is_among_the_plugins(venv: Path) -> None:
    records = {record["name"]: record for record in json.loads(run(venv / "bin" / "segkit", "plugins", "--json"))}
    assert records["attention"]["components"] == {"architectures": ["attention_net"], "losses": ["tversky_squared"]}
    assert records["attention"]["error"] == ""
    assert records["unet"]["distribution"] == "segkit-sdk"


def test_python_builds_it(venv: Path) -> None:
    code = (
        "import segkit, torch\n"
        "network = segkit.architectures['attention_net'](1, 2, width=4, heads=2)\n"
        "print(tuple(network(torch.zeros(1, 1, 3, 9, 9)).shape))\n"
        "try:\n    segkit.architectures['attention_net'](1, 2, heads=99)\n"
        "except ValueError as error:\n    print(error)\n"
    )
    shape, refusal = run(venv / "bin" / "python", "-c", code).splitlines()
    assert shape == "(1, 2, 3, 9, 9)"
    assert "`architecture.heads` is 99" in refusal
    assert "int 1..16" in refusal


def test_the_form_in_napari_shows_it(venv: Path) -> None:
    pytest.importorskip("napari")
    code = """
from qtpy.QtWidgets import QApplication
application = QApplication([])
from napari_segkit.forms._component_picker import ComponentPicker
picker = ComponentPicker("architectures")
assert picker.choose("attention_net")
form = picker.forms[picker.component.qualified]
print(sorted(form.editors), picker.table()["name"], picker.summary.text())
"""
    shown = run(venv / "bin" / "python", "-c", f"import os; os.environ['QT_QPA_PLATFORM'] = 'offscreen'{code}")
    assert shown.startswith("['heads', 'tokens', 'width'] attention:attention_net ")


def test_its_own_tests_pass(venv: Path) -> None:
    plain = (
        "-p",
        "no:cacheprovider",
        "-p",
        "no:napari",
        "-p",
        "no:napari-plugin-engine",
        "-p",
        "no:npe2",
        "-p",
        "no:zarr",
    )
    assert " passed" in run(venv / "bin" / "python", "-m", "pytest", "-q", *plain, cwd=PLUGIN)


def test_it_goes_as_it_came(venv: Path) -> None:
    run(venv / "bin" / "python", "-m", "pip", "uninstall", "--yes", "--quiet", "segkit-attention")
    assert "attention_net" not in run(venv / "bin" / "segkit", "list")
