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


def test_a_dot_marks_what_differs_and_puts_the_default_back(form) -> None:
    dot = form.dots["rate"]
    assert not dot.isVisibleTo(form)
    form.editors["rate"].main.setText("3e-2")
    assert dot.isVisibleTo(form)
    assert "3e-4" in dot.toolTip()
    dot.click()
    assert form.editors["rate"].main.text() == "3e-4"
    assert not dot.isVisibleTo(form)
    form.set_values({"width": 64, "limit": 2.0})
    assert sorted(form.changed_fields) == ["limit", "width"]
    form.reset()
    assert form.values() == {}
    assert form.editors["limit"].automatic.isChecked()


@given(value=st.floats(1e-8, 1.0))
def test_point_23_a_learning_rate_is_returned_as_it_was_typed(value: float) -> None:
    from napari_segkit.forms._editors import number_text
    from segkit.parameters import check, parse_text
    from segkit.recipe import SECTIONS

    rate = next(p for p in parameters_of(SECTIONS["optimizer"]) if p.name == "learning_rate")
    assert check(rate, parse_text(rate, number_text(value)), "rate") == value
    assert check(rate, parse_text(rate, repr(value)), "rate") == value


@pytest.mark.parametrize("text", ["3e-4", "0.0003", "1e-8", "0.1", "1", "1.25e-7", "2E-5"])
def test_point_23_the_field_keeps_the_text(qtbot, components, text: str) -> None:
    from napari_segkit.forms._form import Form
    from segkit.recipe import SECTIONS

    form = Form(SECTIONS["optimizer"])
    qtbot.addWidget(form)
    form.editors["learning_rate"].main.setText(text)
    assert form.values().get("learning_rate", 1e-3) == float(text)
    assert form.editors["learning_rate"].main.text() == text
    again = Form(SECTIONS["optimizer"])
    qtbot.addWidget(again)
    again.set_values(form.state())
    assert again.values() == form.values()


def test_point_24_state_says_everything_in_json(form) -> None:
    import json

    form.set_values(CHANGES)
    state = json.loads(json.dumps(form.state()))
    form.reset()
    form.set_values(state)
    assert form.values() == CHANGES


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


def test_what_does_not_fit_is_grey_with_the_reason(qtbot, components) -> None:
    from qtpy.QtCore import Qt

    from napari_segkit.forms._component_picker import ComponentPicker

    picker = ComponentPicker("architectures", ("net",))
    qtbot.addWidget(picker)
    picker.refuse(lambda name: "It is too slow." if name == "small:net" else "")
    assert picker.component.name == "other"
    item = picker.combo.model().item(picker.combo.findData("small:net"))
    assert not item.isEnabled()
    assert "too slow" in item.data(Qt.ItemDataRole.ToolTipRole)
    picker.refuse(lambda name: "")
    assert item.isEnabled()


def test_long_lists_are_searched_by_typing(qtbot) -> None:
    from napari_segkit.forms._component_picker import ComponentPicker

    picker = ComponentPicker("architectures", ("unet",))
    qtbot.addWidget(picker)
    assert picker.combo.isEditable()
    completer = picker.combo.completer()
    completer.setCompletionPrefix("segf")
    assert completer.currentCompletion() == "smp segformer"
    picker.combo.lineEdit().setText("nonsense")
    picker.combo.lineEdit().editingFinished.emit()
    assert picker.combo.currentText() == "unet"
    assert picker.component.name == "unet"


def test_options_are_remembered_for_each_component(qtbot, components) -> None:
    import json

    from napari_segkit.forms._component_picker import ComponentPicker

    picker = ComponentPicker("architectures", ("net",), folded=True)
    qtbot.addWidget(picker)
    picker.form.set_values({"width": 64})
    assert picker.fold.button.text() == "Options (9) · 1 changed"
    picker.choose("other")
    state = json.loads(json.dumps(picker.state()))
    again = ComponentPicker("architectures", ("net",))
    qtbot.addWidget(again)
    assert again.restore(state) == []
    assert again.component.name == "other"
    again.choose("net")
    assert again.table() == {"name": "small:net", "width": 64}


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
