"""Tell what a validation score is worth: both Jaccard indices of each run, and of copying the nearest label.

    python compare.py RUN_OR_RECIPE ... [--from-slice Z] [--picture gap.png]

For a recipe, which has no network, only what copying comes to is told. The picture shows scores over the distance to the
nearest training slice.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from held_out import Array, HeldOut, held_out, recipe_of

from segkit.durable import replace_file
from segkit.geometry import Lattice
from segkit.metrics import OverlapMetrics


def jaccard(pairs: list[tuple[Array, HeldOut]]) -> float:
    """Return the Jaccard index of thresholded predictions, over all voxels of all patches."""
    metrics = OverlapMetrics([str(n) for n in range(len(pairs[0][0]))])
    for found, patch in pairs:
        metrics.update(found[None].astype(np.float32), patch.target[None].astype(np.float32), patch.mask[None])
    return metrics.compute()["jaccard"]


def soft_jaccard(patches: list[HeldOut], batch: int) -> float:
    """Return the mean over batches of sum(p y) / (sum(p) + sum(y) - sum(p y)), p being probabilities.

    It is often published as a Jaccard index and is none: it depends on how sure the network is and on which patches happen
    to share a batch, and a batch without positive voxels counts 0 however right the network is.
    """
    values = []
    for first in range(0, len(patches), batch):
        some = patches[first : first + batch]
        p = np.concatenate(
            [patch.predicted[patch.mask != 0].astype(float) for patch in some if patch.predicted is not None]
        )
        y = np.concatenate([patch.target[patch.mask != 0].astype(float) for patch in some])
        values.append((p @ y) / max(p.sum() + y.sum() - p @ y, 1e-7))
    return float(np.mean(values))


def by_distance(pairs: list[tuple[Array, HeldOut]]) -> dict[int, float]:
    """Return the Jaccard index of the patches at each distance that has enough of them."""
    groups: dict[int, list[tuple[Array, HeldOut]]] = defaultdict(list)
    for pair in pairs:
        groups[pair[1].distance].append(pair)
    return {distance: jaccard(some) for distance, some in sorted(groups.items()) if len(some) >= 6}


def likeness(path: Path, longest: int = 45) -> dict[int, tuple[float, float]]:
    """Return what slices have in common at each distance: correlation of the images, Jaccard index of the targets."""
    recipe = recipe_of(path)
    stack = replace(recipe.dataset, options={**recipe.dataset.options, "tiles": None}).build("datasets")[0]
    task = recipe.task.build("tasks")
    depth, height, width = stack.raw.spatial_shape
    slices = []
    for box in Lattice(stack.raw.box, (1, height, width)):
        patch = stack.read(box)
        target, mask = task.target(patch)
        slices.append((patch.raw[..., ::2, ::2].astype(np.float32).ravel(), (target > 0.5) & (mask != 0)))
    found = {}
    for distance in range(1, min(longest, depth // 2)):
        pairs = list(zip(slices[:-distance], slices[distance:], strict=True))
        alike = float(np.mean([np.corrcoef(a[0], b[0])[0, 1] for a, b in pairs[::4]]))
        both = sum(np.count_nonzero(a[1] & b[1]) for a, b in pairs)
        either = sum(np.count_nonzero(a[1] | b[1]) for a, b in pairs)
        found[distance] = alike, both / either
    return found


def main() -> None:
    """Print the table, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--from-slice", type=int, default=0, help="score the held-out patches of this slice and later")
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    print(
        "| run | patches | slices to the nearest training slice: median, largest | copied label | network | product, all | product, batches of 1, 4, 16 |"
    )
    print("|---|---|---|---|---|---|---|")
    drawn: dict[str, dict[int, float]] = {}
    for path in arguments.paths:
        patches = [patch for patch in held_out(path) if patch.place.start[0] >= arguments.from_slice]
        distances = [patch.distance for patch in patches]
        cells = [path.name, str(len(patches)), f"{np.median(distances):g}, {max(distances)}"]
        cells.append(f"{jaccard([(patch.copied, patch) for patch in patches]):.4f}")
        pairs = [(patch.predicted, patch) for patch in patches if patch.predicted is not None]
        if pairs:
            cells.append(f"{jaccard(pairs):.4f}")
            cells.append(f"{soft_jaccard(patches, len(patches)):.4f}")
            cells.append(", ".join(f"{soft_jaccard(patches, batch):.4f}" for batch in (1, 4, 16)))
            drawn[path.name] = by_distance(pairs)
        print("| " + " | ".join(cells + ["-"] * (7 - len(cells))) + " |", flush=True)
    if arguments.picture is not None:
        draw(likeness(arguments.paths[0]), drawn, arguments.picture)


def draw(alike: dict[int, tuple[float, float]], runs: dict[str, dict[int, float]], picture: Path) -> None:
    """Draw scores over the distance to the nearest training slice."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot(list(alike), [both[1] for both in alike.values()], color="0.25", label="a label copied from there")
    axes.plot(list(alike), [both[0] for both in alike.values()], "--", color="0.6", label="correlation of the images")
    for name, scores in runs.items():
        axes.plot(list(scores), list(scores.values()), "o-", markersize=4, linewidth=0.7, label=name)
    axes.set(xlabel="slices to the nearest training slice", ylabel="Jaccard index", ylim=(0, 1), xlim=(0, None))
    axes.grid(alpha=0.3)
    figure.legend(frameon=False, fontsize=9, loc="outside right upper")
    replace_file(picture, lambda path: figure.savefig(path, format="png"))


if __name__ == "__main__":
    main()
