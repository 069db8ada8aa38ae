"""Dense objects with the settings that failed and with the recalibrated ones: which of the five changes matters, and why.

    python examples/microbeads/study.py runs/study            # all trainings, about 25 processor minutes
    python examples/microbeads/study.py runs/study --quick    # two trainings, under a minute
    python examples/microbeads/study.py runs/nuclei_study --on nuclei --only failing recalibrated

The settings are those of the rule `dense_objects`. Every training sees the same number of patches. The scores are those of
images that no training and no validation has seen: 24 of beads, 44 of nuclei. Trainings that are there already are not done
again. `results.csv` in the folder holds a line for each.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import segkit
from segkit.durable import replace_file
from segkit.metrics import OverlapMetrics, ThresholdCurve
from segkit.planning import RULES
from segkit.recipe import Recipe, Split, load_recipe
from segkit.report import estimate, interval_text
from segkit.sampling import count_objects, split_samples
from segkit.training import fit

FOLDER = Path(__file__).parent
TEST_IMAGES, TEST_SEED = 24, 1
# Names of images of nuclei are hashes, so that those with these first letters are drawn at random.
LEARNT, TESTED = "{0,1,2,3,4,5,6,7,8,9,a,b,c}*", "{d,e,f}*"


def texts(entries: Mapping[str, Any]) -> dict[str, str]:
    """Return entries of a recipe as they are typed: loss = [{name = "dice"}] is loss.0.name=dice."""
    found: dict[str, str] = {}
    for key, value in entries.items():
        if isinstance(value, list):
            found |= {f"{key}.{n}.{option}": str(one) for n, table in enumerate(value) for option, one in table.items()}
        else:
            found[key] = str(value)
    return found


# Each of the five settings: as it failed, and recalibrated.
SETTINGS = {change.about: (texts(change.before), texts(change.after)) for change in RULES["dense_objects"].changes}
# What else could have made a score collapse, added to the settings that failed.
SUSPECTS = {
    "alpha": {"loss.0.alpha": "0.25"},
    "batchnorm": {"architecture.normalization": "batch", "training.clip": "none"},
    "rate": {"optimizer.learning_rate": "1e-2"},
}
# What is smaller than in the recipe, by what is learnt.
SMALL = {
    "beads": {
        "architecture.depth": "3",
        "sampling.patch_shape": "1,48,48",
        "training.validation_patches": "256",
        "training.patience": "none",
    },
    "nuclei": {
        "sampling.patch_shape": "1,128,128",
        "dataset.raw": f"data/dsb2018/images/{LEARNT}.png",
        "dataset.labels": f"data/dsb2018/labels/{LEARNT}.tif",
        "schedule.name": "fixed",
        "training.patience": "none",
    },
}
PATCHES = 3200
SCORES = ("jaccard", "product_jaccard", "best_jaccard", "best_threshold")


def variants() -> dict[str, dict[str, str]]:
    """Return what to change of the recipe for each training: both ends, and one step from each end."""
    failing, recalibrated = (
        {key: value for pair in SETTINGS.values() for key, value in pair[i].items()} for i in (0, 1)
    )
    found = {"failing": failing}
    found |= {f"failing_{name}": failing | new for name, (_, new) in SETTINGS.items()}
    found["recalibrated"] = recalibrated
    found |= {f"recalibrated_{name}": recalibrated | old for name, (old, _) in SETTINGS.items()}
    return found | {f"suspect_{name}": failing | more for name, more in SUSPECTS.items()}


def recipe_of(on: str, changes: dict[str, str], seed: int, patches: int, options: dict[str, str]) -> Recipe:
    """Return the recipe of one training that sees so many patches, validated sixteen times."""
    steps = max(1, patches // int(changes["sampling.batch_size"]))
    length = {"training.steps": str(steps), "training.validate_every": str(max(1, steps // 16)), "seed": str(seed)}
    return load_recipe(FOLDER / f"{on}.toml", {**SMALL[on], **changes, **length, **options})


def test_samples(recipe: Recipe) -> list[segkit.Sample]:
    """Return images that nothing is chosen by."""
    name, options = recipe.dataset.name.partition(":")[2], dict(recipe.dataset.options)
    if name == "files":
        options |= {key: options[key].replace(LEARNT, TESTED) for key in ("raw", "labels")}
        return list(segkit.datasets[name](**options))
    return list(segkit.datasets[name](count=TEST_IMAGES, seed=TEST_SEED))


def test_scores(model: segkit.Model, samples: list[segkit.Sample]) -> dict[str, float]:
    """Score a model on images that nothing was chosen by: at 0.5, as a product of probabilities, at the best threshold."""
    overlap, curve = OverlapMetrics(("foreground",), threshold=0.5), ThresholdCurve()
    products = []
    for sample in samples:
        patch = sample.read(sample.raw.box)
        found, truth = model(sample.raw).read()[0], patch.labels.reshape(patch.mask.shape) != 0
        overlap.update(found[None, None], truth[None, None], patch.mask[None, None])
        curve.update(found, truth)
        both = float(found[truth].sum())
        products.append((both + 1) / (float(found.sum()) + float(truth.sum()) - both + 1))
    threshold, best = curve.best()
    scores = (overlap.compute()["jaccard"], float(np.mean(products)), best, threshold)
    return dict(zip(SCORES, scores, strict=True))


def show_spread(run: Path, draws: int = 200) -> None:
    """Print how much a validation score depends on which 15 % of the images it is of, by the way of drawing them."""
    recipe, model = load_recipe(FOLDER / "beads.toml"), segkit.Model.load(run)
    samples = list(segkit.datasets["synthetic_beads"](count=73, seed=TEST_SEED))
    jaccard: dict[str, float] = {}
    objects: dict[str, int] = {}
    for sample in samples:
        labels = sample.labels.read() != 0
        found = model(sample.raw).read()[0] > 0.5
        jaccard[sample.name] = float((found & labels).sum() / max(1, (found | labels).sum()))
        objects[sample.name] = count_objects(sample)
    print("| split | objects an image | spread of that | Jaccard | spread of that |\n|---|---|---|---|---|")
    for by in ("random", "density"):
        parts = [
            [sample.name for sample in split_samples(samples, Split(by=by, seed=seed), recipe.sampling.patch_shape)[1]]
            for seed in range(draws)
        ]
        cells = []
        for values in (objects, jaccard):
            means = [np.mean([values[name] for name in part]) for part in parts]
            cells += [f"{np.mean(means):.4g}", f"{np.std(means, ddof=1):.2g}"]
        print(f"| {by} | {' | '.join(cells)} |")


def rows_of(file: Path) -> list[dict[str, str]]:
    """Return what was measured so far."""
    return list(csv.DictReader(io.StringIO(file.read_text()))) if file.exists() else []


def show(rows: list[dict[str, str]]) -> None:
    """Print the mean and its 95 % interval over seeds for each variant, as a table in Markdown."""
    print(f"| settings | {' | '.join(SCORES)} |\n|---|{'---|' * len(SCORES)}")
    for name in dict.fromkeys(row["settings"] for row in rows):
        mine = [row for row in rows if row["settings"] == name]
        cells = (interval_text(estimate([float(row[score]) for row in mine])) for score in SCORES)
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    """Train what is missing, score it, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("runs/study"))
    parser.add_argument("--on", choices=SMALL, default="beads", help="what is learnt; default: beads")
    parser.add_argument("--quick", action="store_true", help="only both ends, one seed, few patches")
    parser.add_argument("--patches", type=int, help=f"patches that a training sees; default {PATCHES}, or a fifth")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=variants(), help="settings to train; default: all")
    parser.add_argument("--spread", type=Path, metavar="RUN", help="only what a split does to the score of this run")
    parser.add_argument("-o", "--option", action="append", default=[], help="KEY=VALUE, an entry of the recipe")
    chosen = parser.parse_args()
    names = chosen.only or (["failing", "recalibrated"] if chosen.quick else list(variants()))
    if chosen.spread:
        show_spread(chosen.spread)
        return
    patches = chosen.patches or (PATCHES // 5 if chosen.quick else PATCHES)
    options = dict(pair.split("=", 1) for pair in chosen.option)
    for name in names:
        for seed in range(1 if chosen.quick else chosen.seeds):
            folder = chosen.folder / name / f"seed{seed}"
            recipe = recipe_of(chosen.on, variants()[name], seed, patches, options)
            scored = folder / "test.csv"
            if not scored.exists():
                fit(recipe, folder)
                scores = test_scores(segkit.Model.load(folder / "final"), test_samples(recipe))
                write(scored, [{"settings": name, "seed": seed, **scores}])
    rows = [
        row
        for name in variants()
        for file in sorted((chosen.folder / name).glob("*/test.csv"))
        for row in rows_of(file)
    ]
    write(chosen.folder / "results.csv", rows)
    show(rows)


def write(file: Path, rows: list[dict[str, object]] | list[dict[str, str]]) -> None:
    """Write a table."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    replace_file(file, text.getvalue().encode())


if __name__ == "__main__":
    main()
