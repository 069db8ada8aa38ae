"""What the buttons of the results page do: run a segkit command as the panel's job, then show what it made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_segkit._component_picker import ComponentPicker
from napari_segkit._readers import open_layers
from napari_segkit._source_picker import SourcePicker
from segkit.errors import SegkitError, UsageError

if TYPE_CHECKING:
    from napari_segkit._panel import Panel

__all__ = ["Results", "options_of"]


def options_of(table: Mapping[str, Any]) -> list[str]:
    """Return the options of a component as ``-o key=value`` arguments."""
    found = []
    for name, value in table.items():
        if name != "name":
            text = (
                ",".join(map(str, value))
                if isinstance(value, tuple | list)
                else "none"
                if value is None
                else str(value)
            )
            found += ["-o", f"{name}={text}"]
    return found


class Results:
    """Predict, segment and trace.

    Parameters
    ----------
    panel
        The panel whose job, banner and pages are used.
    """

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        page = panel.results_page
        page.predict.connect(self.predict)
        page.segment.connect(self.segment)
        page.trace.connect(self.trace)

    def _folder(self) -> Path:
        """Where results go: into the run that is looked at, or beside all runs."""
        return self._panel.bar.run or self._panel.bar.project / "results"

    def update_controls(self, free: bool) -> None:
        """Enable what can be done now, and say what the network is."""
        page, run = self._panel.results_page, self._panel.bar.run
        has_model = run is not None and (run / "model").is_dir()
        if run is None:
            page.model.setText("Choose a run above; its best weights are used.")
        else:
            page.model.setText(
                f"With the best weights of {run.name}." if has_model else f"{run.name} has no model yet."
            )
        page.buttons[0].setEnabled(free and has_model)
        for button in page.buttons[1:]:
            button.setEnabled(free)

    def predict(self) -> None:
        """Predict the chosen image with the chosen run."""
        run = self._panel.bar.run
        if run is None:
            self._panel.banner.show_error(
                "No run chosen. Choose one at the top of the panel; its best weights are used."
            )
            return
        page = self._panel.results_page
        self._start(
            "Predicting", page.image, None, "prediction", lambda source, out: ["predict", str(run), source, out]
        )

    def segment(self) -> None:
        """Cut the chosen prediction into objects."""
        page = self._panel.results_page
        self._start(
            "Segmenting", page.prediction, page.segmenter, "segmentation", lambda source, out: ["segment", source, out]
        )

    def trace(self) -> None:
        """Trace the chosen objects."""
        page = self._panel.results_page
        self._start("Tracing", page.objects, page.tracer, "traces", lambda source, out: ["trace", source, out])

    def _start(
        self,
        what: str,
        picker: SourcePicker,
        how: ComponentPicker | None,
        prefix: str,
        command: Callable[[str, str], list[str]],
    ) -> None:
        panel, folder = self._panel, self._folder()
        try:
            source_of = picker.writer(panel.bar.project / "layers")
            table = None if how is None else how.table()
            if how is not None and table is None:
                raise UsageError(f"No {how.kind} are installed. Install a plugin that offers one.")
        except SegkitError as error:
            panel.banner.show_error(str(error))
            return

        def prepared(source: Any, error: Exception | None) -> None:
            if error is not None:
                panel.show_failure(error)
                panel.update_controls()
                return
            picker.saved_as(source)
            stem = Path(source.rstrip("/").rpartition(":")[0] or source).stem
            stem = stem.removeprefix("prediction-").removeprefix("segmentation-")
            folder.mkdir(parents=True, exist_ok=True)
            out = _output(folder / f"{prefix}-{stem}{'' if prefix == 'traces' else '.zarr'}")
            arguments = command(source, str(out))
            if how is not None and table is not None:
                arguments += ["--with", table["name"], *options_of(table)]
            panel.start_job(what, arguments, f"{prefix}-{stem}", lambda: self._show(out))

        panel.in_background("Saving the layer", source_of, prepared)

    def _show(self, path: Path) -> None:
        from napari.layers import Layer

        try:
            layers = open_layers(str(path))
        except (SegkitError, OSError) as error:
            self._panel.show_failure(error)
            return
        viewer = self._panel.viewer
        active = viewer.layers.selection.active
        for data, arguments, kind in layers:
            viewer.add_layer(Layer.create(data, arguments, kind))
        if layers[-1][2] == "tracks":
            viewer.dims.ndisplay = 3
            viewer.layers.selection.active = active  # napari searches an active Tracks layer at each move of the mouse
        page = self._panel.results_page
        if path.name.startswith("prediction"):
            page.prediction.add_place(str(path))
        elif path.name.startswith("segmentation"):
            page.objects.add_place(str(path))


def _output(path: Path) -> Path:
    """Return a path that is free, or that of an output that was interrupted and can be continued."""
    number, found = 1, path
    while found.exists() and not _interrupted(found):
        number += 1
        found = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return found


def _interrupted(path: Path) -> bool:
    from segkit.opening import open_volume

    try:
        return path.suffix == ".zarr" and open_volume(path).metadata.get("complete") is False
    except SegkitError:
        return False
