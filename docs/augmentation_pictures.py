"""Draw what every augmentation does to a real patch, for the manual.

    python docs/augmentation_pictures.py docs/images/augmentations.png

Each tile shows the image with the borders of its labels; what is masked out of the loss is darkened.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl  # noqa: TID253
import numpy as np

import segkit_augmentations as augmentations
from segkit import Box
from segkit.contracts import Normalization, Patch
from segkit.opening import open_volume

CROP = Path(__file__).parents[1] / "examples/data/fib25/fib25_crop.h5"
PLACE = Box.of_shape((40, 128, 128), (40, 32, 32))
THICK = 5  # how many sections make one of the thick ones of serial sectioning
OFF: dict[str, Any] = {"brightness": 0.0, "contrast": 0.0, "gamma": 0.0, "noise": 0.0}
RIGID: dict[str, Any] = {"rotation": 0.0, "scaling": 0.0, "shear": 0.0}
QUIET: dict[str, Any] = {"missing": 0.0, "contrast": 0.0, "defocus": 0.0, "jitter": 0.0, "slip": 0.0}
# Strong enough to be seen; the defaults are weaker. A seed that shows what is meant stands beside each.
SHOWN = {
    "as it is": (augmentations.flips(z=False, y=False, x=False), 0),
    "flips": (augmentations.flips(), 3),
    "quarter_turns": (augmentations.quarter_turns(), 1),
    "deform\nrotation=30": (augmentations.deform(rotation=30.0, displacement=0.0, scaling=0.0, probability=1.0), 17),
    "deform\nscaling=0.4": (augmentations.deform(**RIGID | {"scaling": 0.4}, displacement=0.0, probability=1.0), 3),
    "deform\ndisplacement=12": (augmentations.deform(**RIGID, displacement=12.0, probability=1.0), 21),
    "deform\nall by default": (augmentations.deform(probability=1.0), 2),
    "intensity\nbrightness=1": (augmentations.intensity(**OFF | {"brightness": 1.0}), 5),
    "intensity\ncontrast=0.7": (augmentations.intensity(**OFF | {"contrast": 0.7}), 3),
    "intensity\ngamma=1": (augmentations.intensity(**OFF | {"gamma": 1.0}), 0),
    "intensity\nnoise=0.7": (augmentations.intensity(**OFF | {"noise": 0.7}), 1),
    "intensity\nshot=1": (augmentations.intensity(**OFF, shot=1.0), 1),
    "blur\nsigma=3": (augmentations.blur(sigma=3.0, probability=1.0), 1),
    "low_resolution\nfactor=5": (augmentations.low_resolution(factor=5.0, probability=1.0), 1),
    "cutout\nboxes=8, size=0.5": (augmentations.cutout(boxes=8, size=0.5, probability=1.0), 4),
    "slices\nmissing=0.3": (augmentations.slices(**QUIET | {"missing": 0.3}), 0),
    "slices\njitter=0.4": (augmentations.slices(**QUIET | {"jitter": 0.4}, shift=16.0), 0),
    "slices\nslip=0.3": (augmentations.slices(**QUIET | {"slip": 0.3}, shift=30.0), 5),
    "slices\ncontrast=0.5": (augmentations.slices(**QUIET | {"contrast": 0.5}), 0),
    "slices\ndefocus=0.5": (augmentations.slices(**QUIET | {"defocus": 0.5}), 0),
}


def borders(ids: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return where a plane of ids has another one below or to the right."""
    found = np.zeros(ids.shape, bool)
    found[:-1] |= ids[1:] != ids[:-1]
    found[:, :-1] |= ids[:, 1:] != ids[:, :-1]
    return found


def tile(patch: Patch, along: str) -> np.ndarray[Any, Any]:
    """Return a picture of a patch, red, green and blue: its middle section, or a plane across all sections."""
    where = (slice(None), 64) if along == "z" else (len(patch.mask) // 2,)
    raw, labels, mask = patch.raw[0][where], patch.labels[where], patch.mask[where]
    if along == "z":  # sections are drawn as thick as they would be in a stack of thin ones
        raw, labels, mask = (plane.repeat(16, 0) for plane in (raw, labels, mask))
    grey = ((raw + 2.5) / 5).clip(0, 1)
    colour = np.stack([grey] * 3, -1)
    colour[borders(labels)] = 0.3 * colour[borders(labels)] + 0.7 * np.array([1.0, 0.75, 0.1])
    colour[~mask] *= 0.35
    return colour


def main(path: Path) -> None:
    """Draw all of them into one picture."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    image = open_volume(f"{CROP}:raw")
    labels = open_volume(f"{CROP}:labels").read(PLACE)
    raw = image.read(PLACE)[None]
    raw = Normalization((float(raw.mean()),), (float(raw.std()),))(raw)
    patch = Patch(raw, labels, np.ones(labels.shape, bool), image.voxel_size)
    thick = Patch(raw[:, ::THICK], labels[::THICK], patch.mask[::THICK], (50.0, 10.0, 10.0))
    figure, axes = plt.subplots(4, 5, figsize=(10, 9), layout="constrained")
    for axis, (name, (augment, seed)) in zip(axes.ravel(), SHOWN.items(), strict=True):
        along = "z" if name.startswith("slices") else "plane"
        result = augment(thick if along == "z" else patch, np.random.default_rng(seed))
        axis.imshow(tile(result, along), interpolation="nearest")
        axis.set_title(name, fontsize=9)
        axis.axis("off")
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
