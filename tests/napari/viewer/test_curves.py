"""Curves: every logged point is drawn, at little cost, in colours that can be seen."""

from __future__ import annotations

import csv
from time import process_time

import numpy as np
import pytest


@pytest.fixture
def curves(qtbot):
    from napari_segkit.train._curves import Curves

    made = Curves()
    qtbot.addWidget(made)
    made.resize(360, 220)
    made.show()
    return made


def progress(count: int, checks: int = 4):
    from napari_segkit.session import RunProgress

    run = RunProgress()
    losses = 1 / np.sqrt(np.arange(1, count + 1)) + np.random.default_rng(0).normal(0, 0.01, count) ** 2
    run.feed([{"event": "started", "step": 0, "steps": count}], 0.0)
    run.feed(({"event": "step", "step": n + 1, "loss": float(losses[n])} for n in range(count)), 0.0)
    for step in np.linspace(count // checks, count, checks).astype(int).tolist():
        record = {"event": "validation", "step": step, "loss": 0.2, "metrics": {"dice": 0.5}, "best": step == count}
        run.feed([record], 0.0)
    return run


def test_point_34_all_logged_steps_are_drawn(curves) -> None:
    run = progress(500)
    curves.show_run(run)
    assert curves.points == (500, 4)
    assert curves.best.getOriginalDataset()[0].tolist() == [500.0]
    assert curves.logarithmic  # more than ten times between the largest and the smallest


def test_point_34_an_update_is_cheap_at_two_hundred_thousand_points(curves, qtbot) -> None:
    run = progress(200_000)
    curves.show_run(run)
    qtbot.wait(50)
    spent = []
    for step in range(200_001, 200_012):
        run.feed([{"event": "step", "step": step, "loss": 0.01}], 0.0)
        began = process_time()
        curves.show_run(run)
        curves.plot.viewport().repaint()
        spent.append(process_time() - began)
    assert curves.points[0] == 200_011
    assert np.median(spent) < 0.03, spent


def test_point_34_values_are_read_under_the_mouse(curves, qtbot) -> None:
    curves.show_run(progress(100))
    qtbot.wait(50)
    box = curves.plot.getPlotItem().getViewBox()
    from qtpy.QtCore import QPointF

    curves.plot.scene().sigMouseMoved.emit(box.mapViewToScene(QPointF(50.2, box.viewRange()[1][0])))
    assert curves.readout.text().startswith("Step 50: loss ")
    assert "validation at 50" in curves.readout.text()
    curves.plot.scene().sigMouseMoved.emit(QPointF(-10, -10))
    assert curves.readout.text().strip() == ""


def test_other_runs_are_drawn_beneath(curves) -> None:
    curves.show_run(progress(100), {"run-1": progress(50), "run-2": progress(60)})
    assert set(curves.others) == {"run-1", "run-2"}
    assert len(curves.others["run-2"].getOriginalDataset()[0]) == 60
    curves.show_run(progress(100), {"run-2": progress(60)})
    assert set(curves.others) == {"run-2"}


def test_a_curve_is_saved_as_csv_and_png(curves, tmp_path, qtbot) -> None:
    run = progress(20)
    curves.show_run(run)
    qtbot.wait(20)
    curves.write_csv(tmp_path / "curve.csv")
    rows = list(csv.DictReader((tmp_path / "curve.csv").read_text().splitlines()))
    assert [int(row["step"]) for row in rows] == list(range(1, 21))
    assert float(rows[4]["loss"]) == run.losses.at(5)
    assert rows[-1]["dice"] == "0.5"
    curves.write_png(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    texts = [action.text() for action in curves.plot.getPlotItem().getViewBox().menu.actions()]
    assert any("CSV" in text for text in texts)
    assert any("PNG" in text for text in texts)


def test_not_a_number_is_a_gap_and_no_error(curves) -> None:
    run = progress(10)
    run.feed([{"event": "step", "step": 11, "loss": None}, {"event": "step", "step": 12, "loss": 0.3}], 0.0)
    curves.show_run(run)
    assert curves.points[0] == 12
    assert np.isfinite(run.losses.smooth).all()


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted([luminance(one), luminance(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_pens_can_be_seen_on_both_themes(curves, theme: str) -> None:
    from napari.utils.theme import get_theme

    from napari_segkit.train import _curves

    background = get_theme(theme).background.as_hex("long")
    curves.set_theme(dark=theme == "dark", background=background)
    for colour in (*_curves._COLOURS[theme == "dark"].values(), *_curves._OTHERS[theme == "dark"]):
        assert contrast(colour, background) >= 3, colour
    assert curves.training.opts["pen"].color().name() == _curves._COLOURS[theme == "dark"]["training"]
