"""One small editor for each type of parameter, all with the same three members: `value`, `set_value` and `changed`.

Editors return what was typed and judge nothing; `segkit.parameters.check` says what fits. Numbers are shown with as many
digits as they have: a learning rate of 3e-4 neither turns into 0.00 nor changes when it is shown.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QCompleter,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QSpinBox,
    QWidget,
)

from segkit.parameters import Parameter, parse_text

__all__ = ["BrowseButton", "Editor", "QuietCombo", "QuietSpin", "editor_for", "number_text"]

_LARGEST = 2**31 - 1
SEARCHED_FROM = 12  # choices


def number_text(value: float) -> str:
    """Return the shortest text that reads back as exactly this number, in powers of ten where that is easier to read."""
    if value == 0 or 1e-2 <= abs(value) < 1e5:
        text = repr(value)
        return text.removesuffix(".0")
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    mantissa = str(digits[0]) + ("." + "".join(map(str, digits[1:])) if len(digits) > 1 else "")
    return f"{'-' if sign else ''}{mantissa}e{int(exponent) + len(digits) - 1}"


def text_of(value: Any) -> str:
    """Return a value as it is typed."""
    if value is None:
        return ""
    if isinstance(value, tuple | list):
        return ", ".join(text_of(element) for element in value)
    return number_text(value) if isinstance(value, float) else str(value)


class Editor(QWidget):  # type: ignore[misc]
    """Base of all editors: a row with one main control."""

    changed = Signal()

    def __init__(self, parameter: Parameter, main: Any, shown: Any = None) -> None:
        super().__init__()
        self.parameter = parameter
        self.main = main
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(0, 0, 0, 0)
        self.row.setSpacing(4)
        self.row.addWidget(main if shown is None else shown, 1)
        self.setFocusProxy(main)

    def value(self) -> Any:
        """Return what is shown, not checked."""
        raise TypeError(f"{type(self).__name__} shows no value")

    def set_value(self, value: Any) -> None:
        """Show a value."""


class TextEditor(Editor):
    """A line of text, also for numbers with a fraction and for tuples."""

    def __init__(self, parameter: Parameter) -> None:
        super().__init__(parameter, _NumberLine() if parameter.type is float and not parameter.length else QLineEdit())
        if parameter.length:
            three = parameter.length == 3
            self.main.setPlaceholderText("z, y, x" if three else "a, b, \N{HORIZONTAL ELLIPSIS}")
        self.main.textChanged.connect(lambda _: self.changed.emit())

    def value(self) -> Any:
        text = self.main.text().strip()
        if self.parameter.type is Path and not self.parameter.length:
            return Path(text)
        return text if self.parameter.type is str and not self.parameter.length else parse_text(self.parameter, text)

    def set_value(self, value: Any) -> None:
        self.main.setText(text_of(value))
        self.main.setCursorPosition(0)


class _NumberLine(QLineEdit):  # type: ignore[misc]
    """A line for one number; the up and down keys change its leading digit."""

    def keyPressEvent(self, event: Any) -> None:
        direction = {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1}.get(event.key())
        try:
            value = Decimal(self.text().strip())
        except ArithmeticError:
            direction = None
        if direction is None:
            super().keyPressEvent(event)
            return
        step = Decimal(1).scaleb(value.adjusted() if value else 0)
        if direction < 0 and abs(value) == step:  # from 1e-3 the next lower leading digit is 9e-4
            step /= 10
        self.setText(number_text(float(value + direction * step)))


class WholeNumberEditor(Editor):
    """A spin box with the parameter's own bounds."""

    def __init__(self, parameter: Parameter) -> None:
        spin = QuietSpin()
        low = -_LARGEST if parameter.minimum is None else int(parameter.minimum) + parameter.open_minimum
        high = _LARGEST if parameter.maximum is None else int(parameter.maximum) - parameter.open_maximum
        spin.setRange(max(-_LARGEST, low), min(_LARGEST, high))
        spin.setKeyboardTracking(False)
        if parameter.unit:
            spin.setSuffix(f" {parameter.unit}")
        super().__init__(parameter, spin)
        spin.valueChanged.connect(lambda _: self.changed.emit())

    def value(self) -> int:
        self.main.interpretText()
        return int(self.main.value())

    def set_value(self, value: Any) -> None:
        self.main.setValue(self.main.minimum() if value is None else int(value))


class QuietSpin(QSpinBox):  # type: ignore[misc]
    """A spin box that leaves the mouse wheel to the page unless it has the focus."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: Any) -> None:
        super().wheelEvent(event) if self.hasFocus() else event.ignore()


class QuietCombo(QComboBox):  # type: ignore[misc]
    """A combo box that leaves the mouse wheel to the page unless it has the focus, and never widens the dock."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)

    def wheelEvent(self, event: Any) -> None:
        super().wheelEvent(event) if self.hasFocus() else event.ignore()

    def make_searchable(self) -> None:
        """Let the user type a part of what is looked for; only what is in the list can be chosen."""
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        completer = self.completer()
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        self.lineEdit().setPlaceholderText("type to search")
        self.lineEdit().editingFinished.connect(lambda: self.setEditText(self.itemText(self.currentIndex())))


class ChoiceEditor(Editor):
    """A combo box of the allowed values."""

    def __init__(self, parameter: Parameter) -> None:
        combo = QuietCombo()
        for choice in parameter.choices:
            combo.addItem(str(choice).replace("_", " "), choice)
        if len(parameter.choices) >= SEARCHED_FROM:
            combo.make_searchable()
        super().__init__(parameter, combo)
        combo.currentIndexChanged.connect(lambda _: self.changed.emit())

    def value(self) -> Any:
        return self.parameter.choices[self.main.currentIndex()]

    def set_value(self, value: Any) -> None:
        self.main.setCurrentIndex(self.parameter.choices.index(value) if value in self.parameter.choices else 0)


class SwitchEditor(Editor):
    """A tick for yes or no."""

    def __init__(self, parameter: Parameter) -> None:
        super().__init__(parameter, QCheckBox())
        self.main.toggled.connect(lambda _: self.changed.emit())

    def value(self) -> bool:
        return bool(self.main.isChecked())

    def set_value(self, value: Any) -> None:
        self.main.setChecked(bool(value))


class BrowseButton(QPushButton):  # type: ignore[misc]
    """The small button beside a line or list that looks for something else to put into it.

    Parameters
    ----------
    tip
        What it looks for.
    """

    def __init__(self, tip: str) -> None:
        super().__init__("\N{HORIZONTAL ELLIPSIS}")
        self.setToolTip(tip)
        self.setAccessibleName(tip)
        self.setFixedWidth(30)
        self.setStyleSheet("QPushButton { padding: 2px; } QPushButton::menu-indicator { image: none; width: 0px; }")


class PlaceEditor(TextEditor):
    """A line for a path or URL, with a button to look for a file or a folder."""

    def __init__(self, parameter: Parameter) -> None:
        super().__init__(parameter)
        button = BrowseButton(f"Choose a file or folder for {parameter.name.replace('_', ' ')}")
        menu = QMenu(button)
        menu.addAction("File\N{HORIZONTAL ELLIPSIS}", lambda: self._browse(QFileDialog.getOpenFileName))
        menu.addAction("Folder\N{HORIZONTAL ELLIPSIS}", lambda: self._browse(QFileDialog.getExistingDirectory))
        button.setMenu(menu)
        self.row.addWidget(button)

    def _browse(self, ask: Any) -> None:
        found = ask(self, "Choose", self.main.text())
        path = found[0] if isinstance(found, tuple) else found
        if path:
            self.main.setText(path)


class OptionalEditor(Editor):
    """Any other editor, and a tick that leaves it empty."""

    def __init__(self, inner: Editor) -> None:
        super().__init__(inner.parameter, inner.main, inner)
        self._inner = inner
        spoken = inner.parameter.name.replace("_", " ")
        self.automatic = QCheckBox("not set")
        self.automatic.setToolTip(f"<qt>{inner.parameter.help or spoken}</qt>")
        self.automatic.setAccessibleName(f"no {spoken}")
        self.row.addWidget(self.automatic)
        self.automatic.toggled.connect(self._toggled)
        inner.changed.connect(self.changed)

    def _toggled(self, none: bool) -> None:
        self._inner.setEnabled(not none)
        self.changed.emit()

    def value(self) -> Any:
        return None if self.automatic.isChecked() else self._inner.value()

    def set_value(self, value: Any) -> None:
        self.automatic.setChecked(value is None)
        self._inner.setEnabled(value is not None)
        if value is not None:
            self._inner.set_value(value)


def editor_for(parameter: Parameter) -> Editor:
    """Return the editor of a parameter, showing its default."""
    editor: Editor
    if parameter.length:
        editor = TextEditor(parameter)
    elif parameter.choices:
        editor = ChoiceEditor(parameter)
    elif parameter.type is bool:
        editor = SwitchEditor(parameter)
    elif parameter.type is int:
        editor = WholeNumberEditor(parameter)
    elif parameter.location or parameter.type is Path:
        editor = PlaceEditor(parameter)
    else:
        editor = TextEditor(parameter)
    if parameter.optional:
        editor = OptionalEditor(editor)
    if not parameter.required:
        editor.set_value(parameter.default)
    return editor
