"""Segments volumes that a model has not seen, and compares them with what is known: score.py MODEL synthetic|fib25."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import segkit
from segkit.evaluation import evaluate
from segkit.geometry import Triple
from segkit.registry import registries

CROP = Path(__file__).parents[1] / "data" / "fib25" / "fib25_crop.h5"
LENGTH: Triple = (64, 64, 64)
SHOWN = ("voi_split", "voi_merge", "adapted_rand_error", "adapted_rand_error_segmented", "coverage")


def unseen(which: str) -> list[segkit.Sample]:
    """Return samples of a seed that no recipe has, or the slices that they leave out."""
    datasets = registries["datasets"]
    if which == "synthetic":
        return list(
            datasets["synthetic_neurons"](shape=LENGTH, count=3, neurites=12, noise=0.02, mitochondria=False, seed=77)
        )
    options: dict[str, Any] = {"raw": f"{CROP}:raw", "labels": f"{CROP}:labels", "region": "z88:"}
    return list(datasets["files"](**options, voxel_size=(10.0, 10.0, 10.0)))


def segmented(model: str, sample: segkit.Sample) -> segkit.Volume:
    """Fill the image, or cut the boundaries that the model finds, as its task says."""
    found = segkit.Model.load(model)
    if getattr(found.task, "own_channels", 0):
        # A map that begins undecided lets training move early; filling is more careful.
        careful = {"move_threshold": 0.9, "segment_threshold": 0.8}
        return segkit.segment(sample.raw, "flood_fill", options={"model": model, "min_size": 300, **careful})
    return segkit.segment(found(sample.raw), "watershed", options={"threshold": 0.0, "neck": 1.0, "merge_below": 0.4})


if __name__ == "__main__":
    for sample in unseen(sys.argv[2]):
        assert sample.labels is not None
        scores = evaluate(segmented(sys.argv[1], sample), sample.labels, ignore_background=True).scores
        print(sample.name, *(f"{name} {scores[name]:.3f}" for name in SHOWN), sep="  ")
