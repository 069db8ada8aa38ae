"""Sweeps over tiny trainings: every search, early ends, failures, and going on with the same result."""

from __future__ import annotations

import csv
import json
import sys

import pytest

from segkit.durable import read_records
from segkit.errors import BusyError, DataError, OutputExistsError, UsageError
from segkit.recipe import Recipe, load_recipe
from segkit.sweeping import Began, Ended, SweepFolder, SweepPlan, ranking, sweep, sweep_events, verdict, write_report
from segkit.sweeping._pruning import hopeless
from segkit.training import Run


@pytest.fixture
def recipe(recipe_tables) -> Recipe:
    recipe_tables["training"] = {"steps": 4, "validate_every": 2}
    recipe_tables["sampling"] |= {"workers": 1, "batch_size": 1}
    return Recipe.from_mapping(recipe_tables)


GRID = {"optimizer.learning_rate": [0.01, 0.03], "architecture.width": [2, 3]}
TWO = {"architecture.width": [2, 3]}


def table(folder: SweepFolder) -> list[dict[str, str]]:
    """The summary without what a clock says."""
    write_report(folder)
    rows = list(csv.DictReader((folder.path / "training_summary.csv").read_text().splitlines()))
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def go_on(plan: SweepPlan, folder, trainings: int) -> None:
    """Run until so many trainings have ended."""
    ended: list[Ended] = []

    def enough() -> bool:
        return bool(ended) and ended[-1].done >= trainings

    for event in sweep_events(plan, folder, stop=enough):
        if isinstance(event, Ended):
            ended.append(event)


def test_a_grid_is_trained_with_every_seed(recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)  # as if it were not installed: a grid does not need it
    vary = {"optimizer.learning_rate": [0.01, 0.03], "architecture.width": [2], "training.clip": [1.0]}
    with pytest.raises(UsageError, match="two or more"):
        SweepPlan.of(recipe, vary)
    plan = SweepPlan.of(recipe, {"optimizer.learning_rate": [0.01, 0.03]}, seeds=2)
    events = list(sweep_events(plan, tmp_path / "sweep"))
    assert events[0] == Began(0, 4)
    assert [(event.trial.number, event.seed) for event in events[1:]] == [(0, 3), (1, 3), (0, 4), (1, 4)]
    assert (events[-1].done, events[-1].total) == (4, 4)
    folder = SweepFolder(tmp_path / "sweep")
    rows = table(folder)
    assert [(row["trial"], row["model"], row["seed"]) for row in rows] == [
        (str(n), "net", str(s)) for n in range(2) for s in (3, 4)
    ]
    assert list(rows[0]) == [
        "trial",
        "model",
        "optimizer.learning_rate",
        "seed",
        "state",
        "best_step",
        "best_accuracy",
        "final_step",
        "final_accuracy",
        "stability",
        "reason",
    ]
    for row in rows:
        run = Run(folder.run(int(row["trial"]), int(row["seed"])))
        state = run.state()
        assert run.recipe.optimizer.learning_rate == float(row["optimizer.learning_rate"])
        assert float(row["final_accuracy"]) == state.validations[4]["metrics"]["accuracy"]
        assert float(row["best_accuracy"]) == max(v["metrics"]["accuracy"] for v in state.validations.values())
        assert not (run.folder / "checkpoints").exists()
        assert (run.folder / "model" / "model.json").exists()
    ranked = ranking(plan, folder.trials())
    assert load_recipe(folder.path / "best.toml") == plan.recipe_of(ranked[0].trial.values, 3)
    assert (folder.path / "best" / "net.toml").read_bytes() == (folder.path / "best.toml").read_bytes()
    assert len({Run(folder.run(n, s)).state().data for n in range(2) for s in (3, 4)}) == 1  # seeds share the split
    for name in ("report.html", "effects.png"):
        assert (folder.path / name).stat().st_size > 5000
    assert list(sweep_events(plan, tmp_path / "sweep")) == [Began(4, 4)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"search": "grid", "seeds": 2},
        {"search": "random", "seeds": 1, "trials": 4, "prune": "halving"},
        {"search": "tpe", "seeds": 1, "trials": 12, "prune": "median"},
    ],
    ids=lambda settings: settings["search"],
)
def test_a_sweep_that_is_stopped_goes_on_with_the_same_result(recipe, tmp_path, settings):
    vary = {"optimizer.learning_rate": "1e-3..1", "architecture.width": "1,2,3"}
    plan = SweepPlan.of(recipe, GRID if settings["search"] == "grid" else vary, **settings)
    whole, parts = sweep(plan, tmp_path / "whole"), tmp_path / "parts"
    go_on(plan, parts, 1)
    go_on(plan, parts, 3)
    assert 3 <= sum(len(trial.outcomes) for trial in SweepFolder(parts).trials()) < plan.trials * len(plan.seeds)
    again = sweep(plan, parts)
    assert table(again) == table(whole)
    ended = [(r["number"], r["seed"]) for r in read_records(parts / "trials.jsonl")[0] if r["event"] == "ended"]
    assert len(ended) == len(set(ended)) == plan.trials * len(plan.seeds)
    if settings["search"] != "grid":
        rates = [trial.values["optimizer.learning_rate"] for trial in again.trials()]
        assert len(set(rates)) == len(rates)
        assert all(1e-3 <= rate <= 1 for rate in rates)


@pytest.mark.slow
def test_a_training_that_was_interrupted_goes_on_from_its_checkpoint(recipe, tmp_path):
    plan = SweepPlan.of(recipe, TWO, seeds=1, keep="all")
    journal = tmp_path / "sweep" / "trials" / "001" / "seed-3" / "journal.jsonl"

    def validated() -> bool:
        return any(record["event"] == "validation" for record in read_records(journal)[0])

    assert list(sweep_events(plan, tmp_path / "sweep", stop=validated))[-1].done == 1
    begun = read_records(journal)[0]
    assert 0 < begun[-1]["step"] < 4
    again = sweep(plan, tmp_path / "sweep")
    journalled = read_records(journal)[0]
    assert journalled[: len(begun)] == begun
    assert [r["step"] for r in journalled if r["event"] == "started"] == [0, begun[-1]["step"]]
    assert [row["state"] for row in table(again)] == ["completed"] * 2


@pytest.mark.slow
def test_what_fails_is_noted_and_the_others_go_on(recipe, tmp_path, tiny):
    vary = {"loss.0.blow_up_below": [-1.0, 100.0], "sampling.patch_shape": [[8, 8, 8], [8, 8, 400]]}
    plan = SweepPlan.of(recipe, vary, seeds=1)
    folder = sweep(plan, tmp_path / "sweep")
    rows = table(folder)
    assert [row["state"] for row in rows] == ["completed"] + ["failed"] * 3
    assert rows[2]["reason"].startswith("diverged: The loss of step 1 is nan")
    assert "400" in rows[1]["reason"]
    page = (folder.path / "report.html").read_text()
    assert "Failed: 3" in page
    # A cause that is gone is found out by trying again, and only then.
    assert len(list(sweep_events(plan, folder.path))) == 1
    events = list(sweep_events(plan, folder.path, retry=True))
    assert [event.outcome.state for event in events[1:]] == ["failed"] * 3


def test_values_that_do_not_go_together_start_nothing(recipe, tmp_path):
    plan = SweepPlan.of(recipe, {"optimizer.learning_rate": [0.01, 0.02]}, seeds=1, threads=1)
    state = SweepFolder(tmp_path / "sweep")
    with state.opened(plan):
        state.add_trials(0, [{"optimizer.learning_rate": -1.0}, {"optimizer.learning_rate": 0.01}])
    rows = table(sweep(plan, tmp_path / "sweep"))
    assert [row["state"] for row in rows] == ["failed", "completed"]
    assert "optimizer.learning_rate" in rows[0]["reason"]
    assert not (tmp_path / "sweep" / "trials" / "000").exists()


@pytest.mark.slow
def test_more_seeds_go_on_and_another_sweep_does_not(recipe, tmp_path):
    first = sweep(SweepPlan.of(recipe, TWO, seeds=1), tmp_path / "sweep")
    assert "not known" in verdict(ranking(first.plan, first.trials()))
    assert next(sweep_events(SweepPlan.of(recipe, TWO, seeds=2), tmp_path / "sweep")) == Began(2, 4)
    other = SweepPlan.of(recipe, {"architecture.width": [2, 4]}, seeds=2)
    with pytest.raises(UsageError, match=r"begun differently.*architecture.width: 2, 3 -> 2, 4"):
        sweep(other, tmp_path / "sweep")
    with SweepFolder(tmp_path / "sweep").opened(first.plan), pytest.raises(BusyError):
        sweep(first.plan, tmp_path / "sweep")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(OutputExistsError, match=r"thesis.txt"):
        sweep(first.plan, tmp_path / "mine")
    with pytest.raises(DataError, match="not the folder of a sweep"):
        _ = SweepFolder(tmp_path / "mine").plan


@pytest.mark.slow
def test_what_is_kept(recipe, tmp_path):
    folder = sweep(SweepPlan.of(recipe, TWO, seeds=1, keep="scores"), tmp_path / "scores")
    assert not (folder.run(0, 3) / "model").exists()
    assert (folder.run(0, 3) / "curves.png").exists()
    folder = sweep(SweepPlan.of(recipe, TWO, seeds=1, keep="all"), tmp_path / "all")
    assert Run(folder.run(0, 3)).has_checkpoint


def test_a_file_stops_it(recipe, tmp_path):
    plan = SweepPlan.of(recipe, GRID, seeds=2)
    for event in sweep_events(plan, tmp_path / "sweep"):
        if isinstance(event, Ended) and event.done == 1:
            SweepFolder(tmp_path / "sweep").ask_to_stop()
    assert event.done == 1
    assert not (tmp_path / "sweep" / "stop").exists()


@pytest.mark.parametrize("search", ["random", "tpe"])
def test_what_needs_optuna_says_so(recipe, tmp_path, monkeypatch, search):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"needs Optuna.*segkit-sdk\[sweeps\]"):
        sweep(SweepPlan.of(recipe, TWO, search=search), tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


@pytest.mark.slow
def test_a_torn_journal_costs_the_last_line_only(recipe, tmp_path):
    plan = SweepPlan.of(recipe, GRID, seeds=1)
    folder = sweep(plan, tmp_path / "sweep")
    whole = table(folder)
    journal = folder.path / "trials.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    events = list(sweep_events(plan, folder.path))
    assert [type(event) for event in events] == [Began, Ended]
    assert table(folder) == whole
    assert json.loads((folder.path / "sweep.json").read_text())["schema"] == 1


def curve(*scores: float | None) -> list[tuple[int, float | None]]:
    return [(10 * (n + 1), score) for n, score in enumerate(scores)]


def test_the_median_ends_what_is_worse_than_most():
    others = [curve(0.1, 0.5, 0.6), curve(0.2, 0.6, 0.7), curve(0.3, 0.4, 0.4), curve(0.2, 0.5, 0.9)]
    assert hopeless("median", curve(0.1, 0.45), others, 100, "max").startswith("at step 20 its best score is 0.45")
    assert hopeless("median", curve(0.1, 0.5), others, 100, "max") == ""
    assert hopeless("median", curve(0.1), others, 100, "max") == ""  # too early
    assert hopeless("median", curve(0.1, 0.45), others[:3], 100, "max") == ""  # too few
    assert hopeless("median", curve(0.1, 0.45), [*others[:3], curve(0.9)], 100, "max") == ""  # which never came so far
    assert hopeless("median", curve(0.1, None, None), others, 100, "max") != ""
    assert hopeless("median", curve(0.1, 0.45), others, 20, "max") == ""  # it is done anyway
    errors = [[(step, 1 - score) for step, score in other if score is not None] for other in others]
    assert hopeless("median", curve(0.9, 0.55), errors, 100, "min") != ""
    assert hopeless("median", curve(0.9, 0.45), errors, 100, "min") == ""
    assert hopeless("none", curve(0.0, 0.0), others, 100, "max") == ""


def test_halving_keeps_the_best_third_at_its_rungs():
    others = [curve(0.1 * n, 0.1 * n, 0.1 * n, 0.1 * n) for n in range(1, 7)]
    assert hopeless("halving", curve(0.1), others, 90, "max").endswith("5 of 6 others had a better one")
    assert hopeless("halving", curve(0.55), others, 90, "max") == ""
    assert hopeless("halving", curve(0.55, 0.1), others, 90, "max") == ""  # step 20 is no rung
    assert hopeless("halving", curve(0.3, 0.3, 0.3), others, 90, "max") != ""
    assert hopeless("halving", curve(0.1), [], 90, "max") == ""
    assert hopeless("halving", curve(0.1), others, 90, "min") == ""
