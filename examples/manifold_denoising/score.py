"""Scores the trainings of sweeps on points that neither training nor validation has seen.

    python examples/manifold_denoising/score.py FOLDER SWEEP [SWEEP ...]

Writes FOLDER/test.csv with one row for each training, and prints means over seeds with their 95 % interval. The weights
are those that were best on the validation points; the test points are another draw from the same manifold.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import segkit
from segkit.recipe import Recipe
from segkit.report import estimate
from segkit.sweeping import SweepFolder

TEST_DRAW, TEST_POINTS = 2, 10_000
Array = np.ndarray[Any, Any]


def points(dataset: tuple[tuple[str, Any], ...], **changed: Any) -> segkit.Sample:
    """Return points of the manifold of a recipe."""
    (sample,) = segkit.datasets["manifold_points"](**{**dict(dataset), **changed})
    return sample


def vectors(volume: segkit.Volume | None) -> Array:
    """Return points as rows, ``(P, C)``."""
    assert volume is not None
    return volume.read()[:, 0, 0].T.astype(np.float64)


def mean_square(errors: Array) -> float:
    return float(np.square(errors).mean())


@cache
def bounds(dataset: tuple[tuple[str, Any], ...]) -> dict[str, float]:
    """Return what other ways of denoising the test points come to.

    doing nothing
        The noise itself.
    linear
        The best linear map, by least squares on the training points.
    projection
        The nearest of 40,000 points without noise.
    best possible
        The mean of those 40,000 points, weighted by how likely the noisy point is if each were the true one: no function of
        the noisy point has a smaller expected error, up to how densely the manifold is filled.
    """
    test = points(dataset, points=2000, draw=TEST_DRAW)
    noisy, clean = vectors(test.raw), vectors(test.labels)
    seen = points(dataset)
    linear, *_ = np.linalg.lstsq(vectors(seen.raw), vectors(seen.labels), rcond=None)
    filled = vectors(points(dataset, points=40_000, draw=TEST_DRAW + 1).labels)
    nearest, likely = [], []
    for some in np.array_split(noisy, 40):
        distances = np.square(some).sum(1)[:, None] - 2 * some @ filled.T + np.square(filled).sum(1)
        nearest.append(filled[distances.argmin(1)])
        weights = np.exp((distances.min(1, keepdims=True) - distances) / (2 * dict(dataset)["noise"] ** 2))
        likely.append(weights @ filled / weights.sum(1, keepdims=True))
    return {
        "doing nothing": mean_square(noisy - clean),
        "linear": mean_square(noisy @ linear - clean),
        "projection": mean_square(np.concatenate(nearest) - clean),
        "best possible": mean_square(np.concatenate(likely) - clean),
    }


def dataset_of(recipe: Recipe) -> tuple[tuple[str, Any], ...]:
    return tuple(recipe.dataset.options.items())


def test_loss(run: Path, recipe: Recipe) -> float:
    """Return the mean squared error of a run's best weights on the test points."""
    test = points(dataset_of(recipe), points=TEST_POINTS, draw=TEST_DRAW)
    return mean_square(vectors(segkit.Model.load(run, device="cpu")(test.raw)) - vectors(test.labels))


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield one row for each training of a sweep that has completed."""
    sweep = SweepFolder(folder)
    plan = sweep.plan
    for trial in sweep.trials():
        for seed, outcome in sorted(trial.outcomes.items()):
            recipe = plan.recipe_of(trial.values, seed)
            if outcome.state == "completed":
                yield {
                    "sweep": folder.name,
                    "initializer": recipe.initializer.name.partition(":")[2] if recipe.initializer else "none",
                    "normalization": recipe.architecture.options["normalization"],
                    "depth": recipe.architecture.options["depth"],
                    "optimizer": recipe.optimizer.name,
                    "learning_rate": recipe.optimizer.learning_rate,
                    "schedule": recipe.schedule.name,
                    "seed": seed,
                    "validation": outcome.best,
                    "test": test_loss(sweep.run(trial.number, seed), recipe),
                    "run": str(sweep.run(trial.number, seed)),
                }


def told(found: list[dict[str, Any]], best: float) -> Iterator[str]:
    """Yield a line for each configuration: mean test loss, interval, and how many times the best possible it is."""
    configurations: dict[tuple[str, ...], list[float]] = {}
    for row in found:
        key = tuple(str(value) for name, value in row.items() if name not in ("seed", "validation", "test", "run"))
        configurations.setdefault(key, []).append(row["test"])
    for key, scores in configurations.items():
        mean = estimate(scores)
        assert mean is not None
        spread = "" if mean.high is None else f" +- {mean.high - mean.mean:.5f}"
        yield f"{' '.join(key)}: {mean.mean:.5f}{spread} ({mean.count} seeds), {mean.mean / best:.2f} x the best possible"


if __name__ == "__main__":
    target, *sweeps = map(Path, sys.argv[1:])
    table = [row for sweep in sweeps for row in rows(sweep)]
    limits = bounds(dataset_of(SweepFolder(sweeps[0]).plan.recipe))
    target.mkdir(parents=True, exist_ok=True)
    with (target / "test.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    for name, loss in limits.items():
        print(f"{name}: {loss:.6f}")
    print(*told(table, limits["best possible"]), sep="\n")
