"""A form made of `Parameter` records: the same for a component's factory and for a section of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_segkit.forms._editors import Editor, editor_for
from napari_segkit.forms._fold import Fold
from segkit.errors import UsageError
from segkit.parameters import Parameter, check, parameters_of

__all__ = ["Form", "tooltip_of"]

MOST_VISIBLE = 5
_WRONG = "border: 1px solid #e5534b;"


def tooltip_of(parameter: Parameter) -> str:
    """Return help, range and default of a parameter."""
    from napari_segkit.forms._editors import text_of

    default = "none" if parameter.default is None else text_of(parameter.default) or "empty"
    given = "has to be given" if parameter.required else f"default {default}"
    help = parameter.help or parameter.name.replace("_", " ")
    # Tags make Qt wrap the text; without them a tooltip is one line of any length.
    return f"<qt>{_escaped(help)}<br><i>{_escaped(parameter.type_text)}; {_escaped(given)}</i></qt>"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("``", "'")


class Form(QWidget):  # type: ignore[misc]
    """The user's parameters of a factory; at most `MOST_VISIBLE` at once, the others under "Advanced".

    Parameters
    ----------
    factory
        A component's factory, or a frozen keyword-only dataclass.
    first
        Names of the parameters to show in the first place, if not those that come first.
    """

    changed = Signal()

    def __init__(self, factory: Callable[..., Any], first: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.editors: dict[str, Editor] = {}
        self._complaints: dict[str, QLabel] = {}
        parameters = parameters_of(factory)
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
        grid.setColumnMinimumWidth(0, 116)
        grid.setColumnStretch(1, 1)
        for row, parameter in enumerate(parameters):
            editor = editor_for(parameter)
            spoken = parameter.name.replace("_", " ")
            unit = f" ({parameter.unit})" if parameter.unit and parameter.type is float else ""
            label = QLabel(f"{spoken[:1].upper()}{spoken[1:]}{unit}")
            label.setWordWrap(True)
            label.setFixedWidth(116)
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
        return grid

    def _edited(self, name: str) -> None:
        self.problem(name)
        self.changed.emit()

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

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show these values; names that the form does not have are passed over."""
        for name in values.keys() & self.editors.keys():
            value = values[name]
            editor = self.editors[name]
            editor.set_value(None if editor.parameter.optional and value == "none" else value)
