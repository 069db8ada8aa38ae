"""Choosing a trained model: a run and which of its weights, or a package, and a card that says what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QGridLayout, QWidget

from napari_segkit.forms import BrowseButton, QuietCombo, line
from napari_segkit.session import Session
from napari_segkit.session.predictions._models import ModelCard, packages_in, read_card
from segkit.errors import SegkitError

__all__ = ["ModelPicker"]

NO_RUNS = "No trained runs yet"


class ModelPicker(QWidget):  # type: ignore[misc]
    """A run or package, and its card.

    Parameters
    ----------
    session
        Whose runs are offered.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._places: list[Path] = []
        self._listed: list[tuple[Path, tuple[str, ...]]] = []
        self.card: ModelCard | None = None
        self.runs = QuietCombo()
        self.runs.setAccessibleName("model")
        self.runs.setToolTip("The run whose network predicts, the latest first")
        self.weights = QuietCombo()
        self.runs.setMinimumWidth(60)  # the dock may be narrow
        self.weights.setMinimumWidth(72)
        self.weights.setAccessibleName("weights")
        self.weights.setToolTip("The weights with the best score, or the last ones")
        self.browse = BrowseButton("Choose a run or model package in another folder")
        self.browse.clicked.connect(lambda _=False: self.add(QFileDialog.getExistingDirectory(self, "Choose a model")))
        self.text = line()
        self.text.setAccessibleName("about the model")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        grid.setColumnStretch(0, 3)
        grid.setColumnStretch(1, 1)
        for column, widget in enumerate((self.runs, self.weights, self.browse)):
            grid.addWidget(widget, 0, column)
        grid.addWidget(self.text, 1, 0, 1, 3)
        self.runs.currentIndexChanged.connect(lambda _: self._run_chosen())
        self.weights.currentIndexChanged.connect(lambda _: self._read())
        self.refresh()

    @property
    def place(self) -> Path | None:
        """The run or package that is chosen."""
        chosen = self.runs.currentData()
        return chosen if isinstance(chosen, Path) else None

    @property
    def name(self) -> str:
        """What the run or package is called."""
        return str(self.runs.currentText())

    def add(self, place: str) -> None:
        """Offer another run or package, and choose it."""
        if not place:
            return
        path = Path(place)
        if not packages_in(path):
            self._session.report(
                SegkitError(
                    f"There is no trained model in {path}. Choose a run folder, or a folder with model.json in it."
                ),
                "Predict",
            )
            return
        self._places = [path, *(other for other in self._places if other != path)]
        self.refresh()
        self.choose(path)

    def choose(self, place: Path) -> bool:
        """Choose a run or package that is offered; return whether it is there."""
        at = next((i for i in range(self.runs.count()) if self.runs.itemData(i) == place), -1)
        if at >= 0:
            self.runs.setCurrentIndex(at)
        return at >= 0

    def refresh(self) -> None:
        """List the runs that have a model now; what was chosen stays chosen."""
        places = [*self._session.project.runs, *self._places]
        listed = [(place, tuple(packages)) for place in places if (packages := packages_in(place))]
        if listed == self._listed and self.runs.count():
            return
        chosen, self._listed = self.place, listed
        self.runs.blockSignals(True)
        self.runs.clear()
        for place, _ in listed:
            self.runs.addItem(place.name, place)
        if not listed:
            self.runs.addItem(NO_RUNS, None)
        self.runs.setEnabled(bool(listed))
        index = next((i for i, (place, _) in enumerate(listed) if place == chosen), 0)
        self.runs.setCurrentIndex(index)
        self.runs.blockSignals(False)
        self._run_chosen()

    def _run_chosen(self) -> None:
        packages = {} if self.place is None else packages_in(self.place)
        kept = self.weights.currentText()
        self.weights.blockSignals(True)
        self.weights.clear()
        for name, package in packages.items():
            self.weights.addItem(name, package)
        self.weights.setCurrentIndex(max(0, self.weights.findText(kept)))
        self.weights.setVisible(len(packages) > 1)
        self.weights.blockSignals(False)
        self._read()

    def _read(self) -> None:
        self.card, package = None, self.weights.currentData()
        try:
            self.card = None if package is None else read_card(package)
            text = (
                "<br>".join(self.card.lines())
                if self.card
                else "Train one on the page Train, or choose a model in another folder."
            )
        except SegkitError as error:
            text = str(error)
        self.text.setText(text)
        self.text.setToolTip("" if package is None else str(package))
        self.changed.emit()

    def state(self) -> dict[str, Any]:
        """Return what is to be remembered."""
        return {
            "model": "" if self.place is None else str(self.place),
            "weights": self.weights.currentText(),
            "places": [str(place) for place in self._places],
        }

    def restore(self, state: Any) -> None:
        """Choose what was chosen."""
        self._places = [Path(place) for place in state.get("places", ())]
        self.refresh()
        if self.choose(Path(state.get("model", ""))):
            self.weights.setCurrentIndex(max(0, self.weights.findText(state.get("weights", ""))))
