"""What a run held out, patch by patch: what is true there, what the nearest training slice shows, what the network says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segkit import Box, Model, Sample
from segkit.geometry import Lattice
from segkit.recipe import Recipe, load_recipe
from segkit.sampling import keep_decoded, split_samples

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class HeldOut:
    """One patch of a single slice that was not trained on.

    Parameters
    ----------
    place
        Where it lies in the stack.
    raw
        The image, ``(Y, X)``.
    target, mask
        What the task made of the labels ``(K, 1, Y, X)``, and where it is known.
    distance
        Slices to the nearest training slice of the same place.
    copied
        The target of that slice: what one has who has learnt nothing and copies the label next to it.
    predicted
        What the network says, activated; None for a recipe, which has no network.
    """

    place: Box
    raw: Array
    target: Array
    mask: Array
    distance: int
    copied: Array
    predicted: Array | None


def recipe_of(path: Path) -> Recipe:
    """Return the recipe of a run folder, or the recipe itself."""
    return load_recipe(path / "recipe.toml" if path.is_dir() else path)


def place_of(sample: Sample) -> Box:
    """Return where a sample lies in the image that it was cut from."""
    raw = sample.raw
    start = (round(o / v) for o, v in zip(raw.offset, raw.voxel_size, strict=True))
    return Box.of_shape(raw.spatial_shape, tuple(start))


def held_out(path: Path) -> Iterator[HeldOut]:
    """Yield the validation patches of a run, or of a recipe."""
    recipe = recipe_of(path)
    shape = recipe.sampling.patch_shape
    samples, _ = keep_decoded(list(recipe.dataset.build("datasets")), recipe.sampling.memory * 2**20)
    train, held = split_samples(samples, recipe.split, shape)
    trained = [(place_of(sample), sample) for sample in train]
    task = recipe.task.build("tasks")
    model = Model.load(path, device="cpu") if path.is_dir() else None
    for sample in held:
        # The same patches, without context around them, as validation scores.
        prediction = None if model is None else model(sample.raw, block_shape=shape, halo=(0, 0, 0), threads=1)
        for box in Lattice(sample.raw.box, (1, *shape[1:])):
            patch = sample.read(box)
            target, mask = task.target(patch)
            place = box.shift(place_of(sample).start)
            distance, nearest, at = _nearest(place, trained)
            copied, _ = task.target(nearest.read(at))
            yield HeldOut(
                place,
                np.asarray(patch.raw[0, 0]),
                target,
                np.broadcast_to(mask, target.shape),
                distance,
                copied,
                None if prediction is None else prediction.read(box),
            )


def _nearest(place: Box, trained: Sequence[tuple[Box, Sample]]) -> tuple[int, Sample, Box]:
    """Return the distance to the nearest training slice at the same place, its sample and the region there."""
    best: tuple[int, Sample, Box] | None = None
    (z, *corner), (_, *far) = place.start, place.stop
    for box, sample in trained:
        if any(c < a or f > b for c, f, a, b in zip(corner, far, box.start[1:], box.stop[1:], strict=True)):
            continue
        other = min(max(z, box.start[0]), box.stop[0] - 1)
        if best is None or abs(other - z) < best[0]:
            moved = place.shift((other - z, 0, 0))
            best = abs(other - z), sample, moved.shift(tuple(-start for start in box.start))
    if best is None:
        raise SystemExit(f"No training slice covers the place of {place}.")
    return best
