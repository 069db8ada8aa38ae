"""Forms: what is shown is what comes back, and wrong values are marked."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import segkit
from segkit.errors import UsageError
from segkit.parameters import parameters_of


@pytest.fixture
def form(qtbot, components):
    from napari_segkit.forms._form import Form

    made = Form(components.net)
    qtbot.addWidget(made)
    return made


@given(st.floats(1e-12, 1e12) | st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_reads_back_as_itself(value: float) -> None:
    from napari_segkit.forms._editors import number_text

    assert float(number_text(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3e-4, "3e-4"),
        (0.9, "0.9"),
        (1.0, "1"),
        (0.0, "0"),
        (1.25e-7, "1.25e-7"),
        (-2e6, "-2e6"),
        (100.0, "100"),
        (0.01, "0.01"),
    ],
)
def test_numbers_are_written_as_people_do(value: float, text: str) -> None:
    from napari_segkit.forms._editors import number_text

    assert number_text(value) == text


def test_untouched_forms_return_only_defaults(form, components) -> None:
    assert form.values() == {}
    assert form.editors["rate"].main.text() == "3e-4"
    assert form.editors["width"].main.value() == 2048
    assert form.editors["width"].main.maximum() == 4096


CHANGES = {
    "rate": 2.5e-5,
    "width": 4,
    "norm": "batch_norm",
    "deep": True,
    "shape": (1, 2, 3),
    "weights": Path("w.bin"),
    "limit": 0.0,
    "note": "text",
    "scale": 2.0,
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_kind_of_parameter_round_trips(form, components, name: str) -> None:
    form.set_values({name: CHANGES[name]})
    assert form.values() == {name: CHANGES[name]}
    segkit.registry.registries["architectures"]["net"].bind(form.values())


def test_every_setting_of_a_recipe_has_an_editor(qtbot, components) -> None:
    from napari_segkit.forms._form import Form
    from segkit.recipe import SECTIONS

    for section in SECTIONS.values():
        form = Form(section)
        qtbot.addWidget(form)
        assert form.values() == {}
        assert set(form.editors) == {parameter.name for parameter in parameters_of(section)}


def test_none_is_a_tick(form) -> None:
    editor = form.editors["limit"]
    assert editor.automatic.isChecked()
    assert not editor.main.isEnabled()
    editor.automatic.setChecked(False)
    editor.main.setText("1e-3")
    assert form.values() == {"limit": 1e-3}
    form.set_values({"limit": "none"})
    assert form.values() == {}


@pytest.mark.parametrize(
    ("name", "text"), [("rate", "0"), ("rate", "1.5"), ("rate", "fast"), ("shape", "1, 2"), ("scale", "-1")]
)
def test_a_wrong_value_is_marked_and_named(form, name: str, text: str) -> None:
    editor = form.editors[name]
    editor.main.setText(text)
    assert "border" in editor.main.styleSheet()
    with pytest.raises(UsageError, match=name):
        form.values()
    complaint = form._complaints[name]
    assert not complaint.isHidden()
    assert "It takes" in complaint.text()
    editor.main.setText("0.5" if name != "shape" else "1,2,3")
    assert editor.main.styleSheet() == ""
    assert complaint.isHidden()


def test_what_must_be_given_is_asked_for(qtbot, components) -> None:
    from napari_segkit.forms._form import Form

    form = Form(components.other)
    qtbot.addWidget(form)
    form.set_values({"places": "a.zarr"})
    assert form.values() == {"places": "a.zarr"}


def test_at_most_five_fields_are_visible(form) -> None:
    from napari_segkit.forms._form import MOST_VISIBLE

    hidden = [name for name, editor in form.editors.items() if form.advanced.isAncestorOf(editor)]
    assert len(form.editors) - len(hidden) <= MOST_VISIBLE
    assert "scale" in hidden
    assert not form.advanced.body.isVisibleTo(form)


def test_tooltips_say_help_range_and_default(form) -> None:
    tip = form.editors["rate"].main.toolTip()
    assert "dropped &lt; all" in tip
    assert "default 3e-4" in tip
    assert all(editor.main.toolTip() and editor.main.accessibleName() for editor in form.editors.values())


def test_arrow_keys_change_the_leading_digit(form, qtbot) -> None:
    from qtpy.QtCore import Qt

    line = form.editors["rate"].main
    qtbot.keyClick(line, Qt.Key.Key_Up)
    assert line.text() == "4e-4"
    line.setText("1e-3")
    qtbot.keyClick(line, Qt.Key.Key_Down)
    assert line.text() == "9e-4"
    line.setText("nonsense")
    qtbot.keyClick(line, Qt.Key.Key_Up)
    assert line.text() == "nonsense"


def test_the_wheel_changes_nothing_in_passing(form) -> None:
    from qtpy.QtCore import QPoint, QPointF, Qt
    from qtpy.QtGui import QWheelEvent

    spin = form.editors["width"].main
    event = QWheelEvent(
        QPointF(1, 1), QPointF(1, 1), QPoint(0, 0), QPoint(0, 120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    spin.wheelEvent(event)
    assert spin.value() == 2048
    assert not event.isAccepted()


def test_a_picker_keeps_options_of_each_component(qtbot, components) -> None:
    from napari_segkit.forms._component_picker import ComponentPicker

    picker = ComponentPicker("architectures", ("net",))
    qtbot.addWidget(picker)
    picker.forms["small:net"].set_values({"width": 64})
    picker.choose("other")
    assert picker.component.name == "other"
    picker.choose("small:net")
    assert picker.table() == {"name": "small:net", "width": 64}


def test_a_picker_lists_broken_plugins_with_the_reason(qtbot, components, isolated_plugins) -> None:
    from napari_segkit.forms._component_picker import ComponentPicker
    from segkit._plugins import PluginInfo

    isolated_plugins._failures.append(PluginInfo("broken", "segkit-broken", "1.0", error="needs 'nothing'"))
    picker = ComponentPicker("losses")
    qtbot.addWidget(picker)
    item = picker.combo.model().item(picker.combo.count() - 1)
    assert "broken" in item.text()
    assert not item.isEnabled()
    assert "needs 'nothing'" in item.toolTip()
    assert picker.table() == {"name": "small:plain"}
