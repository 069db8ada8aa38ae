"""The recipe as a form: the chosen components and the four sections; what comes out is checked by the library."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_segkit.forms._component_picker import ComponentPicker
from napari_segkit.forms._fold import Fold
from napari_segkit.forms._form import Form
from segkit.recipe import SECTIONS, Recipe

__all__ = ["RecipeForm"]

# Wishes for what is chosen at first; whatever is not installed is passed over.
_CHOICES: dict[str, tuple[str, str, tuple[str, ...], str]] = {
    "task": ("Task", "tasks", ("affinities", "boundaries", "semantic"), ""),
    "architecture": ("Network", "architectures", ("unet",), ""),
    "loss": ("Loss", "losses", ("bce", "dice"), ""),
    "initializer": ("Initializer", "initializers", (), "As the network comes"),
    "augmentation": ("Augmentation", "augmentations", (), "None"),
}
_LISTS = ("loss", "augmentation")
_SHOWN_FIRST = {
    "sampling": ("patch_shape", "batch_size", "foreground", "holdout"),
    "training": ("steps", "validate_every", "patience", "precision", "device"),
}


class RecipeForm(QWidget):  # type: ignore[misc]
    """Everything of a recipe but the data."""

    def __init__(self) -> None:
        super().__init__()
        self.pickers: dict[str, ComponentPicker] = {}
        self.sections: dict[str, Form] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for key, (title, kind, preferred, none) in _CHOICES.items():
            picker = self.pickers[key] = ComponentPicker(kind, preferred, none)
            if none:
                fold = Fold(title)
                fold.body_layout.addWidget(picker)
                layout.addWidget(fold)
            else:
                heading = QLabel(f"<b>{title}</b>")
                layout.addWidget(heading)
                layout.addWidget(picker)
        for key, section in SECTIONS.items():
            form = self.sections[key] = Form(section, _SHOWN_FIRST.get(key, ()))
            fold = Fold(key.capitalize())
            fold.body_layout.addWidget(form)
            layout.addWidget(fold)
            if key == "training":
                fold.open()

    def tables(self) -> dict[str, Any]:
        """Return the tables of a recipe, all but those of the data.

        Raises
        ------
        UsageError
            If a field is wrong, or a choice that must be made is not.
        """
        tables: dict[str, Any] = {}
        for key, picker in self.pickers.items():
            table = picker.table()
            if table is not None:
                tables[key] = [table] if key in _LISTS else table
        for key, form in self.sections.items():
            tables[key] = form.values()
        Recipe.from_mapping({**tables, "dataset": {"name": "files", "raw": "raw"}})
        return tables

    def show_recipe(self, recipe: Recipe) -> None:
        """Fill the form in from a recipe; of several losses or augmentations, the first is shown."""
        mapping = recipe.to_mapping()
        for key, picker in self.pickers.items():
            table = mapping.get(key)
            table = table[0] if isinstance(table, list) and table else table
            if table:
                picker.set_table(table)
        for key, form in self.sections.items():
            form.set_values(mapping[key])
