"""The outcome of a contest as a page of the manual: a table of ratios and a plot of them.

Rates of one machine say little about another, ratios mostly carry over; so only ratios are written down.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from _contest import ROOT, Result

__all__ = ["write_page"]

FOLDER = ROOT / "docs" / "benchmarks"

Table = Mapping[str, Mapping[str, Result]]


def write_page(name: str, title: str, words: str, cases: Table, base: str, ours: Sequence[str]) -> None:
    """Print a table, and write it with a plot to ``docs/benchmarks/<name>.md`` and ``.png``.

    Parameters
    ----------
    name
        Name of the page.
    title, words
        Its heading, and what is compared and how; Markdown.
    cases
        For each case the results by contestant.
    base
        The contestant that counts as 1.0.
    ours
        Contestants drawn as segkit's.
    """
    contestants = list(dict.fromkeys(one for results in cases.values() for one in results))
    ratios = {one: [_ratio(results.get(one), results[base]) for results in cases.values()] for one in contestants}
    names = [f"**{one}**" if one in ours else one for one in contestants]
    cells = [[_cell(ratio) for ratio in ratios[one]] for one in contestants]
    table = _table(f"speed relative to {base}", names, list(cases), cells)
    print(table, flush=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    _plot(FOLDER / f"{name}.png", list(cases), ratios, base, ours)
    cores = len(os.sched_getaffinity(0))
    made = f"Medians of {_rounds(cases)} interleaved rounds on {cores} cores, each contestant in a process of its own. "
    text = f"# {title}\n\n{words.strip()}\n\n{table}\n{made}"
    text += f"Made by `python benchmarks/{name}.py`.\n\n![{title}]({name}.png)\n"
    (FOLDER / f"{name}.md").write_text(text, encoding="utf-8")


def _table(corner: str, rows: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, the longer side downwards."""
    if len(columns) > len(rows):
        rows, columns, cells = columns, rows, list(zip(*cells, strict=True))
    head = f"| {corner} | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns) + "\n"
    return head + "".join(f"| {row} | " + " | ".join(line) + " |\n" for row, line in zip(rows, cells, strict=True))


def _ratio(one: Result | None, base: Result) -> float:
    return one.rate / base.rate if one is not None else math.nan


def _cell(ratio: float) -> str:
    return "" if math.isnan(ratio) else f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}"


def _rounds(cases: Table) -> int:
    return min(len(result.rates) for results in cases.values() for result in results.values() if result.rates)


def _plot(
    path: Path, cases: Sequence[str], ratios: Mapping[str, Sequence[float]], base: str, ours: Sequence[str]
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names = list(ratios)[::-1]
    columns = min(4, len(cases))
    rows = -(-len(cases) // columns)
    size = (2.2 + 2.6 * columns, 0.6 + rows * (0.7 + 0.3 * len(names)))
    figure, panels = plt.subplots(rows, columns, figsize=size, sharey=True, squeeze=False)
    for panel in panels.flat[len(cases) :]:
        panel.axis("off")
    for number, (panel, case) in enumerate(zip(panels.flat, cases, strict=False)):
        values = [ratios[name][number] for name in names]
        colours = ["#00897b" if name in ours else "#b0bec5" for name in names]
        bars = panel.barh(names, [0 if math.isnan(v) else v for v in values], color=colours)
        panel.bar_label(bars, [_cell(v) for v in values], padding=3, fontsize=8)
        panel.axvline(1, color="#546e7a", linewidth=0.8)
        panel.set_title(case, fontsize=10)
        panel.set_xlim(0, 1.2 * max((v for v in values if not math.isnan(v)), default=1))
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    figure.supxlabel(f"speed relative to {base}", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
