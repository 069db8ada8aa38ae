"""What napari asks when somebody opens a file, and what `segkit view` shows: volumes, run folders and traces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_segkit.layers._layers import LayerData, layers_of
from napari_segkit.session.trainings._run_folder import contents_of, is_run
from segkit.errors import DataError, SegkitError

__all__ = ["get_file_reader", "get_folder_reader", "layers_of_run", "layers_of_traces", "open_layers"]

Reader = Callable[[Any], list[LayerData]]
_PREDICTION_LOOKS: dict[str, Any] = {"blending": "additive", "colormap": "magenta", "opacity": 0.7}


def get_file_reader(path: str | Sequence[str]) -> Reader | None:
    """Return a reader for one file that segkit can open, or None."""
    return _read if isinstance(path, str) else None


def get_folder_reader(path: str | Sequence[str]) -> Reader | None:
    """Return a reader for a run, a store, or a folder of slices or SWC files; None for any other folder."""
    if not isinstance(path, str):
        return None
    folder = Path(path)
    if is_run(folder) or (folder.is_dir() and any(folder.glob("*.swc"))):
        return _read
    from segkit.registry import registries

    for component in registries["formats"].values():
        try:
            if component().accepts(path):
                return _read
        except Exception:  # a format of a plugin that breaks must not hide the others
            continue
    return None


def _read(path: Any) -> list[LayerData]:
    return open_layers(str(path))


def open_layers(source: str) -> list[LayerData]:
    """Return the layers that show a run folder, SWC file, folder of SWC files, or anything `segkit.open_volume` takes.

    Raises
    ------
    SegkitError
        If it cannot be opened; the message says why.
    """
    path = Path(source)
    if is_run(path):
        return layers_of_run(path)
    if path.suffix.lower() == ".swc" or (path.is_dir() and any(path.glob("*.swc"))):
        return layers_of_traces(path)
    from segkit.opening import open_volume

    volume = open_volume(source)
    looks = _PREDICTION_LOOKS if path.name.startswith("prediction") else {}
    return layers_of(volume, **looks)


def layers_of_traces(path: Path, like: Any = None) -> list[LayerData]:
    """Return one Tracks layer of an SWC file, or of all those in a folder.

    Parameters
    ----------
    path
        The file or folder.
    like
        A volume whose grid the layer takes; None takes that of the viewer's first segkit layer, if there is one.
    """
    from napari_segkit.layers._tracks import tracks_of
    from segkit.tracing import read_swc

    files = sorted(path.glob("*.swc")) if path.is_dir() else [path]
    traces = [trace for file in files for trace in read_swc(file)]
    grid = _open_grid() if like is None else {like.unit: {"voxel_size": like.voxel_size, "offset": like.offset}}
    unit = traces[0].unit if traces else "nm"
    layer = tracks_of(traces, name="traces" if path.is_dir() else path.stem, **grid.get(unit, {}))
    if layer is None:
        raise DataError(f"{path} holds no trace with an edge, so there is nothing to draw.")
    return [layer]


def _open_grid() -> dict[str, dict[str, Any]]:
    """Return the grids of the layers that are open, by unit, so that a step in z stays a slice of the image."""
    import napari

    viewer = napari.current_viewer()
    found: dict[str, dict[str, Any]] = {}
    for layer in viewer.layers if viewer is not None else ():
        unit = layer.metadata.get("segkit", {}).get("unit")
        if layer.ndim == 3 and unit:
            found.setdefault(unit, {"voxel_size": tuple(layer.scale), "offset": tuple(layer.translate)})
    return found


def layers_of_run(run: Path) -> list[LayerData]:
    """Return the training data and whatever results a run folder holds.

    What cannot be opened any more, such as data that were moved, is left out; the run still opens.

    Raises
    ------
    DataError
        If there is nothing to show.
    """
    from segkit.opening import open_volume

    found = contents_of(run)
    layers: list[LayerData] = []
    problems: list[str] = []
    raw = None

    def add(source: str, name: str, **looks: Any) -> Any:
        try:
            volume = open_volume(source)
            layers.extend(layers_of(volume, name=name, **looks))
        except SegkitError as error:
            problems.append(str(error))
            return None
        return volume

    if found.raw:
        raw = add(found.raw, "raw", kind="image", colormap="gray")
    if found.labels:
        add(found.labels, "labels", kind="labels", visible=False)
    for path in found.predictions:
        add(str(path), path.stem, kind="image", **_PREDICTION_LOOKS)
    for path in found.segmentations:
        add(str(path), path.stem, kind="labels")
    for path in found.traces:
        try:
            layers += layers_of_traces(path, like=raw)
        except (SegkitError, OSError) as error:
            problems.append(str(error))
    if not layers:
        raise DataError(
            f"The run {run} holds nothing to show yet. {' '.join(problems) or 'Predict an image with it first.'}"
        )
    return layers
