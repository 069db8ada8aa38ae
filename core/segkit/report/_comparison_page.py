"""A comparison as files: ``comparison.html``, ``.png`` and ``.csv``."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from segkit.durable import make_dirs, replace_file
from segkit.report._comparison import Comparison, Difference
from segkit.report._comparison_picture import draw_comparison
from segkit.report._estimates import Estimate
from segkit.report._groups import Group
from segkit.report._page import Section, write_page
from segkit.report._run_page import clock
from segkit.report._summary import stability_word

__all__ = ["interval_text", "write_comparison"]

Rows = list[tuple[str | float | int, ...]]

_WIDEST = 8  # groups beside each other in the table of settings


def write_comparison(comparison: Comparison, folder: str | Path) -> Path:
    """Write a comparison into a folder, and return the path of the page.

    ``comparison.html`` is one page that needs no other file, ``comparison.png`` its picture, and ``comparison.csv`` has a row
    for each group: runs, mean scores with their intervals, the difference to the reference, and the settings that differ.

    Parameters
    ----------
    comparison
        From `compare`.
    folder
        Where the files go; made if it is not there. Files of an earlier comparison are replaced.

    Raises
    ------
    StorageError
        If the folder cannot be written.
    """
    folder = Path(folder)
    make_dirs(folder)
    picture = draw_comparison(comparison)
    replace_file(folder / "comparison.png", picture)
    replace_file(folder / "comparison.csv", _table(comparison).encode())
    names = ", ".join(group.name for group in comparison.groups[:6])
    more = f" and {len(comparison.groups) - 6} more" if len(comparison.groups) > 6 else ""
    write_page(
        folder / "comparison.html",
        "Comparison of trainings",
        f"{names}{more}, by the best validation {comparison.metric} of each run.",
        _sections(comparison, picture),
    )
    return folder / "comparison.html"


def interval_text(estimate: Estimate | None, signed: bool = False) -> str:
    """Return a mean with its interval: ``0.853 [0.841, 0.865]``, or ``0.853 (one run)``; ``none`` without any value."""
    if estimate is None:
        return "none"
    sign = "+" if signed else ""
    mean = f"{estimate.mean:{sign}.4g}"
    if estimate.low is None or estimate.high is None:
        return f"{mean} (one run)" if not signed else mean
    return f"{mean} [{estimate.low:{sign}.4g},\u00a0{estimate.high:{sign}.4g}]"  # an interval stays in one line


def _sections(comparison: Comparison, picture: bytes) -> list[Section]:
    reference, metric = comparison.groups[0].name, comparison.metric
    sense = "higher" if comparison.direction == "max" else "lower"
    sections = [
        Section(
            "Scores",
            f"Best validation {metric} ({sense} is better): mean over runs with different seeds, and its 95 % interval (Student's "
            f"t). The difference is to '{reference}', with Welch's interval.",
            rows=_scores(comparison),
        ),
        Section(
            "Curves",
            "Lines are means over the seeds of a group, bands reach from the lowest to the highest. Below right: each run as a dot, "
            "the mean and its 95 % interval.",
            picture,
        ),
        Section(
            "Settings that differ",
            "" if comparison.settings else "None: the groups differ in their data alone.",
            rows=_settings(comparison),
        ),
        Section("Runs", rows=_runs(comparison)),
        Section("How to read the intervals", _READING),
    ]
    if comparison.cautions:
        sections.insert(1, Section("To keep in mind", rows=[(text,) for text in comparison.cautions]))
    return sections


_READING = (
    "Seeds change the first weights and the patches that are drawn, not which data are held out. The interval says where the mean of "
    "many more seeds would be, on the same data; nothing about other data. Where the interval of a difference includes 0, the "
    "runs do not tell the groups apart: more seeds narrow it, three give a wide one. Best scores are the best of many looks at "
    "the validation data and a little too good; what decides needs data that were never looked at."
)


def _scores(comparison: Comparison) -> Rows:
    differences = {difference.group: difference for difference in comparison.differences}
    rows: Rows = [
        (
            "group",
            "runs",
            f"best {comparison.metric}",
            f"final {comparison.metric}",
            "difference",
            "verdict",
            "stability",
            "time a run",
        )
    ]
    for group in comparison.groups:
        rows.append((group.name, len(group.runs), *_middle(differences.get(group.name), group), clock(group.seconds)))
    return rows


def _middle(difference: Difference | None, group: Group) -> tuple[str, ...]:
    stability = "" if group.stability is None else f"{group.stability:.3g} ({stability_word(group.stability)})"
    against = (
        ("", "reference")
        if difference is None
        else (interval_text(difference.score, signed=True), f"{difference.verdict}: {difference.reason}")
    )
    return interval_text(group.best), interval_text(group.final), *against, stability


def _settings(comparison: Comparison) -> Rows:
    if not comparison.settings:
        return []
    shown = comparison.groups[:_WIDEST]
    rows: Rows = [("setting", *(group.name for group in shown))]
    for key, values in comparison.settings.items():
        rows.append((key, *("" if value is None else str(value) for value in values[: len(shown)])))
    if len(comparison.groups) > len(shown):
        rows.append((f"{len(comparison.groups) - len(shown)} more groups in comparison.csv", *("" for _ in shown)))
    return rows


def _runs(comparison: Comparison) -> Rows:
    rows: Rows = [("group", "seed", "run", f"best {comparison.metric}", "at step", "final", "ended", "time")]
    for group in comparison.groups:
        for run in group.runs:
            scores = tuple("none" if v is None else v for v in (run.best, run.best_step, run.final))
            ended = run.finished.replace("_", " ") or "not yet"
            rows.append((group.name, str(run.recipe.seed), str(run.folder), *scores, ended, clock(run.seconds)))
    return rows


def _table(comparison: Comparison) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    estimates = (
        "best",
        "best_low",
        "best_high",
        "best_deviation",
        "final",
        "final_low",
        "final_high",
        "final_deviation",
    )
    against = ("difference", "difference_low", "difference_high", "verdict")
    head = ("group", "metric", "direction", "runs", "seeds", *estimates, *against, "stability", "seconds", "data")
    table.writerow([*head, *comparison.settings])
    differences = {difference.group: difference for difference in comparison.differences}
    for number, group in enumerate(comparison.groups):
        difference = differences.get(group.name)
        row: list[Any] = [group.name, comparison.metric, comparison.direction, len(group.runs)]
        row.append(" ".join(str(run.recipe.seed) for run in group.runs))
        for each in (group.best, group.final):
            row += [each.mean, each.low, each.high, each.deviation] if each else [None] * 4
        score = difference.score if difference else None
        row += [score.mean, score.low, score.high] if score else [None] * 3
        row += [difference.verdict if difference else "reference", group.stability, group.seconds, group.runs[0].data]
        row += [values[number] for values in comparison.settings.values()]
        table.writerow(["" if cell is None else cell for cell in row])
    return text.getvalue()
