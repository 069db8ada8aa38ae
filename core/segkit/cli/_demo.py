"""``segkit demo``: everything once, on a small piece of real tissue, in a few minutes."""

from __future__ import annotations

import json
from pathlib import Path
from time import monotonic
from typing import Any

import click

from segkit.cli._options import progress_bar

__all__ = ["demo_command"]

CROP = Path("examples/data/fib25/fib25_crop.h5")
TRAINED, SCORED = "z:88", "z96:"  # eight slices in between, so that nothing scored was next to anything learnt

JOINING = {"neck": 1.0, "merge_below": 0.5}  # chosen on slices 64 to 87, most of them held out

TRUTH = {"scale": 4.0, "constant": 300.0, "smoothing": 0}  # few branches, and nodes that stay inside


def _recipe(data: str, steps: int) -> dict[str, Any]:
    """Return the recipe of the demo: where neurons touch, learn the boundaries between them."""
    return {
        "task": {"name": "boundaries"},
        "architecture": {"name": "unet", "width": 16, "depth": 3, "upsampling": "linear"},
        "loss": [{"name": "bce"}, {"name": "dice", "weight": 0.5}],
        "augmentation": [{"name": "flips"}, {"name": "quarter_turns"}, {"name": "intensity"}],
        "dataset": {"name": "files", "raw": f"{data}:raw", "labels": f"{data}:labels", "region": TRAINED},
        "sampling": {"patch_shape": [16, 80, 80], "batch_size": 2, "foreground": 0.0},
        "split": {"share": 0.2},
        "optimizer": {"learning_rate": 2e-3},
        "schedule": {"warmup": 20},
        "training": {"steps": steps, "validate_every": max(1, steps // 4), "ema": 0.98},
    }


@click.command("demo")
@click.argument("target", type=click.Path(path_type=Path), default="demo")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="HDF5 file with datasets raw and labels. Default: the crop in examples/.",
)
@click.option("--steps", default=500, show_default=True, help="Training steps.")
def demo_command(target: Path, data: Path | None, steps: int) -> int:
    """Train, predict, segment, trace and score on a small piece of real tissue.

    The tissue is a crop of the fly brain imaged by FIB-SEM (FIB-25), with every neuron labelled. A network learns the
    boundaries between neurons on one part; the other part, which it never saw, is predicted, cut into neurons, traced
    and compared with the truth. Everything is left in TARGET; look at TARGET/index.html first.

    Run it again to go on with a demo that was interrupted.
    """
    from segkit.cli._train import run_training
    from segkit.errors import DataError
    from segkit.recipe import Recipe

    data = data or CROP
    if not data.exists():
        raise DataError(
            f"There is no {data}. Run this in a clone of segkit, or name an HDF5 file with datasets raw and labels: --data."
        )
    began = monotonic()
    recipe = Recipe.from_mapping(_recipe(str(data.resolve()), steps))
    click.echo("1/5  training on z < 88")
    code = run_training(recipe, target / "run")
    if code:
        return code
    scores = _use(data, target)
    parts = " ".join(str(target / name) for name in ("segmentation.zarr", "traces"))
    click.echo(
        f"Done in {monotonic() - began:.0f} s. Look at {target / 'index.html'}, or in napari: segkit view {parts}"
    )
    click.echo("  ".join(f"{name} {value:.3f}" for name, value in scores.items()))
    return 0


def _use(data: Path, target: Path) -> dict[str, float]:
    """Predict, segment, trace and score the part that was not trained on, and write the page."""
    from segkit import Box, evaluate, evaluate_traces, open_volume, predict, segment, trace
    from segkit.durable import replace_file

    click.echo("2/5  predicting z >= 96")
    with progress_bar("Predicting") as progress:
        prediction = predict(
            target / "run", f"{data}:raw", target / "prediction.zarr", region=SCORED, progress=progress
        )
    click.echo("3/5  cutting the prediction into neurons")
    with progress_bar("Segmenting") as progress:
        segmentation = segment(
            prediction, "watershed", target / "segmentation.zarr", options=JOINING, min_size=100, progress=progress
        )
    click.echo("4/5  tracing them")
    with progress_bar("Tracing", "steps") as progress:
        traces = trace(segmentation, "skeleton", out_dir=target / "traces", min_size=2000, progress=progress)
    click.echo("5/5  comparing with the truth")
    scores = dict(evaluate(segmentation, f"{data}:labels").scores)
    replace_file(target / "scores.json", json.dumps(scores, indent=1).encode())
    labels = open_volume(f"{data}:labels")
    truth = trace(labels.crop(Box.parse(SCORED, labels.box)), "teasar", options=TRUTH)
    along = evaluate_traces(segmentation, truth, trim=20)  # two voxels
    along.write_errors(target / "errors.csv")
    _write_page(data, target, prediction, segmentation, traces, scores, along)
    return {name: scores[name] for name in list(scores)[:4]}


def _write_page(
    data: Path, target: Path, prediction: Any, segmentation: Any, traces: Any, scores: dict[str, float], along: Any
) -> None:
    import numpy as np

    from segkit import Box, open_volume
    from segkit.durable import replace_file
    from segkit.metrics import EXPLANATIONS
    from segkit.report import Section, draw_slices, draw_traces, error_sections, write_page

    raw, labels = open_volume(f"{data}:raw"), open_volume(f"{data}:labels")
    region = Box.parse(SCORED, raw.box)
    middle = prediction.spatial_shape[0] // 2
    image = raw[region.start[0] + middle]
    panels = [
        ("image", image),
        ("boundaries", prediction[prediction.channel_names.index("boundary"), middle]),
        ("neurons found", segmentation[middle]),
        ("neurons in truth", labels[region.start[0] + middle].astype(np.uint64)),
    ]
    rows: list[tuple[str | float | int, ...]] = [
        ("score", "value", "better", "meaning"),
        *(
            (name.replace("_", " "), value, EXPLANATIONS[name].better, EXPLANATIONS[name].meaning)
            for name, value in scores.items()
        ),
    ]
    table: list[tuple[str | float | int, ...]] = [
        ("id", f"cable ({traces[0].unit})" if len(traces) else "cable", "branches", "tips")
    ]
    longest = sorted(traces, key=lambda t: t.cable_length, reverse=True)[:10]
    table += [(t.id, t.cable_length, t.branches, t.tips) for t in longest]
    pictures = {"slices.png": draw_slices(panels, image), "traces.png": draw_traces(traces)}
    for name, picture in pictures.items():
        replace_file(target / name, picture)
    write_page(
        target / "index.html",
        "segkit demo: neurons in a fly's brain",
        "A U-Net learnt the boundaries between neurons on slices 0 to 87 of this FIB-SEM crop (FIB-25, FlyEM/Janelia) and was "
        "then used on slices 96 to 127, which it never saw. Everything below is computed from what lies beside this page.",
        [
            Section("A slice that was not trained on", picture=pictures["slices.png"]),
            Section(
                "Traces",
                f"{len(traces)} objects of at least 2000 voxels were traced; SWC files are in traces/.",
                pictures["traces.png"],
            ),
            Section("The longest traces", rows=table),
            Section("Compared with the truth", rows=rows),
            *error_sections(along),
            Section("Training", picture=(target / "run" / "curves.png").read_bytes()),
        ],
    )
