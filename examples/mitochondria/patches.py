"""Draw the best and the worst held-out patches of a run.

    python patches.py RUN PICTURE.png

Patches with less than one per cent of positive voxels are left out: there, a few voxels decide the score.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from compare import jaccard
from held_out import Array, HeldOut, held_out

from segkit.durable import replace_file

EACH = 2  # best and worst ones


def coloured(patch: HeldOut, found: Array) -> Array:
    """Return the image in grey: what was found rightly in green, what was not found in blue, what is not there in red."""
    low, high = np.percentile(patch.raw, [0.5, 99.5])
    grey = ((patch.raw - low) / max(high - low, 1e-9)).clip(0, 1)[..., None].repeat(3, axis=2)
    truth, claimed = patch.target[0, 0] > 0.5, found[0, 0] > 0.5
    for where, colour in (
        (truth & claimed, (0.1, 0.8, 0.2)),
        (truth & ~claimed, (0.1, 0.4, 1)),
        (claimed & ~truth, (1, 0.1, 0.1)),
    ):
        grey[where] = 0.5 * grey[where] + 0.5 * np.array(colour)
    return grey


def main(run: Path, picture: Path) -> None:
    """Draw."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    scored = []
    for patch in held_out(run):
        if patch.predicted is not None and patch.target.mean() >= 0.01:
            scored.append((jaccard([(patch.predicted, patch)]), str(patch.place), patch, patch.predicted))
    scored.sort(key=lambda entry: entry[:2])
    columns = [*scored[: -EACH - 1 : -1], *scored[:EACH]]
    figure = Figure(figsize=(2.6 * len(columns), 5.5), dpi=60)
    FigureCanvasAgg(figure)
    for column, (score, place, patch, found) in enumerate(columns):
        for row, shown in enumerate((patch.raw, coloured(patch, found))):
            axes = figure.add_axes((column / len(columns) + 0.003, 0.48 - row * 0.475, 1 / len(columns) - 0.006, 0.465))
            axes.imshow(shown, cmap="gray", interpolation="nearest")
            axes.set_axis_off()
        z = place.partition(":")[0]
        axes.text(
            0.02,
            2.1,
            f"{'best' if column < EACH else 'worst'}: {score:.3f}  ({z})",
            transform=axes.transAxes,
            fontsize=9,
        )
    replace_file(picture, lambda path: figure.savefig(path, format="png"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
