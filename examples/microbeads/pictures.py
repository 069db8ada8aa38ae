"""Pictures of what the trained networks find, on images that they have not learnt from.

python examples/microbeads/pictures.py nuclei nuclei.png runs/nuclei/unet runs/nuclei/attention_unet
python examples/microbeads/pictures.py detection detection.png runs/detection/seed0 examples/microbeads/data/beadnet/val
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from scipy import ndimage

import segkit
from segkit.durable import replace_file
from segkit.metrics import match_points
from segkit.sampling import count_objects, split_samples
from segkit.training import Run

RADIUS = 3.0


def shown(raw: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the first channel of an image ``(C, Z, Y, X)``, its contrast stretched."""
    plane = raw.reshape(-1, *raw.shape[-3:])[0, 0].astype(float)
    low, high = np.percentile(plane, (1, 99.7))
    return np.asarray(np.clip((plane - low) / max(high - low, 1e-9), 0, 1) ** 0.6)


def nuclei(target: Path, runs: list[Path]) -> None:
    """Draw outlines of labels and predictions for the held-out images with fewest, middling and most nuclei."""
    recipe = Run(runs[0]).recipe
    samples = split_samples(list(recipe.dataset.build("datasets")), recipe.split, recipe.sampling.patch_shape)[1]
    samples.sort(key=count_objects)
    chosen = [samples[0], samples[len(samples) // 2], samples[-1]]
    figure, axes = plt.subplots(3, len(runs), figsize=(2.6 * len(runs), 8), squeeze=False, layout="constrained")
    for column, run in zip(axes.T, runs, strict=True):
        model = segkit.Model.load(run)
        for axis, sample in zip(column, chosen, strict=True):
            patch = sample.read(sample.raw.box)
            truth, found = patch.labels.reshape(patch.mask.shape)[0] != 0, model(sample.raw).read()[0, 0] > 0.5
            jaccard = (truth & found).sum() / max(1, (truth | found).sum())
            axis.imshow(shown(patch.raw), cmap="gray")
            axis.contour(truth, [0.5], colors="#2ca02c", linewidths=0.7)
            axis.contour(found, [0.5], colors="#ff3fd0", linewidths=0.7)
            axis.set(xticks=[], yticks=[])
            axis.set_xlabel(f"{count_objects(sample)} nuclei, Jaccard {jaccard:.2f}", fontsize=8)
        column[0].set_title(Run(run).recipe.architecture.name.rpartition(":")[2], fontsize=9)
    save(figure, target)


def detection(target: Path, run: Path, folder: Path) -> None:
    """Draw marks as circles and detections as dots: images with the most beads, and with the most mistakes."""
    model = segkit.Model.load(run)
    found = []
    for image in sorted(folder.glob("img_*.tif")):
        marks = segkit.open_volume(folder / image.name.replace("img", "mask")).read()[0]
        volume = segkit.open_volume(image)
        regions, count = ndimage.label(model(volume).read()[0, 0] > 0.5)
        centres = np.array(ndimage.center_of_mass(regions > 0, regions, range(1, count + 1))).reshape(-1, 2)
        found.append((shown(volume.read()), np.argwhere(marks), centres))
    scores = [match_points(centres, marks, RADIUS) for _, marks, centres in found]
    order = sorted(range(len(found)), key=lambda i: (scores[i].f1, -len(found[i][1])))
    most = sorted(range(len(found)), key=lambda i: -len(found[i][1]))
    chosen = list(dict.fromkeys([*order[:2], *most]))[:4]
    figure, axes = plt.subplots(1, 4, figsize=(12, 3.4), layout="constrained")
    for axis, i in zip(axes, chosen, strict=True):
        plane, marks, centres = found[i]
        axis.imshow(plane, cmap="gray")
        axis.scatter(*marks.T[::-1], s=55, facecolors="none", edgecolors="#2ca02c", linewidths=1)
        axis.scatter(*centres.T[::-1], s=7, color="#ff3fd0")
        axis.set(xticks=[], yticks=[])
        axis.set_xlabel(f"{len(marks)} marks, {len(centres)} found, F1 {scores[i].f1:.2f}", fontsize=9)
    save(figure, target)


def save(figure: Any, target: Path) -> None:
    """Write a figure as PNG."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=80)
    replace_file(target, data.getvalue())


def main() -> None:
    """Read what to draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["nuclei", "detection"])
    parser.add_argument("target", type=Path)
    parser.add_argument(
        "places", type=Path, nargs="+", help="run folders; for detection a run and the folder of images"
    )
    chosen = parser.parse_args()
    if chosen.what == "nuclei":
        nuclei(chosen.target, chosen.places)
    else:
        detection(chosen.target, *chosen.places)


if __name__ == "__main__":
    main()
