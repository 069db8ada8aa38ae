"""``report.html`` of a sweep, and its pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segkit.durable import replace_file
from segkit.report import Section, interval_text, stability_word, write_page
from segkit.sweeping._dimension import short
from segkit.sweeping._folder import SweepFolder
from segkit.sweeping._pictures import draw_effects, draw_heat_maps
from segkit.sweeping._results import Ranked, ranking, write_best, write_table
from segkit.sweeping._study import Study

__all__ = ["verdict", "write_report"]

_SHOWN = 25
_SURE = 0.05


def write_report(folder: SweepFolder) -> None:
    """Write everything that can be known of a sweep: table, best recipes, pictures and page.

    Parameters
    ----------
    folder
        The sweep; it may still be going on.

    Raises
    ------
    DataError
        If there is none in the folder.
    StorageError
        If the disk refuses.
    """
    study = Study.of(folder)
    write_table(folder)
    write_best(folder)
    ranked = ranking(study.plan, study.trials)
    sections = [_ranking_section(study, ranked)]
    if study.models is not None:
        sections.append(_models_section(study, ranked))
    if study.points:
        pictures = {"effects.png": draw_effects(study), "heat_maps.png": draw_heat_maps(study)}
        for name, picture in pictures.items():
            if picture:
                replace_file(folder.path / name, picture)
        sections += [_variance_section(study), _effects_section(study, pictures["effects.png"])]
        if pictures["heat_maps.png"]:
            text = "Mean over seeds, and over whatever else varies; grey where no training completed."
            sections.append(Section("Two settings together", text, picture=pictures["heat_maps.png"]))
    sections += _left_out(study)
    write_page(folder.path / "report.html", f"Sweep {folder.path.resolve().name}", _summary(study), sections)


def _summary(study: Study) -> str:
    settings = study.plan.settings
    done = sum(len(trial.outcomes) for trial in study.trials)
    hours = sum(outcome.seconds for trial in study.trials for outcome in trial.outcomes.values()) / 3600
    return (
        f"{len(study.trials)} configurations ({settings.search}), {settings.seeds} seed{'s' if settings.seeds > 1 else ''} each: {done} trainings have ended, "
        f"{len(study.points)} of them completed, in {hours:.3g} hours of steps. Scores are the best validation {study.metric} of a "
        f"training ({'more' if study.direction == 'max' else 'less'} is better), which chose its weights by the same data: "
        "the score on data that nothing was chosen by is to be measured separately, and is a little worse."
    )


def verdict(ranked: Sequence[Ranked]) -> str:
    """Say how far the best configuration is from the others; empty where there are no two.

    Parameters
    ----------
    ranked
        From `segkit.sweeping.ranking`.
    """
    if len(ranked) < 2:
        return ""
    best, others = ranked[0], ranked[1:]
    if best.estimate.low is None:
        return (
            f"Trial {best.trial.number} is the best by one seed; whether other seeds would say the same is not known."
        )
    alike = [str(each.trial.number) for each in others if not each.apart_from(best)]
    if not alike:
        return f"Trial {best.trial.number} is better than all {len(others)} others: the 95 % intervals do not overlap."
    named = ", ".join(alike[:10]) + (", …" if len(alike) > 10 else "")
    return (
        f"Trial {best.trial.number} is the best, but not distinguishable from {len(alike)} of {len(others)} others (trials "
        f"{named}): their 95 % intervals overlap."
    )


def _stability(ranked: Ranked) -> str:
    found = [o.stability for o in ranked.trial.outcomes.values() if o.stability is not None]
    return f"{np.mean(found):.2g} ({stability_word(float(np.mean(found)))})" if found else ""


def _ranking_section(study: Study, ranked: Sequence[Ranked]) -> Section:
    keys = [dimension.key for dimension in study.plan.dimensions]
    head = ["trial", *keys, f"{study.metric} [95 %]", "seeds", "stability", "seconds"]
    rows: list[list[str | float | int]] = [[*head]]
    for each in ranked[:_SHOWN]:
        seconds = float(np.mean([o.seconds for o in each.trial.outcomes.values()]))
        rows.append(
            [
                each.trial.number,
                *(short(each.trial.values[key]) for key in keys),
                interval_text(each.estimate),
                each.estimate.count,
                _stability(each),
                seconds,
            ]
        )
    more = f" The best {_SHOWN} of {len(ranked)} are listed." if len(ranked) > _SHOWN else ""
    text = f"{verdict(ranked)}{more}" if ranked else "No training has completed yet."
    return Section("Configurations", text, rows=rows if ranked else ())


def _models_section(study: Study, ranked: Sequence[Ranked]) -> Section:
    best: dict[str, Ranked] = {}
    for each in ranked:
        best.setdefault(each.model, each)
    keys = [dimension.key for dimension in study.settings]
    rows: list[list[str | float | int]] = [["architecture", "trial", *keys, f"{study.metric} [95 %]"]]
    for name, each in best.items():
        values = [short(each.trial.values[key]) for key in keys]
        rows.append([name, each.trial.number, *values, interval_text(each.estimate)])
    text = verdict(list(best.values())) + " The recipes are in the folder best/."
    return Section("The best of each architecture", text.strip(), rows=rows)


def _variance_section(study: Study) -> Section:
    title = "Which settings matter"
    variance = study.variance()
    if variance is None or not variance.effects:
        return Section(title, "There are too few completed trainings to say.")
    rows: list[list[str | float | int]] = [["setting", "share of variance", "sum of squares", "df", "F", "p"]]
    for effect in variance.effects:
        f, p = ("" if v is None else v for v in (effect.f, effect.p))
        rows.append([effect.key, effect.share, effect.squares, effect.freedom, f, p])
    rows.append(["residual", variance.share, variance.squares, variance.freedom, "", ""])
    sure = [effect.key for effect in variance.effects if effect.p is not None and effect.p < _SURE]
    unsure = [effect.key for effect in variance.effects if effect.p is None or effect.p >= _SURE]
    parts = []
    if sure:
        parts.append(f"The score depends on {', '.join(sure)} (p < {_SURE}).")
    if unsure:
        parts.append(f"An effect of {', '.join(unsure)} cannot be told from chance.")
    parts.append(
        f"Analysis of variance of {'the logarithm of ' if study.log else ''}the scores of {len(study.points)} trainings: an additive "
        "model, sums of squares of type II. The residual holds chance and whatever settings do only together; for that, "
        "see the pictures."
    )
    if study.plan.settings.search == "tpe":
        parts.append("TPE tries promising values more often, so that shares say less than those of a grid.")
    return Section(title, " ".join(parts), rows=rows)


def _effects_section(study: Study, picture: bytes) -> Section:
    text = (
        "Small dots are trainings; large ones their mean with its 95 % interval, over seeds and whatever else varies."
    )
    return Section("What each setting does", text, picture=picture)


def _left_out(study: Study) -> list[Section]:
    """List the trainings that say nothing above, with their reasons."""
    found = []
    for state, title in (("failed", "Failed"), ("pruned", "Ended early as hopeless")):
        rows: list[list[str | float | int]] = [
            [
                trial.number,
                seed,
                "  ".join(f"{key} = {short(value)}" for key, value in trial.values.items()),
                outcome.reason,
            ]
            for trial in study.trials
            for seed, outcome in sorted(trial.outcomes.items())
            if outcome.state == state
        ]
        if rows:
            found.append(Section(f"{title}: {len(rows)}", rows=[["trial", "seed", "settings", "why"], *rows]))
    return found
