"""Choosing a component: a combo box grouped by plugin, what it is, and the form of its options."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QStandardItem, QStandardItemModel
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from napari_segkit.forms._editors import QuietCombo
from napari_segkit.forms._fold import Fold
from napari_segkit.forms._form import LABEL_WIDTH, Form, fitting
from segkit.registry import Component, plugins, registries

__all__ = ["ComponentPicker"]

SEARCHED_FROM = 9  # entries


class ComponentPicker(QWidget):  # type: ignore[misc]
    """One component of a kind, and its options; each component keeps its options while others are looked at.

    Parameters
    ----------
    kind
        A name of `segkit.registry.KINDS`.
    preferred
        Bare names to choose at first, the best first, where they are installed.
    none
        What to call the choice of no component; empty where there must be one.
    folded
        Whether the options are under a heading that is closed at first.
    title
        What stands to the left of the list; empty for nothing.
    """

    changed = Signal()

    def __init__(
        self, kind: str, preferred: tuple[str, ...] = (), none: str = "", folded: bool = False, title: str = ""
    ) -> None:
        super().__init__()
        self.kind, self._preferred = kind, preferred
        self.forms: dict[str, Form] = {}
        self._remembered: dict[str, dict[str, Any]] = {}
        self.combo = QuietCombo()
        self.combo.setAccessibleName(kind)
        self.combo.setToolTip(f"Choose one of the installed {kind}")
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.summary.setStyleSheet("font-style: italic;")
        self.summary.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.stack = _FittingStack()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self.fold = Fold("Options") if folded else None
        if self.fold is not None:
            self.fold.body_layout.addWidget(self.stack)
        row = QHBoxLayout()
        row.setSpacing(8)
        if title:
            heading = QLabel(f"<b>{title}</b>")
            heading.setFixedWidth(LABEL_WIDTH)
            row.addWidget(heading)
        row.addWidget(self.combo, 1)
        layout.addLayout(row)
        for widget in (self.summary, self.fold or self.stack):
            layout.addWidget(widget)
        self.combo.setModel(_model(kind, none))
        if self.combo.count() >= SEARCHED_FROM:
            self.combo.make_searchable()
        self.combo.currentIndexChanged.connect(lambda _: self._chosen())
        for name in preferred:
            if self.choose(name):
                break
        else:
            first = next((i for i in range(self.combo.count()) if self._enabled(i)), -1)
            self.combo.setCurrentIndex(first)
        self._chosen()

    def _enabled(self, index: int) -> bool:
        return bool(self.combo.model().item(index).isEnabled())

    def choose(self, name: str) -> bool:
        """Choose a component by bare or qualified name; return whether it is there."""
        for index in range(self.combo.count()):
            if self._is(index, name):
                self.combo.setCurrentIndex(index)
                return True
        return False

    def refuse(self, why: Callable[[str], str]) -> None:
        """Grey out what does not fit, with the reason; what is chosen gives way to the first that fits.

        Parameters
        ----------
        why
            Given a qualified name, returns the reason, or an empty string for what fits.
        """
        for index in range(self.combo.count()):
            item, name = self.combo.model().item(index), self.combo.itemData(index)
            if isinstance(name, str) and name:
                reason = why(name)
                item.setEnabled(not reason)
                item.setToolTip(f"<qt>{reason or registries[self.kind][name].summary}</qt>")
        if self.combo.currentIndex() >= 0 and not self._enabled(self.combo.currentIndex()):
            fitting = [index for index in range(self.combo.count()) if self._enabled(index)]
            wanted = [i for name in self._preferred for i in fitting if self._is(i, name)]
            self.combo.setCurrentIndex((wanted or fitting or [-1])[0])

    def _is(self, index: int, name: str) -> bool:
        qualified = self.combo.itemData(index)
        return isinstance(qualified, str) and bool(qualified) and name in (qualified, qualified.partition(":")[2])

    @property
    def component(self) -> Component | None:
        """What is chosen; None for the choice of none, or where nothing is installed."""
        qualified = self.combo.currentData()
        return registries[self.kind][qualified] if qualified else None

    def _chosen(self) -> None:
        component = self.component
        if component is None:
            self.summary.setText("" if self.combo.count() else f"No plugin offers any {self.kind}.")
            self.combo.setToolTip(self.combo.currentText() or self.summary.text())
            (self.fold or self.stack).setVisible(False)
        else:
            name = component.qualified
            if name not in self.forms:
                self.forms[name] = Form(component.factory)
                self.forms[name].set_values(self._remembered.pop(name, {}))
                self.forms[name].changed.connect(self._edited)
                self.stack.addWidget(self.forms[name])
            self.stack.setCurrentWidget(self.forms[name])
            (self.fold or self.stack).setVisible(bool(component.parameters))
            self._count()
            self.summary.setText(component.summary)
            self.combo.setToolTip(f"{name} from {component.plugin.distribution} {component.plugin.version}")
        self.summary.setVisible(bool(self.summary.text()))
        self.changed.emit()

    def _edited(self) -> None:
        self._count()
        self.changed.emit()

    def _count(self) -> None:
        """Say in the heading how many options there are, and how many differ from their defaults."""
        component = self.component
        if self.fold is None or component is None:
            return
        changed = len(self.forms[component.qualified].changed_fields)
        more = f" · {changed} changed" if changed else ""
        self.fold.button.setText(f"Options ({len(component.parameters)}){more}")

    @property
    def form(self) -> Form | None:
        """The form of what is chosen; None for no component."""
        component = self.component
        return None if component is None else self.forms[component.qualified]

    def table(self) -> dict[str, Any] | None:
        """Return the table of a recipe that says what is chosen; None for no component.

        Raises
        ------
        UsageError
            If an option is wrong.
        """
        component = self.component
        if component is None:
            return None
        return {"name": component.qualified, **self.forms[component.qualified].values()}

    def state(self) -> dict[str, Any]:
        """Return what is chosen, and the options of everything that was looked at, as JSON says it."""
        options = {**self._remembered, **{name: form.state() for name, form in self.forms.items()}}
        return {"name": self.combo.currentData() or "", "options": {k: v for k, v in options.items() if v}}

    def restore(self, state: Mapping[str, Any]) -> list[str]:
        """Show what `state` returned, and return the options that no longer fit, which are dropped."""
        dropped = []
        for name, values in dict(state.get("options", {})).items():
            if name not in registries[self.kind]:
                dropped.append(f"{name}")
                continue
            kept = fitting(registries[self.kind][name].factory, values)
            dropped += [f"{name} {entry}" for entry in values if entry not in kept]
            if name in self.forms:
                self.forms[name].set_values(kept)
            else:
                self._remembered[name] = kept
        if not self.choose(str(state.get("name", ""))) and not state.get("name"):
            self.combo.setCurrentIndex(max(0, self.combo.findData("")))
        return dropped

    def set_table(self, table: dict[str, Any]) -> None:
        """Show what a table of a recipe says."""
        if self.choose(str(table.get("name", ""))) and self.component is not None:
            self.forms[self.component.qualified].set_values({k: v for k, v in table.items() if k != "name"})


class _FittingStack(QStackedWidget):  # type: ignore[misc]
    """A stack that is as high as the page it shows, not as its highest page."""

    def __init__(self) -> None:
        super().__init__()
        self.currentChanged.connect(self._fit)

    def _fit(self, current: int) -> None:
        for index in range(self.count()):
            policy = QSizePolicy.Policy.Preferred if index == current else QSizePolicy.Policy.Ignored
            self.widget(index).setSizePolicy(QSizePolicy.Policy.Preferred, policy)
        self.updateGeometry()

    def sizeHint(self) -> Any:
        return self.currentWidget().sizeHint() if self.count() else super().sizeHint()

    def minimumSizeHint(self) -> Any:
        return self.currentWidget().minimumSizeHint() if self.count() else super().minimumSizeHint()


def _model(kind: str, none: str) -> QStandardItemModel:
    """Return the entries: a heading and the components of each plugin, then the plugins that failed to load."""
    model = QStandardItemModel()
    if none:
        model.appendRow(_item(none, ""))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the broken ones are listed right here
        by_plugin: dict[str, list[Component]] = {}
        for component in registries[kind].values():
            by_plugin.setdefault(component.plugin.name, []).append(component)
        infos = plugins()
    for plugin, components in sorted(by_plugin.items()):
        if len(by_plugin) > 1:
            model.appendRow(_item(f"from {plugin}", None, enabled=False))
        for component in components:
            item = _item(component.name.replace("_", " "), component.qualified)
            item.setToolTip(component.summary)
            model.appendRow(item)
    for info in infos:
        if info.error:
            item = _item(f"{info.name} (failed to load)", None, enabled=False)
            item.setToolTip(f"<qt>{_with_remedy(info)}</qt>")
            model.appendRow(item)
    return model


def _with_remedy(info: Any) -> str:
    if "pip install" in info.error or not info.distribution:
        return str(info.error)
    return f"{info.error}. To install it again: pip install --force-reinstall {info.distribution}"


def _item(text: str, data: str | None, enabled: bool = True) -> QStandardItem:
    item = QStandardItem(text)
    item.setData(data, Qt.ItemDataRole.UserRole)
    item.setEnabled(enabled)
    return item
