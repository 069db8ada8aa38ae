"""Everything that is chosen before a training: task, model, loss, preset, size and device; the rest under headings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_segkit.forms import ComponentPicker, Fold, Form, QuietCombo
from napari_segkit.forms._editors import QuietSpin
from napari_segkit.forms._form import LABEL_WIDTH, fitting
from napari_segkit.session.trainings._augmentation_sets import AUGMENTATION_SETS
from napari_segkit.session.trainings._compatible import LOSS_OF_TASK, NETWORK_OF_TASK, SECOND_LOSS_OF_TASK, misfit
from napari_segkit.session.trainings._devices import Device
from napari_segkit.session.trainings._presets import PRESETS, Preset
from napari_segkit.train._patch_editor import PatchEditor
from segkit.recipe import SECTIONS, Recipe
from segkit.registry import registries

__all__ = ["SetupForm"]

# Wishes for what is chosen at first; whatever is not installed is passed over.
_PICKED: dict[str, tuple[str, str, tuple[str, ...], str, bool]] = {
    "task": ("Task", "tasks", ("boundaries", "affinities", "semantic"), "", True),
    "architecture": ("Model", "architectures", ("unet",), "", True),
    "loss": ("Loss", "losses", ("bce", "dice"), "", True),
}
_SHOWN_FIRST = {
    "split": ("by",),
    "sampling": ("foreground", "balance"),
    "optimizer": ("name", "weight_decay"),
    "schedule": ("name", "warmup"),
    "training": ("validate_every", "patience", "precision", "ema"),
}
# These have places of their own.
_ELSEWHERE = {
    "split": ("share",),
    "sampling": ("patch_shape", "batch_size"),
    "optimizer": ("learning_rate",),
    "training": ("steps", "device"),
}
_OWN = "As in the run"


class SetupForm(QWidget):  # type: ignore[misc]
    """The recipe as a form; what comes out is checked by the library."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._silent = 1
        self.pickers: dict[str, ComponentPicker] = {}
        self.sections: dict[str, Form] = {}
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(6)
        for key, (title, kind, preferred, none, folded) in _PICKED.items():
            picker = self.pickers[key] = ComponentPicker(kind, preferred, none, folded, title)
            self._column.addWidget(picker)
            picker.changed.connect(self._told)
        self.task_by_user = False
        self.pickers["task"].combo.activated.connect(lambda _: setattr(self, "task_by_user", True))
        self.pickers["task"].combo.currentIndexChanged.connect(lambda _: self._task_chosen())
        self.pickers["architecture"].combo.currentIndexChanged.connect(lambda _: self._apply_options())
        self._column.addLayout(self._presets())
        self._column.addLayout(self._numbers())
        self._folds()
        self.preset = "Balanced"
        self._task_chosen()
        self.choose_preset("Balanced")
        self._silent = 0

    # ---- what it is made of

    def _presets(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(0)
        self.preset_buttons: dict[str, QPushButton] = {}
        group = QButtonGroup(self)
        for name, preset in PRESETS.items():
            button = self.preset_buttons[name] = QPushButton(name)
            button.setCheckable(True)
            button.setToolTip(f"<qt>{preset.tip}. What it changes gets a dot</qt>")
            button.setAccessibleName(f"preset {name.lower()}")
            button.setStyleSheet("QPushButton:checked { border: 1px solid #6f97d8; font-weight: bold; }")
            button.clicked.connect(lambda _=False, name=name: self.choose_preset(name))
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            group.addButton(button)
            row.addWidget(button, 1)
        return row

    def _numbers(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        grid.setColumnMinimumWidth(0, LABEL_WIDTH)
        grid.setColumnStretch(1, 1)
        self.steps, self.batch = QuietSpin(), QuietSpin()
        self.rate = Form(SECTIONS["optimizer"], without=tuple(set(_parameters("optimizer")) - {"learning_rate"}))
        self.patch, self.device, self.augmentation = PatchEditor(), QuietCombo(), QuietCombo()
        self.steps.setRange(1, 100_000_000)
        self.steps.setGroupSeparatorShown(True)
        self.batch.setRange(1, 4096)
        for spin in (self.steps, self.batch):
            spin.setKeyboardTracking(False)
            spin.valueChanged.connect(lambda _: self._told())
        self.show_devices([])
        for name, tables in AUGMENTATION_SETS.items():
            if all(table["name"] in registries["augmentations"] for table in tables):
                self.augmentation.addItem(name, [dict(table) for table in tables])
        self.augmentation.currentIndexChanged.connect(lambda _: self._told())
        rows: tuple[tuple[str, Any, str], ...] = (
            ("Steps", self.steps, "Optimizer steps in all; more can be added when a run is continued"),
            ("Patch", self.patch, "Voxels (z, y, x) that the network sees at once"),
            ("Batch", self.batch, "Patches in a step"),
            ("Device", self.device, "Where to train"),
            (
                "Augmentation",
                self.augmentation,
                "How patches are varied, so that the network learns what does not matter",
            ),
        )
        for row, (name, widget, tip) in enumerate(rows):
            label = QLabel(name)
            label.setToolTip(tip)
            if not widget.toolTip():
                widget.setToolTip(tip)
            widget.setAccessibleName(name.lower())
            grid.addWidget(label, row, 0)
            grid.addWidget(widget, row, 1)
        grid.addWidget(self.rate, len(rows), 0, 1, 2)
        self.patch.changed.connect(self._told)
        self.rate.changed.connect(self._told)
        return grid

    def _folds(self) -> None:
        self.more = Fold("More settings")
        for key, title, kind in (
            ("second_loss", "Second loss", "losses"),
            ("initializer", "Initializer", "initializers"),
        ):
            none = "No second loss" if key == "second_loss" else "As the network comes"
            picker = self.pickers[key] = ComponentPicker(kind, (), none)
            self._section(title, picker)
            picker.changed.connect(self._told)
        for key, section in SECTIONS.items():
            form = self.sections[key] = Form(section, _SHOWN_FIRST[key], _ELSEWHERE.get(key, ()))
            self._section(key.capitalize(), form)
            form.changed.connect(self._told)
        self._column.addWidget(self.more)

    def _section(self, title: str, widget: QWidget) -> None:
        fold = Fold(title)
        fold.body_layout.addWidget(widget)
        self.more.body_layout.addWidget(fold)

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """Tell of all changes inside of the block as of one."""
        self._silent += 1
        try:
            yield
        finally:
            self._silent -= 1
            self._told()

    def _told(self) -> None:
        if not self._silent:
            self.changed.emit()

    # ---- choices that change others

    def _task_chosen(self) -> None:
        task = self.task
        self.pickers["architecture"].refuse(lambda name: misfit("architectures", name, task))
        self.pickers["loss"].refuse(lambda name: misfit("losses", name, task))
        for key, usual in (("architecture", NETWORK_OF_TASK), ("loss", LOSS_OF_TASK)):
            if task in usual:
                self.pickers[key].choose(usual[task])
        self.pickers["second_loss"].refuse(lambda name: misfit("losses", name, task))
        if not self.pickers["second_loss"].choose(SECOND_LOSS_OF_TASK.get(task, "none")):
            self.pickers["second_loss"].combo.setCurrentIndex(0)
        self._told()

    @property
    def task(self) -> str:
        """The qualified name of the chosen task."""
        component = self.pickers["task"].component
        return "" if component is None else component.qualified

    def choose_preset(self, name: str) -> None:
        """Put a preset's values in place of those of the others; what no preset touches stays as it is."""
        with self._at_once():
            self._choose_preset(name)

    def suggest_task(self, name: str) -> None:
        """Choose a task, unless the user has chosen one."""
        if not self.task_by_user:
            self.pickers["task"].choose(name)

    def _choose_preset(self, name: str) -> None:
        self.preset = name
        self.preset_buttons[name].setChecked(True)
        preset = PRESETS[name]
        for key, form in self.sections.items():
            touched = {entry for other in PRESETS.values() for entry in other.section(key)}
            form.reset(touched & form.editors.keys())
            form.set_values(preset.section(key))
        sampling, training = SECTIONS["sampling"](), SECTIONS["training"]()
        self.steps.setValue(int(preset.training.get("steps", training.steps)))
        self.batch.setValue(int(preset.sampling.get("batch_size", sampling.batch_size)))
        self.rate.reset()
        self.rate.set_values(preset.optimizer)
        self.patch.set_value(preset.patch)
        self._apply_options()

    def _apply_options(self) -> None:
        """Let the preset's options reach the network that is chosen now."""
        form = self.pickers["architecture"].form
        if form is None:
            return
        touched = {entry for other in PRESETS.values() for entry in other.architecture} & form.editors.keys()
        form.reset(touched)
        form.set_values(self._chosen_preset().options(form.editors))

    def _chosen_preset(self) -> Preset:
        return PRESETS[self.preset]

    def show_devices(self, found: list[Device]) -> None:
        """Offer these devices, keeping the choice."""
        chosen = self.device.currentData() or "auto"
        self.device.blockSignals(True)
        self.device.clear()
        self.device.addItem(f"auto: {found[0].label}" if found else "auto", "auto")
        for device in found:
            self.device.addItem(device.label, device.key)
        self.device.setCurrentIndex(max(0, self.device.findData(chosen)))
        self.device.blockSignals(False)
        self.device.setToolTip(self.device.currentText())

    def allow(self, what: str) -> None:
        """Let only that be changed which may differ: ``all``, ``steps`` (of a run) or ``rest`` (all but its network)."""
        for key, picker in self.pickers.items():
            picker.setEnabled(what == "all" or (what == "rest" and key not in ("task", "architecture")))
        for widget in (*self.preset_buttons.values(), self.patch, self.batch, self.augmentation, self.rate, self.more):
            widget.setEnabled(what != "steps")

    # ---- in and out

    def tables(self) -> dict[str, Any]:
        """Return the tables of a recipe, all but those of the data; a patch that is not known yet is left out.

        Raises
        ------
        UsageError
            If a field is wrong, or a choice that must be made is not.
        """
        tables: dict[str, Any] = {
            "task": self.pickers["task"].table(),
            "architecture": self.pickers["architecture"].table(),
        }
        tables["loss"] = [t for key in ("loss", "second_loss") if (t := self.pickers[key].table()) is not None]
        initializer = self.pickers["initializer"].table()
        tables |= {"initializer": initializer} if initializer else {}
        tables["augmentation"] = self.augmentation.currentData() or []
        for key, form in self.sections.items():
            tables[key] = form.values()
        tables["optimizer"] |= self.rate.values()
        tables["sampling"] |= {"batch_size": self.batch.value()}
        if self.patch.value() is not None:
            tables["sampling"]["patch_shape"] = list(self.patch.shape)
        tables["training"] |= {"steps": self.steps.value(), "device": self.device.currentData()}
        Recipe.from_mapping({**tables, "dataset": {"name": "files", "raw": "raw"}})
        return tables

    def state(self) -> dict[str, Any]:
        """Return everything that is shown, as JSON says it."""
        return {
            "preset": self.preset,
            "task_by_user": self.task_by_user,
            "pickers": {key: picker.state() for key, picker in self.pickers.items()},
            "sections": {key: form.state() for key, form in self.sections.items()},
            "optimizer": self.rate.state(),
            "patch": None if self.patch.value() is None else list(self.patch.shape),
            "steps": self.steps.value(),
            "batch": self.batch.value(),
            "device": self.device.currentData(),
            "augmentation": self.augmentation.currentText(),
        }

    def restore(self, state: Mapping[str, Any]) -> list[str]:
        """Show what `state` returned, and return what no longer fits, which is dropped."""
        with self._at_once():
            return self._restore(state)

    def _restore(self, state: Mapping[str, Any]) -> list[str]:
        if state.get("preset") in PRESETS:
            self.choose_preset(state["preset"])
        self.task_by_user = bool(state.get("task_by_user", False))
        dropped = []
        for key, picker in self.pickers.items():
            dropped += picker.restore(state.get("pickers", {}).get(key, {}))
        for key, form in self.sections.items():
            form.reset()
            form.set_values(fitting(SECTIONS[key], state.get("sections", {}).get(key, {})))
        self.rate.reset()
        self.rate.set_values(fitting(SECTIONS["optimizer"], state.get("optimizer", {})))
        self.patch.set_value(state.get("patch"))
        self.steps.setValue(int(state.get("steps", self.steps.value())))
        self.batch.setValue(int(state.get("batch", self.batch.value())))
        self.device.setCurrentIndex(max(0, self.device.findData(state.get("device"))))
        self.augmentation.setCurrentIndex(max(0, self.augmentation.findText(str(state.get("augmentation", "")))))
        return dropped

    def show_recipe(self, recipe: Recipe) -> None:
        """Fill the form in from a recipe."""
        self.show_tables(recipe.to_mapping())

    def show_tables(self, tables: Mapping[str, Any]) -> None:
        """Fill the form in from the tables of a recipe."""
        with self._at_once():
            self._show_tables(tables)

    def _show_tables(self, tables: Mapping[str, Any]) -> None:
        losses = list(tables.get("loss", []))
        parts = {**tables, "loss": losses[0] if losses else None, "second_loss": losses[1] if len(losses) > 1 else None}
        for key, picker in self.pickers.items():
            if parts.get(key):
                picker.set_table({name: value for name, value in parts[key].items() if name != "weight"})
            elif key in ("second_loss", "initializer"):
                picker.combo.setCurrentIndex(0)
        for key, form in self.sections.items():
            form.set_values(tables.get(key, {}))
        self.rate.set_values(tables.get("optimizer", {}))
        sampling, training = tables.get("sampling", {}), tables.get("training", {})
        self.steps.setValue(int(training.get("steps", self.steps.value())))
        self.batch.setValue(int(sampling.get("batch_size", self.batch.value())))
        self.device.setCurrentIndex(max(0, self.device.findData(training.get("device", "auto"))))
        self.patch.set_value(sampling.get("patch_shape"))
        self._show_augmentation(list(tables.get("augmentation", [])))

    def _show_augmentation(self, tables: list[dict[str, Any]]) -> None:
        names = [str(table["name"]) for table in tables]
        for index in range(self.augmentation.count()):
            if [table["name"] for table in self.augmentation.itemData(index)] == names and all(
                set(table) == {"name"} or self.augmentation.itemText(index) != _OWN for table in tables
            ):
                self.augmentation.setCurrentIndex(index)
                return
        own = self.augmentation.findText(_OWN)
        if own < 0:
            self.augmentation.addItem(_OWN, tables)
        else:
            self.augmentation.setItemData(own, tables)
        self.augmentation.setCurrentIndex(self.augmentation.findText(_OWN))


def _parameters(section: str) -> list[str]:
    from segkit.parameters import parameters_of

    return [parameter.name for parameter in parameters_of(SECTIONS[section])]
