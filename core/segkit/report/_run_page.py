"""``report.html`` beside a run: what was asked, what came of it, and what to know before trusting it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from segkit.report._findings import find_problems
from segkit.report._page import Section, write_page
from segkit.report._summary import RunSummary, summarize
from segkit.training import Run
from segkit.training._curves import draw_curves

__all__ = ["clock", "write_run_report"]

Rows = list[tuple[str | float | int, ...]]

_SHOWN = 12  # scores of the best weights in the table


def clock(seconds: float) -> str:
    """Return a time as a person says it: ``8.4 s``, ``12 min``, ``3.5 h``."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def write_run_report(run: Run | str | Path) -> Path:
    """Write ``report.html`` and ``curves.png`` into a run folder, and return the page's path; the run may still go on.

    The page needs no other file and nothing from elsewhere. It holds the scores, whatever a person should know about them
    (see `find_problems`), the curves, and the whole recipe.

    Parameters
    ----------
    run
        The run, or its folder.

    Raises
    ------
    DataError
        If there is no run in this folder.
    """
    run = run if isinstance(run, Run) else Run(Path(run))
    summary = summarize(run)
    draw_curves(run.state(), run.folder / "curves.png", summary.metric)
    findings = find_problems(run)
    description: dict[str, Any] = json.loads((run.folder / "run.json").read_bytes())
    known = f"{len(findings)} things to know" if len(findings) > 1 else "One thing to know"
    sections = [
        Section(
            known if findings else "Nothing to worry about",
            "" if findings else "It ran to its end, and nothing of what usually goes wrong was found.",
            rows=[(f.kind.replace("_", " "), f.text) for f in findings],
        ),
        Section("Scores", _how_stable(summary), rows=_scores(summary)),
        Section("Curves", _reading(summary), (run.folder / "curves.png").read_bytes()),
        Section("Time, data and versions", rows=_circumstances(run, summary, description)),
        Section(
            "What was asked", "The recipe with all defaults; it is also in recipe.toml.", code=summary.recipe.to_toml()
        ),
    ]
    page = run.folder / "report.html"
    write_page(page, f"Training {summary.name}", _in_a_sentence(summary), sections)
    return page


def _in_a_sentence(summary: RunSummary) -> str:
    recipe = summary.recipe
    what = f"{_plain(recipe.architecture.name)} for the task {_plain(recipe.task.name)}"
    if summary.best is None:
        return f"{what}, {summary.steps} steps, without a validation score."
    return (
        f"{what}: best validation {summary.metric} {summary.best:.4g}, at step {summary.best_step} of {summary.steps}."
    )


def _plain(name: str) -> str:
    return name.rpartition(":")[2]


def _how_stable(summary: RunSummary) -> str:
    scale = "very stable below 0.01, stable below 0.05, fair below 0.1, else unstable"
    if summary.stability is None:
        return "How stable it is cannot be told from fewer than 3 validation losses."
    return (
        f"The last validation losses have a standard deviation of {summary.stability:.4g}: {summary.stability_word} ({scale}). "
        "This scale is for losses between 0 and about 1."
    )


def _scores(summary: RunSummary) -> Rows:
    rows: Rows = [("on validation data", "best weights", "last weights")]
    rows.append(("step", *(step if step is not None else "" for step in (summary.best_step, summary.final_step))))
    sense = "higher is better" if summary.direction == "max" else "lower is better"
    rows.append((f"{summary.metric} ({sense})", _number(summary.best), _number(summary.final)))
    rows.append(("loss", _number(summary.best_loss), _number(summary.final_loss)))
    others = [name for name in summary.scores if name != summary.metric]
    rows += [(name, summary.scores[name], _number(summary.final_scores.get(name))) for name in others[:_SHOWN]]
    if len(others) > _SHOWN:
        rows.append((f"and {len(others) - _SHOWN} more in history.csv", "", ""))
    return rows


def _number(value: float | None) -> str | float:
    return "none" if value is None else value


def _reading(summary: RunSummary) -> str:
    return (
        "Left: the loss on training patches, with its running mean, and on validation data. Middle: validation scores; the star is "
        f"where {summary.metric} was best. Right: the learning rate."
    )


def _circumstances(run: Run, summary: RunSummary, description: dict[str, Any]) -> Rows:
    determinism = description.get("determinism", {})
    per_step = f", {summary.seconds / summary.steps:.3g} s each" if summary.steps and summary.seconds else ""
    rows: Rows = [
        ("folder", str(run.folder.resolve())),
        ("steps", f"{summary.steps} of {run.state().steps}"),
        ("ended", summary.finished.replace("_", " ") or "not yet"),
        ("time in steps", f"{clock(summary.seconds)}{per_step}, without preparation and validation"),
        ("seed", str(summary.recipe.seed)),
        ("data", summary.data or "not known"),
        ("segkit", str(description.get("segkit", ""))),
        *((f"plugin {name}", str(version)) for name, version in description.get("plugins", {}).items()),
        ("torch", f"{determinism.get('torch', '')}, {determinism.get('threads', '')} threads"),
        ("machine", str(determinism.get("machine", ""))),
        ("python", str(description.get("python", ""))),
    ]
    if start := description.get("start"):
        rows.append(("went on from", ", ".join(f"{key} {value}" for key, value in start.items())))
    return rows
