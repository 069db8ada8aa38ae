"""Showing the run that is followed: curves, scores, live preview and the patch that the model sees."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_segkit.session import contents_of
from napari_segkit.session.trainings._run_folder import ask_for_patch, is_run, read_patch
from napari_segkit.session.trainings._runs import FollowedRun
from napari_segkit.train._preview import LivePreview, layer_of_image
from segkit.errors import SegkitError

__all__ = ["Watching"]

PATCH_SECONDS = 5.0
DRAW_SECONDS = 0.2


class Watching(QObject):  # type: ignore[misc]
    """What the page shows of one run.

    Parameters
    ----------
    page
        The page Train.
    """

    def __init__(self, page: Any) -> None:
        super().__init__(page)
        self._page = page
        self.run: FollowedRun | None = None
        self.preview = LivePreview(page.viewer)
        self._closed = False
        self._source = ""
        self._answered: tuple[Any, ...] = ()
        self._patch: tuple[str, float] = ("", 0.0)
        self._patches = 0
        self._drawn: tuple[Any, ...] = ()
        row = page.preview_row
        row.changed.connect(self._controls_changed)
        row.now_wanted.connect(lambda: self.preview.ask(now=True))
        row.channel.valueChanged.connect(self.preview.choose_channel)
        self.preview.told.connect(row.said.setText)
        page.model_sees.opened.connect(self._patch_wanted)
        page.viewer.events.theme.connect(self._theme_changed)

    def follow(self, folder: Path | None) -> None:
        """Show another run; None shows none."""
        self.run = None if folder is None else self._page.runs.of(folder)
        self._answered, self._drawn, self._source = (), (), ""
        self._page.preview_row.said.setText("")
        self.preview.stop()
        self.draw()

    def find_layer(self) -> None:
        """Look for the layer that shows what the run is trained on, and let the preview follow it."""
        run = self.run
        if run is None or not self._running():
            self.preview.stop()
            return
        if not self._source and is_run(run.folder):
            try:
                self._source = contents_of(run.folder).raw
            except SegkitError:
                return
        layer = layer_of_image(self._page.viewer, self._page.session.data.image, self._source) if self._source else None
        if layer is not None and (self.preview.image != layer or self.preview.run != run.folder):
            self.preview.follow(run.folder, layer, self._source)

    def _running(self) -> bool:
        return self.run is not None and (
            self.run.running or ((job := self._page.trainings.job_of(self.run.folder)) is not None and job.active)
        )

    def tick(self) -> None:
        """Look after what is shown; called a few times a second."""
        self.find_layer()
        if self._page.model_sees.open_now and self._running() and monotonic() - self._patch[1] > PATCH_SECONDS:
            self._patch_wanted(True)

    # ---- curves

    def draw(self) -> None:
        """Draw the curve of the run and of those that are ticked."""
        page, run = self._page, self.run
        others = {
            folder.name: page.runs.of(folder).progress
            for folder in page.runs_list.overlaid
            if run is None or folder != run.folder
        }
        if run is None and not others:
            if page.curves is not None:
                page.curves.hide()
            page.scores.setText("")
            return
        progress = run.progress if run is not None else next(iter(others.values()))
        if page.curves is None:
            if not progress.losses:
                return
            from napari_segkit.train._curves import Curves  # takes about a second, and a session may need none

            page.curves = Curves()
            page.column.insertWidget(page._curves_at, page.curves)
            self._theme_changed()
        drawn = (
            None if run is None else run.folder,
            len(progress.losses),
            progress.step,
            len(progress.validations),
            tuple((name, len(other.losses)) for name, other in others.items()),
        )
        if drawn != self._drawn:
            self._drawn = drawn
            page.curves.setVisible(bool(progress.losses) or bool(others))
            page.curves.show_run(progress, others)
            page.scores.setText(progress.scores(3))
            page.scores.setToolTip(f"<qt>{progress.scores()}</qt>")
        self._page.session.later(self._show_answers)

    def _theme_changed(self, event: Any = None) -> None:
        QTimer.singleShot(0, self._use_theme)  # after napari has given the widgets their new style

    def _use_theme(self) -> None:
        if self._page.curves is not None and not self._closed:
            from napari.utils.theme import get_theme

            background = get_theme(self._page.viewer.theme).background
            dark = sum(background.as_rgb_tuple()[:3]) < 3 * 128
            self._page.curves.set_theme(dark=dark, background=background.as_hex("long"))

    # ---- preview

    def _show_answers(self) -> None:
        run = self.run
        if run is None or self._closed or not self._running():
            return
        record = run.progress.preview
        if record is not None:
            key = (int(record["step"]), str(record.get("request")), str(record.get("path")))
            if key != self._answered and self.preview.show_answer(dict(record)):
                self._answered = key
                self._page.preview_row.offer_channels(self.preview.channels)
        patch = run.progress.patch
        if patch is not None and patch.get("request") == self._patch[0] and self._page.model_sees.open_now:
            parts = read_patch(run.folder, patch)
            if parts is not None:
                self._page.model_sees.show_patch(patch, parts)
                self._patch = ("", monotonic())

    def _controls_changed(self) -> None:
        row = self._page.preview_row
        self.preview.set_options(
            enabled=row.live.isChecked(), every=row.every.value(), whole_box=row.region.currentData() == "box"
        )

    def _patch_wanted(self, opened: bool) -> None:
        if opened and self.run is not None and self._running():
            self._patches += 1
            self._patch = (f"{id(self):x}-{self._patches}", monotonic())
            try:
                ask_for_patch(self.run.folder, self._patch[0])
            except OSError:
                self._page.model_sees.said.setText("The folder of this run cannot be written, so it cannot be asked.")

    def close(self) -> None:
        """Stop watching."""
        self._closed = True
        self.preview.close()
        self._page.viewer.events.theme.disconnect(self._theme_changed)
