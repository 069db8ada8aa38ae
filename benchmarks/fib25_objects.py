"""Neurons of FIB-25, slices 110 to 149: segmentations compared with labels and skeletons.

python benchmarks/fib25_objects.py [NAME=SEGMENTATION ...] [--flood NAME=MODEL ...] [--data FOLDER] [--work FOLDER]

Without arguments it trains the baseline (boundaries and a watershed), imports the published flood-filling network, and
segments with both. SEGMENTATION is anything that `segkit.open_volume` opens, or an .npy file; MODEL is a run or model of
the task `flood_filling`. What is computed is kept in the folder of work, and taken from there the next time.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

import segkit
from segkit import Box, Recipe, Volume
from segkit.report import draw_errors, draw_slices, draw_traces

HERE = Path(__file__).parent
SKELETONS = HERE / "fib25_skeletons.swc"
TRAINED, SCORED, SLICE = "z0:100", "z110:150", 20
SIZE = (10.0, 10.0, 10.0)
TRIM = 20.0  # two voxels
JOINING = {"neck": 1.0, "merge_below": 0.5}  # as in `segkit demo`, chosen on other slices
FLOOD = {"as filled": {"grow": 0}, "grown by 6 voxels": {}}

COLUMNS = {
    "VOI split": ("labels", "voi_split", "{:.3f}"),
    "VOI merge": ("labels", "voi_merge", "{:.3f}"),
    "VOI": ("labels", "voi", "{:.3f}"),
    "VOI, segmented": ("labels", "voi_segmented", "{:.3f}"),
    "adapted Rand error": ("labels", "adapted_rand_error", "{:.3f}"),
    "adapted Rand error, segmented": ("labels", "adapted_rand_error_segmented", "{:.3f}"),
    "purity": ("labels", "purity", "{:.4f}"),
    "coverage": ("labels", "coverage", "{:.3f}"),
    "segments": ("labels", "segments", "{:.0f}"),
    "NERL": ("paper", "nerl", "{:.3f}"),
    "ERL (nm)": ("paper", "erl", "{:.0f}"),
    "NERL, 5 nodes for a merger": ("grazed", "nerl", "{:.3f}"),
    "omitted cable": ("paper", "omitted_share", "{:.3f}"),
    "merged cable": ("paper", "merged_share", "{:.3f}"),
    "splits per mm": ("paper", "splits_per_mm", "{:.0f}"),
    "mergers per mm": ("paper", "mergers_per_mm", "{:.0f}"),
}
BETTER = {"coverage", "purity", "NERL", "ERL (nm)", "NERL, 5 nodes for a merger"}

WORDS = """# FIB-25

Fly medulla, 10 nm voxels (FlyEM/Janelia; see `examples/data/fib25/README.md` for credit and licence): slices 110 to 149 of a
piece of 250 x 250 voxels, with {bodies} bodies. The baseline has learnt from slices 0 to 99 of the same piece; the published
network (google/ffn, checkpoint 27465036) from another volume of the same data set. Both are shown these 40 slices alone.

**VOI** (bits) and **adapted Rand error** leave out the voxels that the labels call background; what is in no segment counts as
one segment, or is left out under *segmented*. **NERL** is the expected run length over that of the labels themselves
({perfect:.0f} nm here, because 400 nm of depth cut everything short); see [Evaluating](../reference/evaluating.md).
"""
LIMITS = """
## What the skeletons do to the score

The labels themselves, moved by one voxel along x: nothing that a person would call an error. Skeletons drawn from labels end at
the surface of their object, and there one voxel makes a merger that costs all cable of two neurons. So their ends are cut back
to a radius of two voxels (`trim=20`) for the table above, which leaves out {left:.0%} of the cable: the thinnest. Scores of
other skeletons cannot be compared with these.
"""


def data_volumes(data: Path) -> tuple[Volume, Volume]:
    """Image and labels, lazily."""
    opened = [
        segkit.open_volume(f"{data / name}", voxel_size=SIZE, offset=(0.0, 0.0, 0.0))
        for name in ("grayscale_maps.h5:raw", "groundtruth.h5:stack")
    ]
    return opened[0], opened[1]


def draw_skeletons(labels: Volume) -> None:
    """Draw the skeletons that are kept beside this file, of all slices, so that the cut costs the fewest branches."""
    options = {"scale": 4.0, "constant": 300.0, "smoothing": 0, "spacing": 20.0}
    traces = segkit.trace(labels, "teasar", options=options)
    segkit.write_swc([trace for trace in traces if len(trace.edges)], SKELETONS)


def baseline(data: Path, work: Path) -> Volume:
    """Boundaries between neurons by a U-Net, 500 steps on slices 0 to 99, cut by a watershed."""
    tables = {
        "task": {"name": "boundaries"},
        "architecture": {"name": "unet", "width": 16, "depth": 3, "upsampling": "linear"},
        "loss": [{"name": "bce"}, {"name": "dice", "weight": 0.5}],
        "augmentation": [{"name": "flips"}, {"name": "quarter_turns"}, {"name": "intensity"}],
        "dataset": {
            "name": "files",
            "raw": f"{data / 'grayscale_maps.h5'}:raw",
            "labels": f"{data / 'groundtruth.h5'}:stack",
            "region": TRAINED,
        },
        "sampling": {"patch_shape": [16, 80, 80], "batch_size": 2, "foreground": 0.0},
        "split": {"share": 0.2},
        "optimizer": {"learning_rate": 2e-3},
        "schedule": {"warmup": 20},
        "training": {"steps": 500, "validate_every": 125, "ema": 0.98},
    }
    segkit.fit(Recipe.from_mapping(tables), work / "baseline")
    image = data_volumes(data)[0]
    prediction = segkit.predict(work / "baseline", image, work / "baseline_prediction.zarr", region=SCORED)
    return segkit.segment(prediction, "watershed", work / "baseline.zarr", options=JOINING, min_size=100)


def flooded(image: Volume, model: Path, target: Path, options: dict[str, object]) -> Volume:
    """Fill the scored slices, of which alone the network sees anything."""
    crop = image.crop(Box.parse(SCORED, image.box))
    return segkit.segment(crop, "flood_fill", target, options={"model": str(model), **options})


def published(data: Path, work: Path) -> Path:
    """The flood-filling network published for FIB-25, as a model of segkit."""
    from segkit.model import import_model

    target = work / "published"
    if not target.exists():
        import_model(data.parent / "ffn-fib25-weights" / "fib25_ffn_weights.npz").save(target)
    return target


def opened(source: str, labels: Volume) -> Volume:
    """A segmentation of the scored slices, or of all; where it says no position, its extent does."""
    array = source if not source.endswith(".npy") else np.load(source, allow_pickle=False)
    volume = segkit.open_volume(array)
    if volume.unit == "nm" and any(volume.offset):
        return volume
    start = SCORED if volume.spatial_shape[0] == 40 else "z0:"
    offset = labels.crop(Box.parse(start, labels.box)).offset
    return segkit.open_volume(volume, voxel_size=SIZE, offset=offset)


def in_scored(volume: Volume, labels: Volume) -> Volume:
    """The scored slices of a volume, in memory."""
    first = round((labels.crop(Box.parse(SCORED, labels.box)).offset[0] - volume.offset[0]) / SIZE[0])
    crop = volume.crop(Box.parse(f"z{first}:{first + 40}", volume.box))
    return crop.with_array(crop.read(), "zyx")


def measured(segmentation: Volume, labels: Volume) -> dict[str, object]:
    """All scores of one segmentation."""
    along = segkit.evaluate_traces(segmentation, SKELETONS, trim=TRIM)
    return {
        "labels": segkit.evaluate(segmentation, labels, compare="objects", ignore_background=True).scores,
        "paper": along.scores,
        "grazed": segkit.evaluate_traces(segmentation, SKELETONS, trim=TRIM, merge_nodes=5).scores,
        "along": along,
    }


def table_of(found: dict[str, dict[str, object]]) -> str:
    """Scores as a Markdown table, a segmentation in each column, the best value bold."""
    text = "| | " + " | ".join(found) + " |\n|---|" + "---|" * len(found) + "\n"
    for column, (part, score, form) in COLUMNS.items():
        values = [float(scores[part][score]) for scores in found.values()]
        best = (max if column in BETTER else min)(values)
        cells = [form.format(value) for value in values]
        if column != "segments" and len(values) > 1:
            cells = [f"**{cell}**" if value == best else cell for cell, value in zip(cells, values, strict=True)]
        text += f"| {column} | " + " | ".join(cells) + " |\n"
    return text


def moved_truth(labels: Volume) -> tuple[str, float]:
    """NERL of the labels moved by one voxel, for several ways to trim and to count mergers; and the cable that trimming costs."""
    moved = labels.with_array(np.roll(labels.read(), 1, 2), "zyx")
    text = "| NERL | ends kept | trim 20 nm | trim 30 nm |\n|---|---|---|---|\n"
    cable = {}
    for nodes in (0, 5):
        values = []
        for trim in (0.0, 20.0, 30.0):
            scores = segkit.evaluate_traces(moved, SKELETONS, trim=trim, merge_nodes=nodes, region="x1:").scores
            values.append(scores["nerl"])
            cable[trim] = scores["cable"]
        text += (
            f"| {nodes or 1} node{'s' * (nodes > 1)} for a merger | " + " | ".join(f"{v:.3f}" for v in values) + " |\n"
        )
    return text, 1 - cable[TRIM] / cable[0.0]


def write_pages(
    pages: Path,
    note: str,
    found: dict[str, dict[str, object]],
    volumes: dict[str, Volume],
    image: Volume,
    labels: Volume,
) -> None:
    """Write the page and its pictures."""
    grey = in_scored(image, image).read()[SLICE]
    panels = [("image", grey), ("labels", labels.read()[SLICE].astype(np.uint64))]
    panels += [(name, volume.read()[SLICE].astype(np.uint64)) for name, volume in volumes.items()]
    (pages / "fib25.png").write_bytes(draw_slices(panels, grey))
    best = max(found, key=lambda name: found[name]["paper"]["nerl"])
    traces = segkit.trace(volumes[best], "skeleton", min_size=1000)
    (pages / "fib25_traces.png").write_bytes(draw_traces(traces, largest=10))
    moved, left = moved_truth(labels)
    text = WORDS.format(
        bodies=len(np.unique(labels.read())) - bool((labels.read() == 0).any()),
        perfect=found[best]["paper"]["erl_perfect"],
    )
    text += f"\n{note}\n" if note else ""
    text += f"\n{table_of(found)}\nMade by `python benchmarks/fib25_objects.py`; with segmentations or models as arguments it scores those.\n"
    text += "\n![Slice 130: image, labels and segmentations](fib25.png)\n"
    text += f"\n## Where they are wrong\n\nThe skeletons, the {12} errors that cost the most numbered.\n"
    for number, (name, scores) in enumerate(found.items()):
        picture = f"fib25_errors_{number}.png"
        (pages / picture).write_bytes(draw_errors(scores["along"]))
        text += f"\n{name}:\n\n![Errors of {name}]({picture})\n"
    text += f"\n## Traces\n\nThe ten longest traces of *{best}*.\n\n![Ten traces](fib25_traces.png)\n"
    text += f"{LIMITS.format(left=left)}\n{moved}"
    (pages / "fib25.md").write_text(text, encoding="utf-8")


def named(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name, value


def main() -> None:
    """Segment, score, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("segmentations", nargs="*", type=named, metavar="NAME=SEGMENTATION")
    parser.add_argument("--flood", action="append", default=[], type=named, metavar="NAME=MODEL")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SEGKIT_TEST_DATA", ".")) / "fib25")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "segkit_fib25")
    parser.add_argument("--draw-skeletons", action="store_true", help="draw the skeletons anew")
    parser.add_argument("--note", default="", help="what else the page says about the segmentations")
    parser.add_argument("--pages", type=Path, default=HERE.parent / "docs" / "benchmarks", help="where the page goes")
    chosen = parser.parse_args()
    if not (chosen.data / "groundtruth.h5").exists():
        print(f"left out: there is no FIB-25 in {chosen.data}; name its folder with --data")
        return
    chosen.work.mkdir(parents=True, exist_ok=True)
    image, labels = data_volumes(chosen.data)
    if chosen.draw_skeletons or not SKELETONS.exists():
        draw_skeletons(labels)
    volumes = {name: opened(source, labels) for name, source in chosen.segmentations}
    models = [(name, Path(path)) for name, path in chosen.flood]
    if not volumes and not models:
        volumes["boundaries, watershed"] = baseline(chosen.data, chosen.work)
        models = [("published network", published(chosen.data, chosen.work))]
    for name, model in models:
        for variant, options in FLOOD.items():
            target = chosen.work / f"{name}_{variant}.zarr".replace(" ", "_")
            volumes[f"{name}, {variant}"] = flooded(image, model, target, options)
    volumes = {name: in_scored(volume, labels) for name, volume in volumes.items()}
    truth = in_scored(labels, labels)
    found = {name: measured(volume, truth) for name, volume in volumes.items()}
    print(table_of(found))
    write_pages(chosen.pages, chosen.note, found, volumes, image, truth)


if __name__ == "__main__":
    main()
