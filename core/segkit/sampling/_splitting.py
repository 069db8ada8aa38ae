"""Which part of the data validation uses: a far end of each image, or whole images."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from segkit.addressing import rng
from segkit.contracts import Sample
from segkit.errors import DataError, UsageError
from segkit.geometry import Box, Triple
from segkit.recipe import Split

__all__ = ["count_objects", "group_of", "split_samples"]

_MANY = 5  # so many images are held out as a whole
_LARGEST = 2**28  # voxels of labels that are read at once to count objects

Parts = tuple[list[Sample], list[Sample]]


def split_samples(samples: Sequence[Sample], split: Split, patch_shape: Triple) -> Parts:
    """Return what is trained on and what is held out, a pure function of the samples and the split.

    Parameters
    ----------
    samples
        All there is.
    split
        How to split it.
    patch_shape
        Shape of a training patch (z, y, x); both ends of a cut image hold at least one.

    Returns
    -------
    tuple of list of Sample
        What is trained on, and what is held out; a cut image is in both, under names that say where it was cut.

    Raises
    ------
    UsageError
        If there is too little to split, or `groups` finds no group in a name.
    DataError
        If objects are to be counted and there are no labels.
    """
    if split.share == 0:
        return list(samples), []
    whole = split.by in ("random", "density", "groups")
    if whole and split.gap:
        raise UsageError(
            f"`split.gap` is {split.gap} but `split.by` is '{split.by}', which holds out whole images and cuts none. Leave the "
            "gap out, or split by 'end'."
        )
    if not whole and not (split.by == "auto" and len(samples) >= _MANY):
        return _ends(samples, split, patch_shape)
    if len(samples) < 2:
        raise UsageError(
            f"`split.by` is '{split.by}', which holds out whole images, but there is only one. Split by 'end', or cut it into "
            "samples with the dataset's `tiles`."
        )
    count = min(max(1, round(split.share * len(samples))), len(samples) - 1)
    held = _HELD[split.by](samples, count, split)
    return [s for n, s in enumerate(samples) if n not in held], [s for n, s in enumerate(samples) if n in held]


def count_objects(sample: Sample) -> int:
    """Return how many objects a sample holds where its labels are known: ids, or connected regions of a single id.

    Raises
    ------
    DataError
        If there are no labels, or too many voxels for one count.
    """
    if sample.labels is None or sample.raw.box.size > _LARGEST:
        why = "it has no labels" if sample.labels is None else f"it has more than {_LARGEST:,} voxels"
        raise DataError(f"The objects of sample '{sample.name}' cannot be counted: {why}. Split by 'random' or 'end'.")
    import cc3d

    patch = sample.read(sample.raw.box)
    labels: np.ndarray[Any, Any] = patch.labels.reshape(-1, *patch.mask.shape)[0] * patch.mask
    ids = np.unique(labels)
    ids = ids[ids != 0]
    if len(ids) != 1:
        return len(ids)
    return int(cc3d.connected_components(labels != 0, return_N=True)[1])


def group_of(name: str, groups: str) -> str:
    """Return the group that a regular expression finds in the name of a sample.

    Raises
    ------
    UsageError
        If it is no regular expression, or finds nothing.
    """
    try:
        found = re.search(groups, name) if groups else None
    except re.error as error:
        raise UsageError(f"`split.groups` is {groups!r}, which is no regular expression: {error}.") from None
    if found is None:
        raise UsageError(
            f"`split.groups` is {groups!r}, which finds no group in the name '{name}'. Write a regular expression that fits "
            "every name, such as '^([^_]+)' for all before the first underscore."
        )
    return str(found[1] if found.re.groups else found[0])


def _spread(samples: Sequence[Sample], count: int, split: Split) -> set[int]:
    step = len(samples) / count
    return {int((number + 0.5) * step) for number in range(count)}


def _random(samples: Sequence[Sample], count: int, split: Split) -> set[int]:
    return {int(n) for n in rng(split.seed, 0, 0, "split").permutation(len(samples))[:count]}


def _by_density(samples: Sequence[Sample], count: int, split: Split) -> set[int]:
    """Draw one sample from each of `count` neighbourhoods in the order of object counts."""
    g = rng(split.seed, 0, 0, "split")
    counts = np.array([count_objects(sample) for sample in samples])
    order = np.lexsort((g.permutation(len(samples)), counts))
    edges = np.linspace(0, len(samples), count + 1).round().astype(int)
    return {int(g.choice(order[a:b])) for a, b in pairwise(edges)}


def _by_groups(samples: Sequence[Sample], count: int, split: Split) -> set[int]:
    """Hold out groups in random order, each that brings the number of samples closer to what was asked for."""
    members: dict[str, list[int]] = {}
    for number, sample in enumerate(samples):
        members.setdefault(group_of(sample.name, split.groups), []).append(number)
    if len(members) < 2:
        raise UsageError(
            f"`split.groups` is {split.groups!r}, which puts all {len(samples)} images into one group, '{next(iter(members))}'. "
            "Write one that tells groups apart, or split by 'random'."
        )
    names = sorted(members)
    held: list[int] = []
    shuffled = [names[n] for n in rng(split.seed, 0, 0, "split").permutation(len(names))]
    for name in shuffled[:-1]:
        if abs(len(held) + len(members[name]) - count) < abs(len(held) - count):
            held += members[name]
    return set(held or members[min(names, key=lambda name: len(members[name]))])


_HELD = {"auto": _spread, "random": _random, "density": _by_density, "groups": _by_groups}


def _ends(samples: Iterable[Sample], split: Split, patch: Triple) -> Parts:
    """Cut the far end off every sample, along the axis that has most patches; what cannot be cut is only trained on."""
    train: list[Sample] = []
    held_out: list[Sample] = []
    for sample in samples:
        shape = sample.raw.spatial_shape
        axis = max(range(3), key=lambda a: shape[a] / patch[a])
        cut = shape[axis] - max(patch[axis], round(split.share * shape[axis]))
        if cut - split.gap < patch[axis]:
            train.append(sample)
            continue
        stop, start = list(shape), [0, 0, 0]
        stop[axis], start[axis] = cut - split.gap, cut
        train.append(_crop(sample, Box((0, 0, 0), (stop[0], stop[1], stop[2]))))
        held_out.append(_crop(sample, Box((start[0], start[1], start[2]), shape)))
    if not held_out and (split.by == "end" or split.gap):
        raise UsageError(
            f"No image is long enough for a patch of {patch} voxels (z, y, x) on both sides of a cut with a gap of {split.gap}. "
            "Choose a smaller patch or gap, or split by 'random'."
        )
    return train, held_out


def _crop(sample: Sample, box: Box) -> Sample:
    others: Mapping[str, Any] = {w: v.crop(box) for w in ("labels", "mask") if (v := getattr(sample, w)) is not None}
    return replace(sample, name=f"{sample.name} [{box}]", raw=sample.raw.crop(box), **others)
