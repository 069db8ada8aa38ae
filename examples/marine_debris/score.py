"""Scores runs on scenes that they have not seen, beside a random forest that was given the same scenes.

score.py PART OUT RUN [RUN ...]: PART is a folder with images/ and labels/, OUT gets tables and pictures. Runs of one
architecture are averaged. Weights are the last ones of each run; beside each run there is a forest with the same seed,
fitted to the labelled pixels that the run was trained on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from baseline import classes_of, features, fit_forest
from picture import draw_scenes
from speed import measure_speed, tile_for
from tables import Scores, as_json, as_text

import segkit
from segkit.durable import make_dirs, replace_file
from segkit.metrics import Confusion, Contingency, ThresholdCurve
from segkit.registry import registries
from segkit.report import draw_confusion
from segkit.sampling import split_samples
from segkit.training import Run

Array = np.ndarray[Any, Any]
DEBRIS = 0  # channel of Marine Debris


class Scored(NamedTuple):
    """A run, the forest beside it, and how both did."""

    kind: str
    model: segkit.Model
    forest: Any
    threshold: float | None
    confusions: dict[str, Confusion]
    names: dict[int, str]


def probabilities(model: segkit.Model, sample: segkit.Sample) -> Array:
    """Return the probability of each class, ``(15, Y, X)``."""
    return model(sample.raw, block_shape=tile_for(model), halo=(0, 0, 0)).read()[:, 0]


def labels_of(sample: segkit.Sample) -> Array:
    """Return the class of each pixel, 0 where nobody knows it, ``(Y, X)``."""
    assert sample.labels is not None
    return np.asarray(sample.labels.read()[0])


def debris_threshold(model: segkit.Model, samples: Sequence[segkit.Sample]) -> float | None:
    """Return the probability of debris above which a pixel is best called debris, whatever else is probable.

    None where no threshold finds debris in these samples better than the most probable class does.
    """
    curve, hits, wrong = ThresholdCurve(), 0, 0
    for sample in samples:
        known = (labels := labels_of(sample)) != 0
        chances, debris = probabilities(model, sample)[:, known], labels[known] == DEBRIS + 1
        curve.update(chances[DEBRIS], debris)
        found = chances.argmax(0) == DEBRIS
        hits, wrong = hits + int((found & debris).sum()), wrong + int((found ^ debris).sum())
    best, jaccard = curve.best()
    return best if jaccard > hits / max(hits + wrong, 1) else None


def with_threshold(chances: Array, ids: Array, threshold: float | None) -> Array:
    """Return debris where its probability is above the threshold, and the most probable other class elsewhere."""
    if threshold is None:
        return np.asarray(ids[chances.argmax(0)])
    others = chances.copy()
    others[DEBRIS] = np.where(chances[DEBRIS] > threshold, 2, -1)
    return np.asarray(ids[others.argmax(0)])


def score_run(folder: Path, unseen: Sequence[segkit.Sample], forests: dict[Any, Any]) -> Scored:
    """Compare network and forest with the labels of images that neither has seen; forests are kept for runs like it."""
    recipe = Run(folder).recipe
    given = list(recipe.dataset.build("datasets"))
    train, held_out = split_samples(given, recipe.split, recipe.sampling.patch_shape)
    shared = {sample.name for sample in given} & {sample.name for sample in unseen}
    if shared:
        sys.exit(f"{folder} was trained on {sorted(shared)}: score it on another part.")
    key = (recipe.seed, *(sample.name for sample in train))
    if key not in forests:
        forests[key] = fit_forest(train, recipe.seed)
    model, forest, kind = segkit.Model.load(folder / "final"), forests[key], recipe.architecture.name.rpartition(":")[2]
    ids = np.array(recipe.task.options["class_ids"], np.uint8)
    names = dict(zip(ids.tolist(), recipe.task.options["class_names"], strict=True))
    threshold = debris_threshold(model, held_out)
    tables = {way: Contingency() for way in (kind, f"{kind}, debris threshold", "forest")}
    for sample in unseen:
        labels = labels_of(sample)
        known = labels != 0
        chances = probabilities(model, sample)[:, known]
        bands = sample.raw.read().reshape(-1, *known.shape)[:, known]
        found = (ids[chances.argmax(0)], with_threshold(chances, ids, threshold), forest.predict(features(bands)))
        for table, classes in zip(tables.values(), found, strict=True):
            table.update(classes, labels[known])
    return Scored(
        kind, model, forest, threshold, {w: Confusion.of(t.overlaps(), names) for w, t in tables.items()}, names
    )


def main(part: Path, out: Path, folders: Sequence[Path]) -> None:
    """Score all of the runs."""
    where = {"raw": str(part / "images" / "*.tif"), "labels": str(part / "labels" / "*.tif"), "unlabelled": 0}
    unseen = list(registries["datasets"]["files"](**where))
    runs: list[Scored] = []
    forests: dict[Any, Any] = {}
    for folder in folders:
        runs.append(score_run(folder, unseen, forests))
        print(f"{folder}: threshold of debris, from validation: {runs[-1].threshold}", flush=True)
    first: dict[str, Scored] = {}
    for run in runs:
        first.setdefault(run.kind, run)
    scores: Scores = {}
    for run in runs:
        for way, confusion in run.confusions.items():
            if way != "forest" or run.kind == runs[0].kind:
                scores.setdefault(way, []).append(confusion)
    above = {
        kind: [(run.confusions[kind], run.confusions["forest"]) for run in runs if run.kind == kind] for kind in first
    }
    make_dirs(out)
    for way, each in scores.items():
        stem = way.partition(",")[0] + ("_threshold" if "," in way else "")
        replace_file(out / f"confusion_{stem}.csv", each[0].as_csv().encode())
        replace_file(out / f"confusion_{stem}.png", draw_confusion(each[0]))
    ids, forest = np.array(list(runs[0].names), np.uint8), runs[0].forest
    shown: dict[str, Callable[[segkit.Sample], Array]] = {
        kind: lambda sample, model=run.model: ids[probabilities(model, sample).argmax(0)]  # type: ignore[misc]
        for kind, run in first.items()
    }
    shown["forest"] = lambda sample: classes_of(forest, sample.raw.read())
    replace_file(out / "scenes.png", draw_scenes(unseen, shown, runs[0].names))
    print(as_text(scores, above), flush=True)
    speeds = {kind: measure_speed(run.model, unseen) for kind, run in first.items()}
    print("", *(f"{kind}: {text}" for kind, text in speeds.items()), sep="\n")
    thresholds = {str(folder): run.threshold for folder, run in zip(folders, runs, strict=True)}
    replace_file(out / "scores.json", as_json(scores, above, {"thresholds": thresholds, "speed": speeds}).encode())


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
