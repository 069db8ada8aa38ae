"""A form made of `Parameter` records: the same for a component's factory and for a section of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_segkit.forms._editors import Editor, editor_for, text_of
from napari_segkit.forms._fold import Fold
from segkit.errors import UsageError
from segkit.parameters import Parameter, check, parameters_of

__all__ = ["LABEL_WIDTH", "Form", "fitting", "tooltip_of"]

MOST_VISIBLE = 5
LABEL_WIDTH = 104
_WRONG = "border: 1px solid #e5534b;"


def tooltip_of(parameter: Parameter) -> str:
    """Return help, range and default of a parameter."""
    default = "not set" if parameter.default is None else text_of(parameter.default) or "empty"
    given = "has to be given" if parameter.required else f"default {default}"
    help = parameter.help or parameter.name.replace("_", " ")
    # Tags make Qt wrap the text; without them a tooltip is one line of any length.
    return f"<qt>{_escaped(help)}<br><i>{_escaped(parameter.type_text)}; {_escaped(given)}</i></qt>"


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    return value if isinstance(value, bool | int | float | str) else str(value)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("``", "'")


def fitting(factory: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those values that are parameters of a factory and still are in their range."""
    known, kept = {parameter.name: parameter for parameter in parameters_of(factory)}, {}
    for name, value in values.items():
        if name in known:
            try:
                check(known[name], value, name)
            except UsageError:
                continue
            kept[name] = value
    return kept


class Form(QWidget):  # type: ignore[misc]
    """The user's parameters of a factory; at most `MOST_VISIBLE` at once, the others under "Advanced".

    Parameters
    ----------
    factory
        A component's factory, or a frozen keyword-only dataclass.
    first
        Names of the parameters to show in the first place, if not those that come first.
    without
        Names of the parameters to leave out.
    """

    changed = Signal()

    def __init__(self, factory: Callable[..., Any], first: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.editors: dict[str, Editor] = {}
        self.dots: dict[str, QToolButton] = {}
        """The marks of fields that differ from their defaults; a click puts the default back."""
        self._complaints: dict[str, QLabel] = {}
        parameters = [p for p in parameters_of(factory) if p.name not in without]
        plain = [p for p in parameters if (p.name in first if first else not p.advanced) or p.required]
        plain = plain[:MOST_VISIBLE] + [p for p in plain[MOST_VISIBLE:] if p.required]
        rest = [p for p in parameters if p not in plain]
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self._grid(plain))
        self.advanced: Fold | None = None
        if rest:
            self.advanced = Fold(f"Advanced ({len(rest)})")
            self.advanced.body_layout.addLayout(self._grid(rest))
            layout.addWidget(self.advanced)

    def _grid(self, parameters: list[Parameter]) -> QGridLayout:
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        grid.setColumnMinimumWidth(0, LABEL_WIDTH)
        grid.setColumnStretch(1, 1)
        for row, parameter in enumerate(parameters):
            editor = editor_for(parameter)
            spoken = parameter.name.replace("_", " ")
            unit = f" ({parameter.unit})" if parameter.unit and parameter.type is float else ""
            label = QLabel(f"{spoken[:1].upper()}{spoken[1:]}{unit}")
            label.setWordWrap(True)
            label.setFixedWidth(LABEL_WIDTH)
            complaint = QLabel()
            complaint.setWordWrap(True)
            complaint.setStyleSheet("color: #ff8a80;")
            complaint.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
            complaint.hide()
            for widget in (label, editor, editor.main):
                widget.setToolTip(tooltip_of(parameter))
            editor.main.setAccessibleName(spoken)
            editor.changed.connect(lambda name=parameter.name: self._edited(name))
            grid.addWidget(label, 2 * row, 0, Qt.AlignmentFlag.AlignVCenter)
            grid.addWidget(editor, 2 * row, 1)
            grid.addWidget(complaint, 2 * row + 1, 0, 1, 2)
            self.editors[parameter.name] = editor
            self._complaints[parameter.name] = complaint
            grid.addWidget(self._dot(parameter), 2 * row, 2, Qt.AlignmentFlag.AlignVCenter)
        return grid

    def _dot(self, parameter: Parameter) -> QToolButton:
        dot = self.dots[parameter.name] = QToolButton()
        default = text_of(parameter.default) or "not set" if not parameter.required else ""
        dot.setText("\N{BLACK CIRCLE}")
        dot.setStyleSheet("QToolButton { border: none; background: transparent; color: #6f97d8; padding: 0; }")
        dot.setFixedSize(14, 18)
        dot.setToolTip(f"<qt>Changed. Click for the default, {_escaped(default)}</qt>")
        dot.setAccessibleName(f"put back the default of {parameter.name.replace('_', ' ')}")
        keeping = dot.sizePolicy()
        keeping.setRetainSizeWhenHidden(True)
        dot.setSizePolicy(keeping)
        dot.hide()
        dot.clicked.connect(lambda _=False, name=parameter.name: self.reset((name,)))
        return dot

    def _edited(self, name: str) -> None:
        self.problem(name)
        self.dots[name].setVisible(self._differs(name))
        self.changed.emit()

    def _differs(self, name: str) -> bool:
        editor = self.editors[name]
        if editor.parameter.required:
            return False
        try:
            return bool(check(editor.parameter, editor.value(), name) != editor.parameter.default)
        except UsageError:
            return True

    @property
    def changed_fields(self) -> list[str]:
        """Names of the fields that differ from their defaults."""
        return [name for name in self.editors if self._differs(name)]

    def reset(self, names: Iterable[str] | None = None) -> None:
        """Put back the defaults of these fields, or of all."""
        for name in self.editors if names is None else names:
            parameter = self.editors[name].parameter
            if not parameter.required:
                self.editors[name].set_value(parameter.default)

    def problem(self, name: str) -> str:
        """Check one field, mark it if it is wrong, and return the sentence that says why, or an empty string."""
        editor = self.editors[name]
        try:
            check(editor.parameter, editor.value(), name)
            sentence = ""
        except UsageError as error:
            sentence = str(error).replace("`", "")
        editor.main.setStyleSheet(_WRONG if sentence else "")
        self._complaints[name].setText(sentence)
        self._complaints[name].setVisible(bool(sentence))
        if sentence and self.advanced is not None and self.advanced.isAncestorOf(editor):
            self.advanced.open()
        return sentence

    def values(self) -> dict[str, Any]:
        """Return what differs from the defaults, and everything that has none.

        Raises
        ------
        UsageError
            If a field is wrong; all wrong ones are then marked.
        """
        problems = [sentence for name in self.editors if (sentence := self.problem(name))]
        if problems:
            raise UsageError(problems[0])
        found = {}
        for name, editor in self.editors.items():
            value = check(editor.parameter, editor.value(), name)
            if editor.parameter.required or value != editor.parameter.default:
                found[name] = value
        return found

    def state(self) -> dict[str, Any]:
        """Return what `values` does, as JSON says it; fields that are wrong are left out."""
        found = {}
        for name in self.changed_fields:
            editor = self.editors[name]
            try:
                value = check(editor.parameter, editor.value(), name)
            except UsageError:
                continue
            found[name] = _plain("none" if value is None else value)
        return found

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show these values; names that the form does not have are passed over."""
        for name in values.keys() & self.editors.keys():
            value = values[name]
            editor = self.editors[name]
            editor.set_value(None if editor.parameter.optional and value == "none" else value)
