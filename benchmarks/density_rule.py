"""What the rule `dense_objects` changes, setting by setting, and what the number of objects does to a loss.

    OMP_NUM_THREADS=1 python benchmarks/density_rule.py [--images 3072] [--folder runs/density_rule]

Trains a small U-Net on generated beads, few and many in an image, with the settings from before the rule, with its loss alone,
and with all of it. Every training sees the same number of images. A row of `docs/benchmarks/density_rule.csv` is written
behind each, and rows that are there are not done again; at the end the page's tables are printed and its picture is drawn.
"""

from __future__ import annotations

import argparse
import csv
import io
import statistics
import time
from itertools import product
from pathlib import Path

import numpy as np
import torch

import segkit
from segkit.contracts import Batch, call_network
from segkit.durable import replace_file
from segkit.planning import RULES
from segkit.recipe import Recipe
from segkit.report import estimate, interval_text
from segkit.sampling import split_samples
from segkit.training import fit

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks" / "density_rule.csv"
RULE = RULES["dense_objects"]
SIDE = 128
# The images of the microbead system at half their resolution: as many objects, which cover as much of the image.
BEADS = {"name": "synthetic_beads", "shape": [SIDE, SIDE], "diameter": 4.75, "pixel_size": 212.0}
DENSITIES = {"sparse": {"fewest": 2, "most": 3}, "dense": {"fewest": 12, "most": 254}}
IMAGES, TEST_IMAGES, TEST_SEED = 73, 40, 1000
VARIANTS = {"before": (), "its loss alone": ("loss",), "the whole rule": tuple(change.about for change in RULE.changes)}
SEEDS = 3
PLAN = [(density, variant) for density in DENSITIES for variant in VARIANTS]


def recipe_of(density: str, variant: str, images: int, seed: int) -> Recipe:
    """Return the recipe of one training; everything that the rule does not name is the same in all."""
    base = Recipe.from_mapping(
        {
            "seed": seed,
            "task": {"name": "semantic"},
            "architecture": {
                "name": "unet",
                "dimensions": "2d",
                "width": 4,
                "depth": 3,
                "normalization": "batch",
                "activation": "relu",
            },
            "loss": [{"name": "bce"}],
            "augmentation": [{"name": "flips"}],
            "dataset": {**BEADS, **DENSITIES[density], "count": IMAGES, "seed": 0},
            "split": {"seed": seed},
            "sampling": {"patch_shape": [1, SIDE, SIDE], "foreground": 0.0, "workers": 1},
            "optimizer": {"name": "adam", "weight_decay": 0.0},
            "schedule": {"name": "fixed"},
            "training": {"clip": "none", "validation_patches": "none", "precision": "bfloat16", "device": "cpu"},
        }
    )
    recipe = RULE.recipe(RULE.recipe(base, "before"), only=VARIANTS[variant])
    steps = max(1, images // recipe.sampling.batch_size)
    tables = recipe.to_mapping()
    tables["training"] |= {"steps": steps, "validate_every": max(1, steps // 8)}
    return Recipe.from_mapping(tables)


def test_samples(density: str) -> list[segkit.Sample]:
    """Return images that no training sees."""
    options = {key: value for key, value in BEADS.items() if key != "name"}
    return list(segkit.datasets["synthetic_beads"](**options, **DENSITIES[density], count=TEST_IMAGES, seed=TEST_SEED))


def predicted(model: segkit.Model, samples: list[segkit.Sample]) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities of foreground and the truth, for all images together."""
    raw = np.stack(
        [model.normalization(sample.raw.read(sample.raw.box).reshape(1, 1, SIDE, SIDE)) for sample in samples]
    )
    with torch.no_grad():
        found = model.task.activate(call_network(model.network.eval(), torch.from_numpy(raw)))[:, 0].numpy()
    return found, np.stack([sample.labels.read(sample.labels.box) != 0 for sample in samples])


def jaccard(found: np.ndarray, truth: np.ndarray) -> float:
    """Return the Jaccard index of all voxels together."""
    return float((found & truth).sum() / max(1, (found | truth).sum()))


def place_of(folder: Path, density: str, variant: str, seed: int) -> Path:
    """Return where a run lies."""
    return folder / f"{density}_{variant.replace(' ', '_')}_{seed}"


def trained(density: str, variant: str, seed: int, images: int, folder: Path) -> dict[str, object]:
    """Train, or go on with it, and return what came out."""
    recipe = recipe_of(density, variant, images, seed)
    began = time.process_time()
    run = fit(recipe, place_of(folder, density, variant, seed))
    validations = run.state().validations
    scores = {step: row["metrics"]["jaccard"] for step, row in validations.items()}
    best = next(step for step in sorted(scores, reverse=True) if validations[step]["best"])
    samples = list(recipe.dataset.build("datasets"))
    _, held_out = split_samples(samples, recipe.split, recipe.sampling.patch_shape)
    model, test = segkit.Model.load(run.folder, device="cpu"), test_samples(density)
    # The threshold is chosen where the weights were: on validation, never on test.
    found, truth = predicted(model, held_out)
    levels = np.linspace(0.05, 0.95, 19)
    threshold = float(levels[int(np.argmax([jaccard(found > level, truth) for level in levels]))])
    found, truth = predicted(model, test)
    last = predicted(segkit.Model.load(run.folder / "final", device="cpu"), test)[0]
    return {
        "density": density,
        "variant": variant,
        "seed": seed,
        "images": recipe.training.steps * recipe.sampling.batch_size,
        "steps": recipe.training.steps,
        "best_step": best,
        "validation": scores[best],
        "final_validation": scores[max(scores)],
        "test": jaccard(found > 0.5, truth),
        "test_final": jaccard(last > 0.5, truth),
        "threshold": threshold,
        "test_at_threshold": jaccard(found > threshold, truth),
        "cpu_seconds": time.process_time() - began,
    }


def write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    """Write the table, whole or not at all."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    replace_file(path, text.getvalue().encode())


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows written so far."""
    return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []


LOSSES = {
    "bce": ("bce", {}),
    "focal": ("focal", {}),
    "focal, alpha 0.25": ("focal", {"alpha": 0.25}),
    "dice": ("dice", {}),
}
COUNTS = (1, 2, 3, 6, 12, 25, 50, 109, 180, 254)


def at_start(seeds: int = 3) -> list[dict[str, object]]:
    """Return losses, the norm of their gradients and the share of objects in them, of untrained networks over object counts."""
    rows: list[dict[str, object]] = []
    options = {key: value for key, value in BEADS.items() if key != "name"}
    for seed in range(seeds):
        torch.manual_seed(seed)
        network = segkit.architectures["unet"](
            1, 1, dimensions="2d", width=8, depth=3, normalization="batch", activation="relu"
        )
        for count in COUNTS:
            samples = segkit.datasets["synthetic_beads"](**options, fewest=count, most=count, count=8, seed=seed)
            raw = torch.stack(
                [torch.from_numpy(s.raw.read(s.raw.box).astype(np.float32)).reshape(1, 1, SIDE, SIDE) for s in samples]
            )
            raw = (raw - raw.mean()) / raw.std()
            ids = np.stack([s.labels.read(s.labels.box) for s in samples])
            target = torch.from_numpy((ids != 0).astype(np.float32))[:, None]
            batch = Batch(raw, target, torch.ones_like(target))
            for name, (loss, chosen) in LOSSES.items():
                network.zero_grad()
                logits = call_network(network, batch.raw)
                logits.retain_grad()
                value = segkit.losses[loss](**chosen)(logits, batch.target, batch.mask)
                value.backward()
                norm = torch.nn.utils.clip_grad_norm_(network.parameters(), float("inf"))
                pull = logits.grad.abs()
                rows.append(
                    {
                        "seed": seed,
                        "wanted": count,
                        "objects": float(np.mean([len(np.unique(one)) - 1 for one in ids])),
                        "positive": float(target.mean()),
                        "loss": name,
                        "value": float(value.detach()),
                        "gradient": float(norm),
                        "objects_share": float((pull * target).sum() / pull.sum()),
                    }
                )
    return rows


def split_noise(draws: int = 400) -> dict[str, float]:
    """Return how far the mean object count of held-out images lies from that of all, for both ways of splitting (sd)."""
    from dataclasses import replace

    from segkit.recipe import Split

    options = {key: value for key, value in BEADS.items() if key != "name"}
    samples = list(segkit.datasets["synthetic_beads"](**options, **DENSITIES["dense"], count=IMAGES, seed=0))
    from segkit.sampling import count_objects

    counts = {sample.name: count_objects(sample) for sample in samples}
    found = {}
    for by in ("random", "density"):
        split = Split(by=by)
        means = []
        for seed in range(draws):
            _, held = split_samples(samples, replace(split, seed=seed), (1, SIDE, SIDE))
            means.append(statistics.mean(counts[s.name] for s in held))
        found[by] = statistics.stdev(means)
    return found


def table(rows: list[dict[str, str]]) -> list[str]:
    """Return the page's table: mean and 95 % interval over seeds of each setting."""
    lines = [
        "| images | settings | steps | Jaccard, best weights | Jaccard, last weights | with the best threshold | threshold |"
    ]
    lines.append("|---|---|---|---|---|---|---|")
    for density, variant in PLAN:
        found = [r for r in rows if (r["density"], r["variant"]) == (density, variant)]
        if found:
            scores = [
                interval_text(estimate([float(r[key]) for r in found]))
                for key in ("test", "test_final", "test_at_threshold")
            ]
            level = statistics.mean(float(r["threshold"]) for r in found)
            lines.append(f"| {density} | {variant} | {found[0]['steps']} | {' | '.join(scores)} | {level:.2f} |")
    return lines


def start_table(rows: list[dict[str, str]]) -> list[str]:
    """Return the table of losses and gradients of untrained networks."""
    lines = ["| objects | covered | " + " | ".join(f"{name}: loss, gradient, objects' share" for name in LOSSES) + " |"]
    lines.append("|---|---|" + "---|" * len(LOSSES))
    by_count: dict[int, list[dict[str, str]]] = {}
    for row in rows:
        by_count.setdefault(int(row["wanted"]), []).append(row)
    for count, found in sorted(by_count.items()):
        cells = []
        for name in LOSSES:
            mine = [r for r in found if r["loss"] == name]
            value, gradient, share = (
                statistics.mean(float(r[key]) for r in mine) for key in ("value", "gradient", "objects_share")
            )
            cells.append(f"{value:.3f}, {gradient:.2f}, {share:.1%}")
        covered = statistics.mean(float(r["positive"]) for r in found)
        lines.append(f"| {count} | {covered:.2%} | {' | '.join(cells)} |")
    return lines


def draw(rows: list[dict[str, str]], start: list[dict[str, str]], folder: Path) -> None:
    """Draw scores by setting, curves, and losses over object counts."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from segkit.training import Run

    figure = Figure(figsize=(13, 4.2), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    bars, curves, losses = figure.subplots(1, 3)
    for place, (density, variant) in enumerate(PLAN):
        mine = [r for r in rows if (r["density"], r["variant"]) == (density, variant)]
        for key, offset, colour in (("test", -0.17, "#0b7285"), ("test_at_threshold", 0.17, "#e08a00")):
            values = [float(r[key]) for r in mine]
            bars.barh(place + offset, statistics.mean(values), 0.3, color=colour)
            bars.plot(values, [place + offset] * len(values), "k.", markersize=4)
    bars.set_yticks(range(len(PLAN)), [f"{density}: {variant}" for density, variant in PLAN])
    bars.invert_yaxis()
    bars.set_xlabel("Jaccard on other images (orange: best threshold)")
    bars.set_title("sparse: 2 to 3 objects an image, dense: 12 to 254", fontsize=10)
    for density, style in (("sparse", "--"), ("dense", "-")):
        for variant, colour in zip(VARIANTS, ("#c8283c", "#e08a00", "#2f9e6e"), strict=True):
            for seed in range(SEEDS):
                found = Run(place_of(folder, density, variant, seed))
                if (found.folder / "journal.jsonl").exists():
                    size, points = found.recipe.sampling.batch_size, found.state().validations
                    line = [(step * size, row["metrics"]["jaccard"]) for step, row in sorted(points.items())]
                    label = f"{density}: {variant}" if seed == 0 else None
                    curves.plot(*zip(*line, strict=True), style, color=colour, alpha=0.8, label=label)
    curves.set_xlabel("images seen")
    curves.set_ylabel("validation Jaccard")
    curves.set_xscale("log")
    curves.legend(frameon=False, fontsize=9)
    for name, colour in zip(LOSSES, ("#0b7285", "#e08a00", "#c8283c", "#2f9e6e"), strict=True):
        mine = [r for r in start if r["loss"] == name]
        counts = sorted({int(r["wanted"]) for r in mine})
        for key, style in (("value", "-"), ("gradient", ":")):
            means = [statistics.mean(float(r[key]) for r in mine if int(r["wanted"]) == c) for c in counts]
            losses.plot(counts, means, style, color=colour, label=f"{name}, {'loss' if key == 'value' else 'gradient'}")
    losses.set_xscale("symlog", linthresh=1)
    losses.set_yscale("log")
    losses.set_xlabel("objects an image, untrained network")
    losses.legend(frameon=False, fontsize=8)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    replace_file(PAGE.with_suffix(".png"), picture.getvalue())


def main() -> None:
    """Do what is not done yet, then print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=3072)
    parser.add_argument("--folder", type=Path, default=Path("runs/density_rule"))
    parser.add_argument(
        "--no-training", action="store_true", help="only what needs none, and tables and picture of what is there"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = [dict(row) for row in read_rows(PAGE)]
    done = {(row["density"], row["variant"], str(row["seed"])) for row in rows}
    for seed, (density, variant) in product(range(SEEDS), PLAN):
        if not arguments.no_training and (density, variant, str(seed)) not in done:
            row = trained(density, variant, seed, arguments.images, arguments.folder)
            rows.append(row)
            write_rows(PAGE, rows)
            print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
    start = PAGE.with_name("density_rule_start.csv")
    if not start.exists():
        write_rows(start, at_start())
    print(
        "\n".join(
            [*(table(read_rows(PAGE)) if rows else ()), "", *start_table(read_rows(start)), "", str(split_noise())]
        )
    )
    if rows:
        draw(read_rows(PAGE), read_rows(start), arguments.folder)


if __name__ == "__main__":
    main()
