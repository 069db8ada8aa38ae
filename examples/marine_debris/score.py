"""Scores runs on scenes that they have not seen, beside a random forest that was given the same scenes.

score.py PART OUT RUN [RUN ...]: PART is a folder with images/ and labels/, OUT gets tables and pictures. Weights are the
last ones of each run; the forest is fitted once for each run, to the labelled pixels that the run was trained on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from baseline import classes_of, features, fit_forest
from picture import draw_scenes
from speed import measure_speed

import segkit
from segkit.durable import make_dirs, replace_file
from segkit.metrics import Confusion, Contingency, ThresholdCurve
from segkit.registry import registries
from segkit.report import draw_confusion, estimate
from segkit.sampling import split_samples
from segkit.training import Run

Array = np.ndarray[Any, Any]
DEBRIS = 0  # channel of Marine Debris
WAYS = ("network", "network, debris threshold", "forest")


class Scored(NamedTuple):
    """A run, the forest beside it, and how both did."""

    model: segkit.Model
    forest: Any
    threshold: float | None
    confusions: dict[str, Confusion]
    names: dict[int, str]


def probabilities(model: segkit.Model, sample: segkit.Sample) -> Array:
    """Return the probability of each class, ``(15, Y, X)``, from tiles of the size that self-attention was trained on."""
    return model(sample.raw, block_shape=model.patch_shape, halo=(0, 0, 0)).read()[:, 0]


def labels_of(sample: segkit.Sample) -> Array:
    """Return the class of each pixel, 0 where nobody knows it, ``(Y, X)``."""
    assert sample.labels is not None
    return sample.labels.read()[0]


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


def interval(values: Sequence[float]) -> str:
    """Return mean and half of the 95 % interval."""
    found = estimate(values)
    assert found is not None
    return f"{found.mean:.3f}" + ("" if found.high is None else f" ± {found.high - found.mean:.3f}")


def score_run(folder: Path, number: int, unseen: Sequence[segkit.Sample]) -> Scored:
    """Compare network and forest with the labels of images that neither has seen."""
    recipe = Run(folder).recipe
    given = list(recipe.dataset.build("datasets"))
    train, held_out = split_samples(given, recipe.split, recipe.sampling.patch_shape)
    shared = {sample.name for sample in given} & {sample.name for sample in unseen}
    if shared:
        sys.exit(f"{folder} was trained on {sorted(shared)}: score it on another part.")
    model, forest = segkit.Model.load(folder / "final"), fit_forest(train, number)
    ids = np.array(recipe.task.options["class_ids"], np.uint8)
    names = dict(zip(ids.tolist(), recipe.task.options["class_names"], strict=True))
    threshold = debris_threshold(model, held_out)
    tables = {way: Contingency() for way in WAYS}
    for sample in unseen:
        labels = labels_of(sample)
        known = labels != 0
        chances = probabilities(model, sample)[:, known]
        bands = sample.raw.read().reshape(-1, *known.shape)[:, known]
        found = (ids[chances.argmax(0)], with_threshold(chances, ids, threshold), forest.predict(features(bands)))
        for table, classes in zip(tables.values(), found, strict=True):
            table.update(classes, labels[known])
    return Scored(model, forest, threshold, {w: Confusion.of(t.overlaps(), names) for w, t in tables.items()}, names)


def main(part: Path, out: Path, folders: Sequence[Path]) -> None:
    """Score all of the runs."""
    where = {"raw": str(part / "images" / "*.tif"), "labels": str(part / "labels" / "*.tif"), "unlabelled": 0}
    unseen = list(registries["datasets"]["files"](**where))
    runs = []
    for number, folder in enumerate(folders):
        runs.append(score_run(folder, number, unseen))
        print(f"{folder}: threshold of debris, from validation: {runs[-1].threshold}", flush=True)
    model, forest, ids = runs[0].model, runs[0].forest, np.array(list(runs[0].names), np.uint8)
    make_dirs(out)
    shown = {
        "network": lambda sample: ids[probabilities(model, sample).argmax(0)],
        "forest": lambda sample: classes_of(forest, sample.raw.read()),
    }
    replace_file(out / "scenes.png", draw_scenes(unseen, shown, runs[0].names))
    speed = measure_speed(model, unseen)
    scores = {way: [run.confusions[way] for run in runs] for way in WAYS}
    for way, each in scores.items():
        first = each[0]
        stem = way.partition(",")[0] + ("_threshold" if "," in way else "")
        replace_file(out / f"confusion_{stem}.csv", first.as_csv().encode())
        replace_file(out / f"confusion_{stem}.png", draw_confusion(first))
        means = {name: interval([c.macro()[name] for c in each]) for name in ("f1", "jaccard", "precision", "recall")}
        print(f"{way:28}", *(f"{name} {text}" for name, text in means.items()), sep="  ")
    print(f"\n{'class':26}{'pixels':>7}  precision  recall  F1, IoU of the network  F1, IoU of the forest")
    network, forest = scores["network"], scores["forest"]
    for row in np.flatnonzero(network[0].present):
        texts = [
            interval([float(np.nan_to_num(getattr(c, what)[row])) for c in network]) for what in ("precision", "recall")
        ]
        texts += [
            interval([float(getattr(c, what)[row]) for c in each])
            for each in (network, forest)
            for what in ("f1", "jaccard")
        ]
        print(f"{network[0].names[row]:26}{network[0].counts[row].sum():7}", *texts, sep="  ")
    print("\n" + speed)
    report = {way: [{"accuracy": c.accuracy, **c.macro()} for c in each] for way, each in scores.items()}
    replace_file(
        out / "scores.json",
        json.dumps({**report, "thresholds": [run.threshold for run in runs], "speed": speed}, indent=1).encode(),
    )


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
