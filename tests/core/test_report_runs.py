"""Summaries, findings, pages and comparisons of real trainings."""

from __future__ import annotations

import csv
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from segkit.cli import main
from segkit.durable import append_record, read_records
from segkit.errors import DataError, UsageError
from segkit.recipe import Recipe
from segkit.report import (
    compare,
    difference_of,
    estimate,
    find_problems,
    gather,
    stability_word,
    summarize,
    write_comparison,
    write_run_report,
)
from segkit.training import Failed, Finished, Run, Started, Step, Validation, fit

TABLES = {
    "task": {"name": "semantic"},
    "architecture": {"name": "unet", "width": 4, "depth": 1},
    "loss": {"name": "dice"},
    "dataset": {"name": "synthetic_beads", "shape": [32, 32], "count": 8, "fewest": 3, "most": 6},
    "split": {"share": 0.25, "by": "random"},
    "sampling": {"patch_shape": [1, 32, 32], "batch_size": 2},
    "optimizer": {"learning_rate": 0.02},
    "training": {"steps": 24, "validate_every": 4},
}


def changed(seed: int = 0, **tables) -> Recipe:
    return Recipe.from_mapping(TABLES | {"seed": seed} | {k: TABLES.get(k, {}) | v for k, v in tables.items()})


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Two seeds that learn, two that are slow (one of them calls everything foreground), and an earlier one that is worse."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        fit(changed(seed), folder / "learns" / f"seed{seed}")
        fit(changed(seed, optimizer={"learning_rate": 1e-3}), folder / "slow" / f"seed{seed}")
    fit(changed(training={"steps": 12}, optimizer={"learning_rate": 1e-5}), folder / "earlier")
    return folder


def told(runs: Path, folder: Path, *, losses=(), validations=(), end=None, seed: int = 0, name: str = "learns") -> Path:
    """Make a run of the same recipe whose journal tells another story; what is None was not a number."""
    folder.mkdir(parents=True)
    for file in ("run.json", "recipe.toml"):
        shutil.copy(runs / name / f"seed{seed}" / file, folder / file)
    run, number = Run(folder), lambda value: math.nan if value is None else value
    run.record(Started(0, 24, "some data"))
    for step, loss in enumerate(losses, 1):
        run.record(Step(step, number(loss), 0.01, 0.5))
    for place, (loss, jaccard) in enumerate(validations, 1):
        earlier = [j for _, j in validations[: place - 1] if j is not None]
        best = jaccard is not None and all(jaccard > other for other in earlier)
        run.record(Validation(place * 4, number(loss), {"jaccard": number(jaccard)}, best))
    if end is not None:
        run.record(end)
    return folder


def kinds(folder: Path) -> list[str]:
    return [finding.kind for finding in find_problems(folder)]


def test_a_summary_is_what_the_journal_says(runs):
    folder = runs / "learns" / "seed1"
    summary, state = summarize(folder), Run(folder).state()
    assert (summary.name, summary.metric, summary.direction, summary.finished) == (
        "seed1",
        "jaccard",
        "max",
        "completed",
    )
    assert (summary.steps, summary.final_step, summary.recipe.seed) == (24, 24, 1)
    values = {step: row["metrics"]["jaccard"] for step, row in state.validations.items()}
    assert summary.best == max(values.values()) == values[summary.best_step]
    assert (summary.final, summary.final_loss) == (values[24], state.validations[24]["loss"])
    assert summary.best_loss == state.validations[summary.best_step]["loss"]
    assert summary.stability == pytest.approx(np.std([row["loss"] for row in state.validations.values()], ddof=1))
    assert summary.seconds == pytest.approx(sum(row["seconds"] for row in state.rows.values()))
    assert next(iter(summary.scores)) == "jaccard"
    assert len(summary.data) == 32
    assert summarize(Run(folder)) == summarize(str(folder)) == summary


def test_steps_between_those_in_the_journal_take_time_too(runs, tmp_path):
    folder = told(runs, tmp_path / "run")
    for step in (10, 20, 30):
        Run(folder).record(Step(step, 1.0, 0.01, 0.5))
    assert summarize(folder).seconds == 15


def test_stability_has_words():
    words = {0.009: "very stable", 0.01: "stable", 0.06: "fair", 0.1: "unstable", None: ""}
    assert {value: stability_word(value) for value in words} == words


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no run.json"):
        summarize(tmp_path)


def test_a_run_that_failed_and_is_begun_again_goes_on(runs, tmp_path):
    folder = told(runs, tmp_path / "run", losses=[1, None], end=Failed(1, "The loss of step 2 is nan."))
    summary = summarize(folder)
    assert (summary.finished, summary.failure, summary.best, summary.final) == (
        "failed",
        "The loss of step 2 is nan.",
        None,
        None,
    )
    assert kinds(folder) == ["failed", "not_finite", "unscored"]
    Run(folder).record(Started(1, 24, "some data"))
    assert (summarize(folder).finished, summarize(folder).failure) == ("", "")
    assert "killed" in find_problems(folder)[0].text


def test_nothing_is_found_where_all_is_well(runs):
    assert set(kinds(runs / "learns" / "seed0")) <= {"not_converged"}
    assert "overfitting" not in kinds(runs / "learns" / "seed1")


def test_a_network_that_calls_everything_foreground_has_collapsed(runs):
    assert "collapsed" in kinds(runs / "slow" / "seed0")
    text = next(finding.text for finding in find_problems(runs / "slow" / "seed0") if finding.kind == "collapsed")
    assert "every voxel is called foreground" in text
    assert "higher learning rate" in text  # its loss never moved


def test_a_score_that_a_constant_has_too_is_no_score(runs, tmp_path):
    # Of 1000 voxels 130 are foreground: 100 found, 30 missed, 640 called so in vain.
    scores = {"jaccard": 100 / 770, "precision": 100 / 740, "recall": 100 / 130, "accuracy": 1 - 670 / 1000}
    for name, jaccard in (("a", scores["jaccard"]), ("b", 0.2)):
        run = Run(told(runs, tmp_path / name, losses=[1.0]))
        for step in (4, 8, 12):
            run.record(Validation(step, 0.2, scores | {"jaccard": jaccard - step / 1000}, step == 4))
        run.record(Finished(12, "completed"))
    assert "foreground would have 0.13" in find_problems(tmp_path / "a")[0].text
    assert kinds(tmp_path / "a")[0] == "unlearnt"
    assert "unlearnt" not in kinds(tmp_path / "b")


@pytest.mark.parametrize(
    ("validations", "kind"),
    [
        ([(0.7, 0.14)] * 4, "collapsed"),
        ([(0.7, 0.1), (0.6, 0.2), (0.5, 0.3), (0.4, 0.4)], "not_converged"),
        ([(0.7, 0.1), (0.6, 0.5), (None, None), (0.6, 0.4)], "not_finite"),
        ([(0.7, 0.1), (0.6, 0.5)], "unscored"),
    ],
)
def test_what_a_person_should_know(runs, tmp_path, validations, kind):
    folder = told(runs, tmp_path / "run", losses=[1.0] * 16, validations=validations, end=Finished(16, "completed"))
    assert kinds(folder) == [kind]


def test_overfitting_is_a_rise_that_exceeds_the_scatter(runs, tmp_path):
    falling = list(np.linspace(1.0, 0.05, 40))
    rising = [0.8, 0.6, 0.5, 0.45, 0.5, 0.55, 0.62, 0.7, 0.75, 0.8]
    scores = [0.3, 0.5, 0.6, 0.66, 0.65, 0.64, 0.63, 0.62, 0.61, 0.6]
    end = Finished(40, "completed")
    folder = told(runs, tmp_path / "a", losses=falling, validations=list(zip(rising, scores, strict=True)), end=end)
    assert kinds(folder) == ["overfitting"]
    assert "from step 16" in find_problems(folder)[0].text
    noise = [0.8, 0.5, 0.7, 0.45, 0.65, 0.5, 0.7, 0.48, 0.62, 0.55]
    scattered = told(runs, tmp_path / "b", losses=falling, validations=list(zip(noise, scores, strict=True)), end=end)
    assert kinds(scattered) == []
    both = told(runs, tmp_path / "c", losses=falling[::-1], validations=list(zip(rising, scores, strict=True)), end=end)
    assert kinds(both) == []  # the training loss rises too: that is no overfitting


def test_ending_early_is_said(runs, tmp_path):
    validations = [(0.5, 0.5), (0.4, 0.7), (0.4, 0.6), (0.4, 0.65)]
    early = told(runs, tmp_path / "a", losses=[1.0], validations=validations, end=Finished(16, "early_stopping"))
    assert kinds(early) == ["ended_early"]
    assert "16 of 24 steps" in find_problems(early)[0].text
    stopped = told(runs, tmp_path / "b", losses=[1.0], validations=validations, end=Finished(16, "stopped"))
    assert kinds(stopped) == ["unfinished"]


def test_the_page_of_a_run_needs_no_other_file(runs, tmp_path):
    folder = shutil.copytree(runs / "slow" / "seed0", tmp_path / "run")
    page = write_run_report(folder)
    text = page.read_text()
    assert page == folder / "report.html"
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    for expected in (
        "collapsed",
        "data:image/png;base64",
        "learning_rate = 0.001",
        summarize(folder).data,
        "plugin unet",
        "torch",
    ):
        assert expected in text
    assert "http" not in text.replace("http-equiv", "")
    write_run_report(told(runs, tmp_path / "empty"))  # nothing has happened yet
    assert "no validation" in (tmp_path / "empty" / "report.html").read_text()


def test_a_mean_has_the_interval_of_students_t():
    found = estimate([1.0, 2.0, 3.0])
    assert (found.mean, found.deviation, found.count) == (2.0, 1.0, 3)
    assert found.high - 2.0 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)  # t(2) at 97.5 %
    assert estimate([]) is None
    assert estimate([5.0]).low is None


def test_a_difference_has_the_interval_of_welch():
    a, b = [27.5, 21.0, 19.0, 23.6, 17.0], [27.1, 22.0, 20.8]
    found = difference_of(estimate(a), estimate(b))
    # scipy.stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((-5.107357387155227, 8.467357387155234))
    single = difference_of(estimate([20.0]), estimate(b))  # as Student's, with a spread that only one side knows
    half = 4.302653 * np.std(b, ddof=1) * math.sqrt(4 / 3)
    assert single.high - single.mean == pytest.approx(half, rel=1e-6)
    assert difference_of(estimate([1.0]), estimate([2.0])).low is None
    same = difference_of(estimate([0.0, 0.0]), estimate([0.5, 0.5]))
    assert (same.low, same.high) == (0.5, 0.5)


def test_runs_that_differ_in_the_seed_alone_are_one_group(runs, tmp_path):
    groups = gather([runs / "learns", runs / "slow", runs / "earlier"])
    assert [(group.name, [run.recipe.seed for run in group.runs]) for group in groups] == [
        ("learns", [0, 1]),
        ("slow", [0, 1]),
        ("earlier", [0]),
    ]
    assert [group.name for group in gather([("before", runs / "earlier"), runs / "slow"])] == ["before", "slow"]
    # Named one by one, and with one of them twice.
    alone = gather([runs / "learns" / "seed0", runs / "slow" / "seed1", runs / "learns" / "seed1", runs / "learns"])
    assert [len(group.runs) for group in alone] == [2, 1]
    again = shutil.copytree(runs / "learns" / "seed1", tmp_path / "again")
    repeated = gather([runs / "learns", again])[0]
    assert (len(repeated.runs), repeated.repeats) == (2, (str(again),))


def test_a_sweep_is_named_by_its_settings(runs, tmp_path):
    for number, place in enumerate(["learns/seed0", "slow/seed0", "slow/seed1", "earlier"]):
        shutil.copytree(runs / place, tmp_path / "trials" / f"{number:03}")
    groups = gather([tmp_path])
    assert [group.name for group in groups] == [
        "learning_rate=0.02, steps=24",
        "learning_rate=0.001, steps=24",
        "learning_rate=1e-05, steps=12",
    ]
    assert [len(group.runs) for group in groups] == [1, 2, 1]
    with pytest.raises(DataError, match="There is no run in"):
        gather([tmp_path / "trials" / "000" / "checkpoints"])


def test_a_comparison_says_what_can_be_told(runs, tmp_path):
    comparison = compare(gather([runs / "learns", runs / "slow", runs / "earlier"]))
    assert (comparison.metric, comparison.direction) == ("jaccard", "max")
    assert comparison.settings == {"optimizer.learning_rate": (0.02, 0.001, 1e-5), "training.steps": (24, 24, 12)}
    slow, earlier = comparison.differences
    assert (slow.group, slow.reference, slow.verdict) == ("slow", "learns", "not distinguishable")
    assert slow.score.low < 0 < slow.score.high
    assert slow.score.mean == pytest.approx(comparison.groups[1].best.mean - comparison.groups[0].best.mean)
    assert "single run" in earlier.reason
    text = " ".join(comparison.cautions)
    assert "shows): slow (seed0 of 2 runs); earlier." in text
    assert "validations is compared with the best of about 3" in text
    other = compare(comparison.groups, reference="earlier")
    assert [group.name for group in other.groups] == ["earlier", "learns", "slow"]
    with pytest.raises(UsageError, match="no group 'nobody'"):
        compare(comparison.groups, reference="nobody")
    with pytest.raises(UsageError, match="two groups"):
        compare(comparison.groups[:1])


def test_a_difference_that_seeds_do_not_explain_is_told(runs, tmp_path):
    for seed, (good, bad) in enumerate([(0.80, 0.140), (0.82, 0.141)]):
        for name, value in (("learns", good), ("slow", bad)):
            ends = {"end": Finished(12, "completed"), "seed": seed, "name": name}
            validations = [(0.5, value - 0.1), (0.4, value), (0.4, value - 0.05)]
            told(runs, tmp_path / name / str(seed), losses=[1.0] * 12, validations=validations, **ends)
    comparison = compare(gather([tmp_path / "slow", tmp_path / "learns"]))
    assert comparison.differences[0].verdict == "better"
    assert comparison.differences[0].score.low > 0.5
    assert compare(comparison.groups, reference="learns").differences[0].verdict == "worse"
    single = compare(gather([tmp_path / "slow" / "0", tmp_path / "learns" / "0"])).differences[0]
    assert (single.verdict, single.score.low) == ("not distinguishable", None)
    assert single.reason.startswith("one run each")


def rewritten(run: Path, folder: Path, **start: str | None) -> Path:
    """Copy a run, with something else said at its start; None where an earlier version said nothing."""
    shutil.copytree(run, folder)
    records = read_records(folder / "journal.jsonl")[0]
    (folder / "journal.jsonl").unlink()
    for record in records:
        known = record | (start if record["event"] == "started" else {})
        append_record(folder / "journal.jsonl", {k: v for k, v in known.items() if v is not None}, sync=False)
    return folder


def test_other_data_are_told_by_those_of_validation(runs, tmp_path):
    first = runs / "learns" / "seed0"
    summary = summarize(first)
    assert len({summary.data, summary.training_data, summary.validation_data}) == 3

    def cautions(name: str, recipe: tuple[str, str] = ("", ""), **start: str | None) -> str:
        folder = rewritten(first, tmp_path / name, **start)
        text = (folder / "recipe.toml").read_text()
        assert recipe[0] in text
        (folder / "recipe.toml").write_text(text.replace(*recipe))
        groups = gather([runs / "learns", folder])
        assert [group.name for group in groups] == ["learns", name]
        return " ".join(compare(groups).cautions)

    more = {"data": "other", "training_data": "other"}
    other = more | {"validation_data": "other"}
    share, count = ("share = 0.25", "share = 0.2"), ("count = 8", "count = 9")
    assert "fingerprints of the validation data differ" in cautions("moved", **other)
    assert "Trained on different data though the recipes name the same" in cautions("written again", **more)
    assert "Trained on different data (split.share), validated on the same." in cautions("more", share, **more)
    assert "Validated on different data (split.share)" in cautions("split", share, **other)
    # What a dataset makes of its files, no fingerprint tells.
    assert "Validated on different data (dataset.count)" in cautions("options", count, **more)
    earlier = {"training_data": None, "validation_data": None}
    assert "Validated on different data (split.share)" in cautions("earlier", share, **more | earlier)
    assert "fingerprints of the validation data differ" in cautions("earlier moved", **other | earlier)
    old = summarize(tmp_path / "earlier")
    assert (old.data, old.training_data, old.validation_data) == ("other", "", "")


def test_other_losses_and_patches_are_said(runs, tmp_path):
    def again(name: str, old: str, new: str) -> str:
        folder = shutil.copytree(runs / "learns" / "seed0", tmp_path / name)
        recipe = folder / "recipe.toml"
        assert old in recipe.read_text()
        recipe.write_text(recipe.read_text().replace(old, new))
        return " ".join(compare(gather([runs / "learns", folder])).cautions)

    assert "different losses" in again("loss", '"losses:dice"', '"losses:jaccard"')
    assert "different patches" in again("patch", "patch_shape = [\n    1,\n    32", "patch_shape = [\n    1,\n    16")


def test_a_comparison_is_written(runs, tmp_path):
    comparison = compare(gather([runs / "learns", runs / "slow", runs / "earlier"]))
    page = write_comparison(comparison, tmp_path / "new" / "comparison")
    assert "not distinguishable" in page.read_text()
    assert (page.parent / "comparison.png").read_bytes().startswith(b"\x89PNG")
    with (page.parent / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["group"] for row in rows] == ["learns", "slow", "earlier"]
    assert [row["verdict"] for row in rows][:2] == ["reference", "not distinguishable"]
    assert float(rows[1]["best"]) == comparison.groups[1].best.mean
    assert [row["optimizer.learning_rate"] for row in rows] == ["0.02", "0.001", "1e-05"]
    assert rows[2]["best_low"] == ""


def test_on_the_command_line(runs, tmp_path, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["compare", str(runs / "learns"), f"before={runs / 'earlier'}", "--to", str(tmp_path / "out")])
    out = capsys.readouterr().out
    assert "before" in out
    assert "reference" in out
    assert "settings that differ: optimizer.learning_rate, training.steps" in out
    assert (tmp_path / "out" / "comparison.html").exists()
    folder = shutil.copytree(runs / "slow" / "seed0", tmp_path / "run")
    with pytest.raises(SystemExit, match="0"):
        main(["report", str(folder)])
    assert "collapsed" in capsys.readouterr().out
    assert (folder / "report.html").exists()
    with pytest.raises(SystemExit, match="2"):
        main(["compare", str(runs / "learns")])
    assert "two groups" in capsys.readouterr().err
