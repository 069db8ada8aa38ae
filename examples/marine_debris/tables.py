"""Scores of several runs as tables: means with 95 % intervals, and what networks are above the forest, run by run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from segkit.metrics import Confusion
from segkit.report import estimate

Scores = dict[str, list[Confusion]]
Pairs = Mapping[str, Sequence[tuple[Confusion, Confusion]]]
MACRO = ("f1", "jaccard", "precision", "recall")


def interval(values: Sequence[float]) -> str:
    """Return mean and half of the 95 % interval; NaN, a class that was never found, counts as 0."""
    found = estimate(np.nan_to_num(values).tolist())
    assert found is not None
    return f"{found.mean:.3f}" + ("" if found.high is None else f" ± {found.high - found.mean:.3f}")


def above_forest(pairs: Sequence[tuple[Confusion, Confusion]], name: str) -> list[float]:
    """Return what each network has more than the forest beside it."""
    return [network.macro()[name] - forest.macro()[name] for network, forest in pairs]


def as_text(scores: Scores, above: Pairs) -> str:
    """Return two tables: all classes that are there together, and each by itself."""
    lines = [f"{'':36}" + "".join(f"{name:17}" for name in MACRO)]
    for way, each in scores.items():
        lines.append(f"{way:36}" + "".join(f"{interval([c.macro()[name] for c in each]):17}" for name in MACRO))
    for kind, pairs in above.items():
        lines.append(
            f"{kind + ' minus forest':36}" + "".join(f"{interval(above_forest(pairs, n)):17}" for n in MACRO[:2])
        )
    kinds = [way for way in scores if "," not in way]
    for kind in kinds:
        each = scores[kind]
        lines += [
            "",
            f"{kind:26}{'pixels':>7}  " + "".join(f"{name:17}" for name in ("precision", "recall", *MACRO[:2])),
        ]
        for row in np.flatnonzero(each[0].present):
            values = (interval([getattr(c, n)[row] for c in each]) for n in ("precision", "recall", *MACRO[:2]))
            lines.append(
                f"{each[0].names[row]:26}{each[0].counts[row].sum():7}  " + "".join(f"{text:17}" for text in values)
            )
    return "\n".join(lines)


def as_json(scores: Scores, above: Pairs, more: Mapping[str, Any]) -> str:
    """Return the scores of each run, and whatever else is to be kept."""
    report = {way: [{"accuracy": c.accuracy, **c.macro()} for c in each] for way, each in scores.items()}
    differences = {kind: {n: above_forest(pairs, n) for n in MACRO[:2]} for kind, pairs in above.items()}
    return json.dumps({**report, "above forest": differences, **more}, indent=1)
