"""How the dock looks and reads: names, tooltips, widths, contrast, the order of the keys, and plain words."""

from __future__ import annotations

import re

import pytest

NARROW = 320
FORBIDDEN = re.compile(r"\btensor\b|NoneType|\bNone\b|\bnull\b|Traceback|epoch", re.IGNORECASE)


def controls(panel):
    """Return everything that can be clicked or typed into, but for the inner parts of spin boxes and combos."""
    from qtpy.QtWidgets import (
        QAbstractButton,
        QAbstractSlider,
        QAbstractSpinBox,
        QComboBox,
        QLineEdit,
        QScrollBar,
        QTabBar,
        QWidget,
    )

    kinds = (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox, QAbstractSlider)
    inner = (QAbstractSpinBox, QComboBox, QLineEdit, QScrollBar, QTabBar)
    found = []
    for control in panel.findChildren(QWidget):
        parent = control.parent()
        own = not (control.objectName().startswith("qt_") or parent.objectName().startswith("qt_"))
        if own and isinstance(control, kinds) and not isinstance(control, QScrollBar) and not isinstance(parent, inner):
            found.append(control)
    return found


@pytest.fixture
def narrow(viewer, components, add_volumes, tmp_path):
    """The dock in a window of its own, as narrow as it may be."""
    from napari_segkit.panel._panel import Panel

    made = Panel(viewer, tmp_path / "project")
    made.resize(NARROW, 760)
    made.show()
    yield made
    made.close_down()
    made.close()


def pages(panel, qtbot):
    for index in range(panel.tabs.count()):
        panel.tabs.setCurrentIndex(index)
        qtbot.wait(20)
        yield panel.tabs.tabText(index), panel.tabs.widget(index)


def test_point_27_every_control_has_a_name_and_a_tooltip(panel) -> None:
    from qtpy.QtWidgets import QAbstractButton

    nameless = []
    for control in controls(panel):
        text = control.text() if isinstance(control, QAbstractButton) else ""
        where = f"{type(control).__name__} '{text or control.accessibleName()}' in {type(control.parent()).__name__}"
        if not (text or control.accessibleName()):
            nameless.append(f"no name: {where}")
        if not control.toolTip():
            nameless.append(f"no tooltip: {where}")
    assert not nameless, "\n".join(nameless)


def test_point_29_no_text_is_cut_at_320_pixels(narrow, qtbot) -> None:
    from qtpy.QtWidgets import QLabel, QPushButton

    cut = []
    for title, area in pages(narrow, qtbot):
        if area.widget().width() > area.viewport().width() + 1:
            cut.append(f"{title}: the page is {area.widget().width()} wide in {area.viewport().width()}")
        for child in [*area.findChildren(QLabel), *area.findChildren(QPushButton)]:
            if not child.isVisible() or "<" in child.text() or (isinstance(child, QLabel) and child.wordWrap()):
                continue
            longest = max((child.fontMetrics().horizontalAdvance(part) for part in child.text().split("\n")), default=0)
            if longest > child.width() and not child.toolTip():
                cut.append(f"{title}: '{child.text()}' needs {longest}, has {child.width()}")
    assert narrow.width() <= NARROW
    assert not cut, "\n".join(cut)


def test_point_28_the_tab_key_follows_the_eye(narrow, qtbot) -> None:
    from qtpy.QtCore import QPoint, Qt

    backwards = []
    for title, area in pages(narrow, qtbot):
        page, chain = area.widget(), []
        widget = page.nextInFocusChain()
        for _ in range(2000):
            if widget is page or widget is None:
                break
            if page.isAncestorOf(widget) and widget.isVisible() and widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
                chain.append(widget)
            widget = widget.nextInFocusChain()
        tops = [control.mapTo(page, QPoint(0, control.height() // 2)).y() for control in chain]
        for before, after, control in zip(tops, tops[1:], chain[1:], strict=False):
            if after < before - 24:
                backwards.append(
                    f"{title}: {type(control).__name__} '{control.accessibleName()}' goes up by {before - after}"
                )
    assert not backwards, "\n".join(backwards)


def test_point_50_words_are_plain(panel, qtbot) -> None:
    from qtpy.QtWidgets import QAbstractButton, QLabel

    found = []
    for title, area in pages(panel, qtbot):
        for child in [*area.findChildren(QLabel), *area.findChildren(QAbstractButton)]:
            text = re.sub(r"<[^>]*>", "", child.text())
            if FORBIDDEN.search(text) or any(len(word) > 60 and "/" in word for word in text.split()):
                found.append(f"{title}: {text}")
    assert not found, "\n".join(found)


def test_point_49_every_page_has_something_to_begin_with(narrow, qtbot) -> None:
    from qtpy.QtWidgets import QAbstractButton, QLabel

    for title, area in pages(narrow, qtbot):
        buttons = [b for b in area.findChildren(QAbstractButton) if b.isVisible() and b.isEnabled() and b.text()]
        said = " ".join(label.text() for label in area.findChildren(QLabel) if label.isVisible())
        assert buttons, f"{title} offers nothing"
        assert said, f"{title} says nothing"


def luminance(colour) -> float:
    def linear(value: float) -> float:
        return value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4

    return 0.2126 * linear(colour.redF()) + 0.7152 * linear(colour.greenF()) + 0.0722 * linear(colour.blueF())


def contrast(one, other) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_point_30_colours_can_be_read_on_both_themes(panel, viewer, qtbot, theme) -> None:
    from napari.utils.theme import get_theme
    from qtpy.QtGui import QColor

    from napari_segkit.forms import colours

    viewer.theme = theme
    background = QColor(get_theme(theme).background.as_hex())
    found = colours()
    for name in ("error", "muted", "good"):
        assert contrast(QColor(found[name]), background) >= 4.5, (name, found[name])
    for name in ("training", "validation"):
        assert contrast(QColor(found[name]), background) >= 3, (name, found[name])
    assert contrast(QColor("white"), QColor(found["primary"])) >= 4.5
