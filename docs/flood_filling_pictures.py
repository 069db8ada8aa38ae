"""Draw how a flood-filling network follows one object: the pictures of the page on flood filling.

    python docs/flood_filling_pictures.py MODEL docs/images/flood_filling.png

MODEL is a model of the task `flood_filling` for voxels of 10 nm, such as the network published for FIB-25, imported with
`segkit convert`. The image is that of examples/data/fib25.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from segkit import Model, open_volume

Array = np.ndarray[Any, Any]

DATA = Path(__file__).parents[1] / "examples" / "data" / "fib25" / "fib25_crop.h5"
CHOSEN = 16  # of the seeds, by their distance from edges
DEPTH = 80
SHOWN = (1, 5, 20, 50)  # after so many fields of view


def follow(model: Model, image: Array, seed: tuple[int, int, int]) -> list[tuple[int, Array, Any]]:
    """Return for each moment of `SHOWN` the fields of view so far, the map, and the last view."""
    from segkit_ffn._following import Following
    from segkit_ffn._stepping import Step

    step = Step(model.network, "auto")
    shape = image.shape[1:]
    following = Following(
        model.task.movement, seed, np.full(shape, np.nan, np.float32), np.zeros(shape, bool), skip=0.15
    )
    moments = []
    last = None
    while positions := following.positions(1, model.task.movement.field_of_view):
        view = following.view(positions[0])
        last = view
        maps = np.nan_to_num(following.logits[view.slices], nan=float(np.log(0.05 / 0.95)))
        following.absorb(positions[0], step(image[(slice(None), *view.slices)][None], maps[None])[0])
        if following.steps in SHOWN:
            moments.append((following.steps, following.logits.copy(), last))
    moments.append((following.steps, following.logits.copy(), None))
    return moments


def main(model_path: str, target: str) -> None:
    """Draw the picture."""
    import matplotlib.pyplot as plt
    import torch

    from segkit_ffn._seeds import edges, peaks

    torch.set_num_threads(1)
    model = Model.load(model_path, device="cpu")
    raw = open_volume(f"{DATA}:raw").read()[:DEPTH]
    image = model.normalization(raw[None])
    seeds = peaks(edges(raw[None], (10, 10, 10)), (10.0, 10.0, 10.0), model.task.movement.radius)
    inside = [s for s in seeds if all(30 <= p < n - 30 for p, n in zip(s, raw.shape, strict=True))]
    z, y, x = (int(p) for p in inside[CHOSEN])
    best, plane = follow(model, image, (z, y, x)), z
    figure, axes = plt.subplots(1, len(best), figsize=(2.6 * len(best), 2.9), constrained_layout=True)
    for axis, (steps, logits, view) in zip(axes, best, strict=True):
        axis.imshow(raw[plane], cmap="gray", vmin=60, vmax=220)
        seen = logits[plane]
        colour = np.ma.masked_invalid(1 / (1 + np.exp(-seen)))
        axis.imshow(colour, cmap="viridis", vmin=0, vmax=1, alpha=0.45)
        if np.isfinite(seen).any() and np.nanmax(seen) > 0.4:
            axis.contour(np.nan_to_num(seen, nan=-9), [0.4], colors="orange", linewidths=1.2)
        if view is not None and view.start[0] <= plane < view.stop[0]:
            (top, left), (height, width) = view.start[1:], view.shape[1:]
            axis.add_patch(
                plt.Rectangle((left, top), width - 1, height - 1, fill=False, edgecolor="white", linewidth=1.2)
            )
        axis.set_title(f"{steps} fields of view" if steps > 1 else "1 field of view", fontsize=9)
        axis.set_axis_off()
    figure.savefig(target, dpi=130)


if __name__ == "__main__":
    main(*sys.argv[1:3])
