"""The page Train without any training: forms, presets, starts, runs of others, and what is remembered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segkit.durable import append_record


@pytest.fixture
def page(panel):
    panel.show_page("Train")
    return panel.page("Train")


def journal(run: Path, *records: dict) -> None:
    """Write a run folder as the trainer does."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "run.json").write_text("{}")
    for record in records:
        append_record(run / "journal.jsonl", record, sync=False)


def steps(first: int, last: int) -> list[dict]:
    return [
        {"event": "step", "step": n, "loss": 1 / n, "learning_rate": 1e-3, "seconds": 0.1}
        for n in range(first, last + 1)
    ]


def look(panel, page, qtbot) -> None:
    """Read all journals now."""
    page.runs.take(page.runs.reader()())


def test_point_25_a_wrong_value_is_said_beside_the_button(page, qtbot) -> None:
    page.session.data.checks = list  # data are another page's
    page.update_controls()
    assert page.train_button.isEnabled()
    rate = page.setup.rate.editors["learning_rate"]
    rate.main.setText("0")
    assert "border" in rate.main.styleSheet()
    assert not page.train_button.isEnabled()
    assert "learning_rate" in page.reason.text()
    assert page.reason.isVisibleTo(page)
    rate.main.setText("3e-4")
    assert page.train_button.isEnabled()
    assert page.setup.tables()["optimizer"]["learning_rate"] == 3e-4


def test_the_button_says_what_data_are_missing(page) -> None:
    page.session.data.checks = lambda: []
    from napari_segkit.session import Check

    page.session.data.checks = lambda: [Check(True, "fine"), Check(False, "Choose labels")]
    page.update_controls()
    assert not page.train_button.isEnabled()
    assert page.reason.text() == "Choose labels, on the page Data."


def test_presets_change_what_they_say_and_put_back_the_rest(page) -> None:
    setup = page.setup
    setup.sections["sampling"].set_values({"foreground": 0.25})
    setup.choose_preset("Quick look")
    quick = setup.tables()
    assert quick["training"]["steps"] == 200
    assert len(quick["sampling"]["patch_shape"]) == 3
    assert setup.rate.dots["learning_rate"].isVisibleTo(setup)
    assert quick["sampling"]["foreground"] == 0.25
    setup.choose_preset("Balanced")
    assert setup.patch.value() is None
    assert "patch_shape" not in setup.tables()["sampling"]
    assert setup.tables()["training"]["steps"] == 5000
    assert not setup.rate.dots["learning_rate"].isVisibleTo(setup)


def test_a_run_that_somebody_trains_is_followed_and_can_be_stopped(panel, page, qtbot, tmp_path) -> None:
    run = tmp_path / "elsewhere" / "run-x"
    journal(run, {"event": "started", "step": 0, "steps": 100}, *steps(1, 20))
    page.attach(run)
    look(panel, page, qtbot)
    assert page.run.running
    assert page.runs_list.folder == run
    assert page.stop_button.isVisibleTo(page)
    assert not page.pause_button.isVisibleTo(page)
    assert page.curves.points == (20, 0)
    journal(
        run, *steps(21, 30), {"event": "validation", "step": 30, "loss": 0.5, "metrics": {"dice": 0.8}, "best": True}
    )
    look(panel, page, qtbot)
    assert page.curves.points == (30, 1)
    assert "dice 0.8" in page.scores.text()
    page.stop_button.click()
    assert (run / "stop").exists()
    assert page.stop_button.text().startswith("Saving")
    journal(run, {"event": "finished", "step": 30, "reason": "stopped"})
    look(panel, page, qtbot)
    assert not page.stop_button.isVisibleTo(page)
    assert page.train_button.isVisibleTo(page)


def test_a_folder_without_a_run_is_explained(panel, page, tmp_path) -> None:
    problems = []
    page.session.problem.connect(problems.append)
    page.attach(tmp_path)
    assert "run.json" in problems[0].sentence


def test_a_stopped_run_is_offered_to_go_on(panel, page, qtbot) -> None:
    run = page.session.project.folder / "runs" / "run-1"
    journal(
        run,
        {"event": "started", "step": 0, "steps": 40},
        *steps(1, 20),
        {"event": "finished", "step": 20, "reason": "stopped"},
    )
    look(panel, page, qtbot)
    page.setup.steps.setValue(77)
    page.follow(run)
    assert page.train_button.text() == "Continue run-1"
    assert page.start_from.count() == 3
    assert not page.setup.pickers["architecture"].isEnabled()
    assert page.setup.steps.isEnabled()
    page.start_from.setCurrentIndex(0)
    assert page.train_button.text() == "Train"
    assert page.setup.steps.value() == 77
    assert page.setup.pickers["architecture"].isEnabled()


def test_runs_are_laid_over_each_other_by_ticks(panel, page, qtbot) -> None:
    from qtpy.QtCore import Qt

    runs = page.session.project.folder / "runs"
    for name in ("run-1", "run-2"):
        journal(runs / name, {"event": "started", "step": 0, "steps": 40}, *steps(1, 20))
    look(panel, page, qtbot)
    page.follow(runs / "run-2")
    item = next(i for i in (page.runs_list.topLevelItem(n) for n in range(2)) if i.text(0) == "run-1")
    item.setCheckState(0, Qt.CheckState.Checked)
    assert list(page.curves.others) == ["run-1"]
    item.setCheckState(0, Qt.CheckState.Unchecked)
    assert not page.curves.others


def test_the_plot_takes_the_colour_of_the_theme(panel, page, viewer, qtbot) -> None:
    from napari.utils.theme import get_theme

    run = page.session.project.folder / "runs" / "run-1"
    journal(run, {"event": "started", "step": 0, "steps": 40}, *steps(1, 20))
    look(panel, page, qtbot)
    page.follow(run)
    for theme in ("light", "dark"):
        viewer.theme = theme
        colour = get_theme(theme).background.as_hex("long")
        qtbot.waitUntil(lambda colour=colour: page.curves.plot.backgroundBrush().color().name() == colour, timeout=3000)


def test_notes_are_kept_with_the_run(panel, page, qtbot) -> None:
    run = page.session.project.folder / "runs" / "run-1"
    journal(run, {"event": "started", "step": 0, "steps": 40}, *steps(1, 3))
    look(panel, page, qtbot)
    page.follow(run)
    page.notes.setText("thicker boundaries")
    page.notes.editingFinished.emit()
    qtbot.waitUntil(lambda: (run / "notes.txt").exists(), timeout=5000)
    page.follow(None)
    page.follow(run)
    assert page.notes.text() == "thicker boundaries"


def test_what_was_typed_is_there_again(panel, page) -> None:
    setup = page.setup
    setup.choose_preset("Quick look")
    setup.pickers["architecture"].choose("net")
    setup.pickers["architecture"].form.set_values({"rate": 2.5e-5, "shape": (1, 2, 3), "weights": Path("w.bin")})
    setup.rate.editors["learning_rate"].main.setText("1.25e-7")
    setup.steps.setValue(321)
    state = json.loads(json.dumps(page.state()))
    before = setup.tables()
    setup.choose_preset("Balanced")
    setup.pickers["architecture"].form.reset()
    setup.pickers["architecture"].choose("other")
    page.restore(state)
    assert setup.tables() == before


def test_options_that_are_gone_are_dropped_with_a_note(panel, page) -> None:
    said = []
    page.session.said.connect(lambda text, undo: said.append(text))
    state = page.state()
    state["setup"]["pickers"]["architecture"] = {
        "name": "small:net",
        "options": {"small:net": {"width": 64, "gone": 1, "rate": 7.0}, "nobody:none": {"a": 1}},
    }
    page.restore(state)
    assert page.setup.pickers["architecture"].form.state() == {"width": 64}
    assert "gone" in said[0]
    assert "nobody:none" in said[0]


def test_point_26_few_fields_are_visible_at_once(page) -> None:
    from qtpy.QtWidgets import QAbstractSpinBox, QCheckBox, QComboBox, QLineEdit

    kinds = (QAbstractSpinBox, QCheckBox, QComboBox, QLineEdit)
    for picker in page.setup.pickers.values():
        form = picker.form
        if form is None:
            continue
        seen = [e for e in form.editors.values() if e.isVisibleTo(form) and isinstance(e.main, kinds)]
        assert len(seen) <= 6
    for form in page.setup.sections.values():
        assert len([e for e in form.editors.values() if e.isVisibleTo(form)]) <= 6


def test_what_the_model_sees_is_asked_for_only_while_it_is_open(panel, page, qtbot, tmp_path) -> None:
    import numpy as np

    from napari_segkit.session._writing import writer

    run = tmp_path / "elsewhere" / "run-x"
    journal(run, {"event": "started", "step": 0, "steps": 100}, *steps(1, 5))
    page.attach(run)
    look(panel, page, qtbot)
    page.watching.tick()
    assert not (run / "preview" / "patch.json").exists()
    page.model_sees.open()
    writer.finish()
    asked = json.loads((run / "preview" / "patch.json").read_text())["request"]
    plane = np.full((2, 8, 8), 200, np.uint8)
    np.savez(run / "preview" / "patch.npz", image=plane[:1], target=plane, output=plane, mask=plane > 0)
    journal(
        run,
        {"event": "patch", "step": 5, "path": str(run / "preview" / "patch.npz"), "origin": "here", "request": asked},
    )
    look(panel, page, qtbot)
    qtbot.waitUntil(lambda: "Step 5 · 100 % of it is labelled" in page.model_sees.said.text(), timeout=5000)
    assert not page.model_sees.pictures["output"].pixmap().isNull()


def test_fixes_of_this_page_are_registered(page) -> None:
    assert {"smaller_patch", "lower_rate", "show_form", "show_plugins"} <= page.session.fixes.keys()
    page.setup_fold.button.setChecked(False)
    page.session.fixes["show_form"](None)
    assert page.setup_fold.button.isChecked()


def recipe_file(folder: Path) -> Path:
    """Write a recipe of the small components."""
    path = folder / "recipe.toml"
    path.write_text(
        '[task]\nname = "plain"\n[architecture]\nname = "net"\n[[loss]]\nname = "plain"\n'
        '[dataset]\nname = "files"\nraw = "raw"\n[sampling]\npatch_shape = [32, 96, 96]\nbatch_size = 2\n'
        "[optimizer]\nlearning_rate = 1e-3\n"
    )
    return path


@pytest.fixture
def started(page, monkeypatch):
    """What would have been started, instead of starting it."""
    from napari_segkit.session import Job
    from segkit.recipe import load_recipe

    found: list = []

    def start(kind, title, arguments, output, extra=None):
        found.append((load_recipe(arguments[1]), list(arguments)))
        return Job(page.session.project.folder / "jobs" / "x", kind, title, arguments, output)

    monkeypatch.setattr(page.session.jobs, "start", start)
    return found


def failed_job(page, tmp_path: Path):
    from napari_segkit.session import Job

    run = page.session.project.folder / "runs" / "run-1"
    journal(run, {"event": "started", "step": 0, "steps": 100}, *steps(1, 20))
    recipe_file(run)
    recipe = recipe_file(tmp_path)
    return Job(tmp_path / "job", "train", "train run-1", ["train", str(recipe), "--run", str(run)], run)


def test_out_of_memory_goes_on_with_a_smaller_patch(page, started, tmp_path) -> None:
    job = failed_job(page, tmp_path)
    page.session.fixes["smaller_patch"](job)
    [(recipe, arguments)] = started
    assert recipe.sampling.patch_shape == (32, 72, 72)
    assert "--from" not in arguments
    assert page.run.name == "run-2"


def test_a_diverged_training_goes_on_from_its_best_checkpoint(page, panel, started, tmp_path, qtbot) -> None:
    job = failed_job(page, tmp_path)
    for step in (10, 20):
        (job.output / "checkpoints" / f"{step:08d}").mkdir(parents=True)
        (job.output / "checkpoints" / f"{step:08d}" / "state.json").write_text("{}")
    journal(job.output, {"event": "validation", "step": 10, "loss": 0.5, "metrics": {}, "best": True})
    look(panel, page, qtbot)
    page.session.fixes["lower_rate"](job)
    [(recipe, arguments)] = started
    assert recipe.optimizer.learning_rate == 3e-4
    assert arguments[-4:] == ["--from", str(job.output), "--from-step", "10"]


def test_broken_plugins_are_listed(page, isolated_plugins) -> None:
    from segkit._plugins import PluginInfo

    problems, said = [], []
    page.session.problem.connect(problems.append)
    page.session.said.connect(lambda text, undo: said.append(text))
    page.session.fixes["show_plugins"](None)
    assert said
    assert not problems
    isolated_plugins._failures.append(PluginInfo("broken", "segkit-broken", "1.0", error="needs 'nothing'"))
    page.session.fixes["show_plugins"](None)
    assert "broken" in problems[0].sentence
    assert "needs 'nothing'" in problems[0].details
