"""The plugin as a package: a valid manifest, and nothing heavy at import."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest


def test_importing_the_plugin_loads_nothing_heavy() -> None:
    code = (
        "import sys, napari_segkit, napari_segkit.session.trainings._run_progress, napari_segkit.session.trainings._run_folder, napari_segkit.session.jobs._child\n"
        "assert not {'torch', 'napari', 'qtpy', 'zarr'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(find_spec("npe2") is None, reason="napari is not installed")
def test_point_2_the_manifest_is_valid_and_its_commands_exist() -> None:
    from pathlib import Path

    from npe2 import PluginManifest

    import napari_segkit

    manifest = PluginManifest.from_file(Path(napari_segkit.__file__).with_name("napari.yaml"))
    assert manifest.name == "segkit-sdk"
    verbs = ("Open", "Generate", "Paint", "Start", "Focus", "Pause", "Stop", "Show", "Save", "Write")
    assert all(command.title.split()[0] in verbs for command in manifest.contributions.commands)
    for settings in manifest.contributions.configurations.values():
        for name, entry in settings.properties.items():
            assert entry.title, name
            assert entry.description, name
    manifest.validate_imports()


@pytest.mark.skipif(find_spec("npe2") is None, reason="napari is not installed")
def test_napari_finds_the_plugin_through_its_entry_point() -> None:
    from npe2 import PluginManifest

    found = PluginManifest.from_distribution("segkit-sdk")
    assert found.display_name == "segkit"


def test_view_says_how_to_install_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from segkit.cli import _view
    from segkit.errors import PluginError, UsageError

    monkeypatch.setattr(_view, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match=r"pip install 'segkit-sdk\[napari\]'"):
        _view._require_viewer()
    monkeypatch.setattr(_view, "find_spec", lambda name: name)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_view.sys, "platform", "linux")
    with pytest.raises(UsageError, match="no display"):
        _view._require_viewer()
