"""`open_volume`: arrays as they are, files through whichever format accepts them."""

from __future__ import annotations

import types
from pathlib import Path

import dask.array
import numpy as np
import pytest

import segkit
from segkit import Volume
from segkit.errors import DataError, UnknownNameError, UsageError

ARRAY = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


class Text:
    """A format that opens ``.txt`` files, or breaks on them."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def accepts(self, source: str) -> bool:
        if isinstance(self.error, RuntimeError):
            raise self.error
        return source.endswith(".txt")

    def open(self, source: str) -> Volume:
        if self.error:
            raise self.error
        return Volume.from_array(ARRAY, source=source)


def offer(name: str, error: Exception | None = None) -> None:
    @segkit.hookimpl
    def segkit_formats() -> dict[str, object]:
        return {name: factory}

    def factory() -> Text:
        """Text files."""
        return Text(error)

    segkit.register(types.SimpleNamespace(segkit_formats=segkit_formats), f"plugin_{name}")


def test_arrays_and_volumes() -> None:
    volume = segkit.open_volume(ARRAY, voxel_size=(3.0, 2.0, 1.0), offset=(1.0, 0.0, 0.0))
    assert (volume.axes, volume.unit, volume.voxel_size, volume.offset) == ("zyx", "nm", (3, 2, 1), (1, 0, 0))
    assert segkit.open_volume(volume) is volume
    assert segkit.open_volume(ARRAY, axes="cyx").shape == (2, 1, 3, 4)
    lazy = segkit.open_volume(dask.array.from_array(ARRAY, chunks=(1, 3, 4)))
    assert lazy.chunks == (1, 3, 4)
    np.testing.assert_array_equal(lazy.read(), ARRAY)
    with pytest.raises(UsageError):
        segkit.open_volume(ARRAY, axes="xyz")


def test_a_format_is_found_by_what_it_accepts(isolated_plugins: object, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.odd").write_text("x")
    offer("text")
    assert segkit.open_volume(tmp_path / "a.txt").shape == ARRAY.shape
    assert segkit.open_volume(str(tmp_path / "a.odd"), format="text").shape == ARRAY.shape
    with pytest.raises(UnknownNameError, match="No installed format.*text"):
        segkit.open_volume(tmp_path / "a.odd")
    with pytest.raises(UnknownNameError, match="txet"):
        segkit.open_volume(tmp_path / "a.txt", format="txet")
    with pytest.raises(DataError, match="no file or folder"):
        segkit.open_volume(tmp_path / "b.odd")


def test_a_broken_format_does_not_hide_the_others(isolated_plugins: object, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    offer("a_broken", RuntimeError("of no use"))
    with pytest.raises(UnknownNameError, match=r"a_broken.*broke on it \(RuntimeError: of no use\)"):
        segkit.open_volume(tmp_path / "a.txt")
    offer("text")
    assert segkit.open_volume(tmp_path / "a.txt").shape == ARRAY.shape


def test_a_format_that_cannot_be_loaded_does_not_hide_the_others(isolated_plugins: object, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")

    def factory() -> Text:
        """Files of a library that is not installed."""
        import a_library_nobody_has  # noqa: F401

        return Text()

    hook = segkit.hookimpl(specname="segkit_formats")(lambda: {"a_missing": factory})
    segkit.register(types.SimpleNamespace(segkit_formats=hook), "plugin_missing")
    with pytest.raises(UnknownNameError, match="a_missing.*a_library_nobody_has"):
        segkit.open_volume(tmp_path / "a.txt")
    offer("text")
    assert segkit.open_volume(tmp_path / "a.txt").shape == ARRAY.shape


def test_what_a_format_says_of_a_file_is_passed_on(isolated_plugins: object, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    offer("text", DataError("it is torn"))
    with pytest.raises(DataError, match="it is torn"):
        segkit.open_volume(tmp_path / "a.txt")
