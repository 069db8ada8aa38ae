"""The upper part of the page: which image is worked on, how large its voxels are, and how it is shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_segkit.data._box_layers import point_at_centre
from napari_segkit.data._opening import OpeningLine
from napari_segkit.data._voxel_size import VoxelSize, rescale
from napari_segkit.forms import SourcePicker, line, source_of_layer
from napari_segkit.layers import add_layers, create_layers, image_layer, layers_of, open_layers, volume_of_layer
from napari_segkit.layers._images import shows
from napari_segkit.session import Job, Session
from napari_segkit.session.images._card import card
from napari_segkit.session.images._overview import (
    convert_arguments,
    cut_out,
    needs_overview,
    overview_path,
    with_overview,
    with_voxel_size,
)
from napari_segkit.session.images._saving import saved
from napari_segkit.session.trainings._run_folder import is_run
from segkit.volume import Spacing, Volume

__all__ = ["ImageSection"]

SLOW = 2**24
"""Voxels of a stored image above which slices may take long enough to be felt."""


@dataclass(frozen=True, eq=False)
class Opened:
    """What came of opening a source."""

    layers: list[Any]
    volume: Volume | None = None


class ImageSection(QWidget):  # type: ignore[misc]
    """Source line, card, image list, voxel size, and offers that make large images bearable.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        Whose image it is.
    """

    def __init__(self, viewer: Any, session: Session) -> None:
        super().__init__()
        self.viewer, self.session = viewer, session
        self._opened: dict[str, Volume] = {}
        self._busy = False
        self.source = OpeningLine()
        self.source.opened.connect(self.open)
        self.card = line()
        self.picker = SourcePicker(viewer, ("image",), "image")
        self.picker.browse.hide()
        self.picker.combo.setToolTip("The image that is worked on")
        self.picker.changed.connect(self._picked)
        self.voxel_size = VoxelSize()
        self.voxel_size.edited.connect(self._resized)
        self.smooth, self.smooth_button = self._offer(
            "Slices of this image are read while the window waits.",
            "Turn on smooth loading",
            "Changes napari's setting: slices are read in the background",
            self._turn_on_async,
        )
        self.overview, self.overview_button = self._offer(
            "It has no coarser copies, so only a cut-out is shown.",
            "Build overview",
            "Make a small copy of the whole image in the project; it runs as a job",
            self.build_overview,
        )
        self.cut_button = QPushButton("Cut-out here")
        self.cut_button.setToolTip("Show the part of the image around the middle of the view")
        self.cut_button.setAccessibleName("cut-out here")
        self.cut_button.clicked.connect(lambda _=False: self.cut_out_here())
        self.overview.layout().itemAt(1).layout().addWidget(self.cut_button)
        rows = QFormLayout()
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        rows.addRow("Source", self.source)
        rows.addRow("Image", self.picker)
        rows.addRow("Voxel", self.voxel_size)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(rows)
        described = QHBoxLayout()
        described.addWidget(self.card, 1)
        described.addWidget(self.voxel_size.chip, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(described)
        for widget in (self.smooth, self.overview):
            layout.addWidget(widget)
        session.jobs.when_done("convert", self._converted)
        self.update_shown()

    def _offer(self, text: str, label: str, tip: str, action: Any) -> tuple[QWidget, QPushButton]:
        box, button, row = QWidget(), QPushButton(label), QHBoxLayout()
        button.setToolTip(tip)
        button.setAccessibleName(label)
        button.clicked.connect(lambda _=False: action())
        layout = QVBoxLayout(box)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(line(text))
        row.addWidget(button)
        layout.addLayout(row)
        return box, button

    # ---- opening

    def open(self, source: str, voxel_size: Spacing | None = None, name: str = "") -> None:
        """Open a source in a thread, show it, and work on it if it is an image.

        Parameters
        ----------
        source
            Path or URL.
        voxel_size
            Size of a voxel in nm; None takes what the source says.
        name
            Name of the layer; empty takes the end of the source.
        """
        where = self.session.project.folder / "layers"
        self._while(
            "Reading metadata",
            lambda: _open(source, where, voxel_size, name),
            lambda found: self._show(source, found, voxel_size),
        )

    def _while(self, text: str, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Say what is done in a thread, then do something with its result; failures are reported."""
        self._busy = True
        self.card.setText(f"{text}\N{HORIZONTAL ELLIPSIS}")
        self.card.show()

        def attempt() -> Any:
            try:
                return work()
            except Exception as error:  # of any format or network; the card must not wait for ever
                return error

        def end(last: Callable[[], None]) -> None:
            self._busy = False
            last()
            self.update_shown()

        def finished(found: Any) -> None:
            if isinstance(found, Exception):
                end(lambda: self.session.report(found, "Data"))
                return
            if not self.viewer.layers:
                self.viewer.dims.ndim = 3  # its sliders, before the first layer needs them and much else
            self.session.later(partial(end, partial(done, found)))

        self.session.in_background(attempt, finished, "Data")

    def _show(self, source: str, found: Opened, voxel_size: Spacing | None) -> None:
        if found.volume is not None:
            self._opened[found.volume.source] = found.volume
            for layer in [layer for layer in self.viewer.layers if shows(layer, found.volume)]:
                self.viewer.layers.remove(layer)
        first, *others = found.layers
        [layer] = add_layers(self.viewer, [first])
        for other in others:
            self.session.later(partial(add_layers, self.viewer, [other]))
        if source:
            self.source.remember(source)
        if found.volume is not None and type(first).__name__ == "Image":
            self.session.later(partial(self._choose, layer, found.volume, voxel_size))

    def _choose(self, layer: Any, image: Volume, voxel_size: Spacing | None) -> None:
        self.session.data.choose_image(image)
        if voxel_size is not None:
            self.session.data.size_from = "you"
        self._choose_in_list(layer)
        if needs_overview(image):
            _go_to(self.viewer, layer)

    def open_sample(self) -> None:
        """Make the sample, keep it in the project, show it, and take its labels for ground truth."""
        where = self.session.project.folder / "layers"

        def done(found: tuple[Opened, Volume]) -> None:
            opened, labels = found
            self._show("", opened, None)
            self.session.later(partial(self.session.data.choose_labels, labels))
            self.session.later(self.viewer.fit_to_view)

        self._while("Growing neurites", lambda: _sample(where), done)

    # ---- choosing

    def layers_changed(self) -> None:
        """List the images that there are."""
        self.picker.refresh()

    def _choose_in_list(self, layer: Any) -> None:
        self.picker.refresh()
        combo = self.picker.combo
        found = [index for index in range(combo.count()) if combo.itemData(index) == layer]
        combo.setCurrentIndex(found[0] if found else combo.currentIndex())

    def _picked(self) -> None:
        layer, data = self.picker.layer, self.session.data
        if self._busy:
            return
        if layer is None:
            if data.image is not None and image_layer(self.viewer, self.session) is None:
                data.choose_image(None)
        elif data.image is None or not shows(layer, data.image):
            source = source_of_layer(layer)
            if source and source not in self._opened:
                self._open_behind(source)
            else:
                data.choose_image(self._opened[source] if source else volume_of_layer(layer))
        self.update_shown()

    def _open_behind(self, source: str) -> None:
        """Find out what is behind a layer that something else opened."""
        where = self.session.project.folder / "layers"

        def done(volume: Volume) -> None:
            self._opened[source] = volume
            self._picked()

        self.session.in_background(lambda: _volume(source, where), done, "Data")

    # ---- the voxel size

    def _resized(self, size: Spacing) -> None:
        image = self.session.data.image
        if image is None:
            return
        shown = image_layer(self.viewer, self.session)
        before = tuple(shown.units) if shown is not None else ()
        ratio = tuple(new / old for new, old in zip(size, image.voxel_size, strict=True))
        self.session.data.set_voxel_size(size)
        for layer in self.viewer.layers:
            own = layer.metadata.get("segkit", {})
            if layer.ndim == 3 and "box" not in own and (own or tuple(layer.units) == before):
                rescale(layer, image.offset, ratio, ("nm",) * 3)  # type: ignore[arg-type]
                if own.get("unit"):
                    layer.metadata = {**layer.metadata, "segkit": {**own, "unit": "nm"}}
        self.viewer.fit_to_view()
        self.update_shown()

    # ---- large images

    def build_overview(self) -> None:
        """Start the job that makes a coarse copy of the image."""
        image = self.session.data.image
        if image is None:
            return
        target = overview_path(image, self.session.project.place("layers"))
        name = Path(image.source.rstrip("/")).name
        extra = {"overview_of": image.source}
        self.session.jobs.start("convert", f"overview of {name}", convert_arguments(image, target), target, extra)
        self.update_shown()

    def _converted(self, job: Job) -> None:
        if "overview_of" in job.extra:
            self._opened.pop(job.extra["overview_of"], None)
            self.open(job.extra["overview_of"], self._own_size)

    @property
    def _own_size(self) -> Spacing | None:
        data = self.session.data
        return data.image.voxel_size if data.image is not None and data.size_from == "you" else None

    def cut_out_here(self) -> None:
        """Show the part of a large image that lies around the middle of the view."""
        image = self.session.data.image
        if image is None:
            return
        point = point_at_centre(self.viewer)
        centre = [(p - o) / v for p, o, v in zip(point, image.offset, image.voxel_size, strict=True)]
        before = [layer for layer in self.viewer.layers if shows(layer, image)]

        def done(found: list[Any]) -> None:
            [layer, *_] = add_layers(self.viewer, found)
            self.viewer.layers.move(len(self.viewer.layers) - 1, 0)
            for old in before:
                self.viewer.layers.remove(old)
            self._choose_in_list(layer)

        self.session.in_background(lambda: _layers_of_cut_out(image, centre), done, "Data")

    def _turn_on_async(self) -> None:
        from napari.settings import get_settings

        get_settings().experimental.async_ = True
        self.update_shown()

    # ---- what is shown

    def update_shown(self) -> None:
        """Bring everything up to date with the session."""
        from napari.settings import get_settings

        image = self.session.data.image
        self.picker.setEnabled(self.picker.combo.count() > 1 or image is not None)
        if not self._busy:
            self.card.setText("" if image is None else card(image))
            self.card.setVisible(image is not None)
        else:
            self.card.show()
        self.voxel_size.show_size(None if image is None else image.voxel_size, self.session.data.size_from)
        stored = image is not None and image.chunks is not None and math.prod(image.spatial_shape) > SLOW
        self.smooth.setVisible(stored and not get_settings().experimental.async_)
        bare = image is not None and needs_overview(image)
        self.overview.setVisible(bare)
        job = self.session.jobs.of("convert")
        self.overview_button.setEnabled(bare and (job is None or "overview_of" not in job.extra))


def _volume(source: str, where: Path) -> Volume:
    from segkit.opening import open_volume
    from segkit.store import open_zarr

    volume = open_volume(source)
    path = overview_path(volume, where)
    if needs_overview(volume) and path.exists():
        overview = open_zarr(path)
        if overview.metadata.get("complete"):
            volume = with_overview(volume, overview)
    return volume


def _sample(where: Path) -> tuple[Opened, Volume]:
    from napari_segkit.layers._samples import sample_volumes
    from segkit.durable import make_dirs
    from segkit.opening import open_volume

    make_dirs(where)
    image, labels = (open_volume(saved(volume, where)) for volume in sample_volumes())
    layers = layers_of(image, name="neurites", kind="image") + layers_of(labels, name="neurite labels", kind="labels")
    return Opened(create_layers(layers), image), labels


def _open(source: str, where: Path, voxel_size: Spacing | None, name: str) -> Opened:
    path = Path(source)
    if is_run(path) or path.suffix.lower() == ".swc" or (path.is_dir() and any(path.glob("*.swc"))):
        return Opened(create_layers(open_layers(source)))
    volume = _volume(source, where)
    if voxel_size is not None:
        volume = with_voxel_size(volume, voxel_size)
    if needs_overview(volume):
        return Opened(_layers_of_cut_out(volume, None), volume)
    layers = layers_of(volume, name=name)
    return Opened(create_layers(layers), volume if layers[0][2] == "image" else None)


def _layers_of_cut_out(volume: Volume, centre: list[float] | None) -> list[Any]:
    stem = Path(volume.source.rstrip("/")).stem
    return create_layers(layers_of(cut_out(volume, centre), name=f"{stem} (cut-out)"))


def _go_to(viewer: Any, layer: Any) -> None:
    middle = layer.extent.world.mean(axis=0)
    for axis, value in enumerate(middle):
        viewer.dims.set_point(axis, float(value))
    viewer.fit_to_view()
