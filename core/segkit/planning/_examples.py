"""Which patches are drawn, how they are varied, and which part of the data is held out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from segkit.planning._choices import Draft
from segkit.planning._facts import Facts
from segkit.planning._rules import RULES

__all__ = ["choose_augmentation", "choose_patches", "choose_split"]

_MANY = 5  # images, of which whole ones can be held out
_VARIED = 0.25  # standard deviation by mean of object counts
_FEW_VOXELS = 2**26
_OUTLYING = 10.0  # standard deviations
# What comes before the last number of a name: the scene, slab or plate that several images are of.
_SCENES = (r"^(.+)[_-]\d+(?:\.\w+)*$", r"^([^_]+)_")


def choose_patches(facts: Facts, draft: Draft) -> None:
    """Choose where patches are placed and how values are scaled."""
    found, task = facts.fingerprint, draft["task.name"]
    share = found.labels.positive
    percent = f"{share:.0%}" if share > 0.1 else f"{100 * share:.2g} %"
    if task == "regression":
        draft.choose("sampling.foreground", 0.0, "Every voxel counts alike.")
    elif draft.get("task.classes", 2) > 2:
        every = share > 0.97
        draft.choose("sampling.balance", "classes", "Rare classes are drawn as often as frequent ones.")
        draft.choose(
            "sampling.foreground",
            1.0 if every else 0.7,
            "Every known voxel belongs to a class: all patches are aimed."
            if every
            else f"{percent} of the known voxels belong to a class other than background, the rest is seen as well.",
        )
    elif share > 0.9:
        draft.choose("sampling.foreground", 0.0, f"{percent} of the voxels are foreground: it is found anywhere.")
    elif share > 0.02:
        draft.choose("sampling.foreground", 0.5, f"{percent} is foreground: half of the patches are placed on it.")
    else:
        draft.choose("sampling.foreground", 0.75, f"Only {percent} is foreground: most patches are placed on it.")
    _choose_normalization(facts, draft)
    bad = max(channel.not_finite for channel in found.intensity)
    if bad > 0:
        draft.choose("sampling.non_finite", "mask", f"{bad:.2g} of the voxels are NaN or infinite: they are left out.")


def _choose_normalization(facts: Facts, draft: Draft) -> None:
    found = facts.fingerprint
    outlying = max((channel.maximum - channel.mean) / channel.sd for channel in found.intensity)
    if facts.modality == "bands" and outlying > _OUTLYING:
        draft.choose(
            "sampling.normalization",
            "asinh",
            f"The brightest voxel is {outlying:.0f} standard deviations above the mean: clouds and the like would leave no contrast to "
            "the rest.",
        )
        return
    spread = ", ".join(f"{c.mean:.3g} ± {c.sd:.2g}" for c in found.intensity[:4])
    more = "" if found.channels <= 4 else ", ..."
    draft.choose("sampling.normalization", "zscore", f"Channels have the values {spread}{more}; networks want 0 ± 1.")


def choose_augmentation(facts: Facts, draft: Draft) -> None:
    """Choose augmentations that make images such as might have been taken."""
    found, flat = facts.fingerprint, draft["architecture.dimensions"] == "2d"
    _, y, x = draft["sampling.patch_shape"]
    draft.choose("augmentation.flips", {}, "No side of the images is special.")
    if y == x:
        cube = not flat and len(set(draft["sampling.patch_shape"])) == 1 and 0.8 < found.anisotropy < 1.25
        draft.choose(
            "augmentation.quarter_turns",
            {"axes": "all"} if cube and found.voxel_size else {},
            "Nor is a direction, and voxels are cubes."
            if cube and found.voxel_size
            else "Nor is a direction in the plane.",
        )
    if draft["task.name"] == "regression":
        return  # brightness, noise and blur of an image that is to be restored are what is learnt
    if facts.modality == "bands":
        draft.choose(
            "augmentation.intensity",
            {"brightness": 0.1, "contrast": 0.1, "gamma": 0.0, "noise": 0.05},
            "Bands are calibrated: what they mean lies in their ratios, so they change little and together.",
        )
    elif facts.modality == "fluorescence":
        draft.choose(
            "augmentation.intensity",
            {"brightness": 0.1, "contrast": 0.3, "gamma": 0.3, "noise": 0.05, "shot": 0.1},
            f"Bright on dark (the median at {facts.middle:.0%} of the range): staining and exposure differ, and noise grows with the "
            "light.",
        )
        draft.choose("augmentation.blur", {"sigma": 1.0, "probability": 0.2}, "Focus differs from image to image.")
    else:
        draft.choose(
            "augmentation.intensity",
            {},
            f"Grey throughout (the median at {facts.middle:.0%} of the range): contrast and noise differ along a stack.",
        )
        if not flat and found.anisotropy >= 3:
            draft.choose("augmentation.slices", {}, "Sections this thick are cut one by one, with faults of their own.")
    if found.voxels * found.labels.labelled < _FEW_VOXELS and found.labels.kind == "objects" and not facts.planar:
        draft.choose(
            "augmentation.deform",
            {"probability": 0.3},
            f"There are few labels ({found.voxels * found.labels.labelled:,.0f} voxels), and tissue bends.",
        )


def choose_split(facts: Facts, draft: Draft) -> None:
    """Choose which part validation uses."""
    found = facts.fingerprint
    if found.samples < _MANY:
        gap = _gap(facts, draft["sampling.patch_shape"])
        draft.choose(
            "split.by",
            "end",
            f"{'The only image is' if found.samples == 1 else 'The few images are'} cut: neighbouring patches look alike, so that "
            "validation needs a part of its own.",
        )
        if gap:
            draft.choose(
                "split.gap",
                gap,
                "Voxels next to the cut are in neither part: what lies there looks like what is behind the cut.",
            )
        return
    scenes = _scenes([sample.name for sample in facts.samples])
    if scenes is not None:
        pattern, count = scenes
        draft.choose(
            "split.by", "groups", f"The names tell {count} scenes apart; images of one scene are too much alike."
        )
        draft.choose("split.groups", pattern, "What comes before the last number of a name.")
        return
    objects = found.labels.objects
    if objects is not None and not facts.partial and objects.sd > _VARIED * objects.mean and objects.count >= 10:
        fired = f" The rule {RULES['dense_objects'].name} does so, too." if facts.dense else ""
        draft.choose(
            "split.by",
            "density",
            f"Images hold {objects.minimum:.0f} to {objects.maximum:.0f} objects: validation gets sparse and dense ones alike.{fired}",
        )
    else:
        draft.choose("split.by", "random", "Images are by themselves and much alike.")


def _gap(facts: Facts, patch: Sequence[int]) -> int:
    """Return half an object, where the image is long enough for a patch on both sides of it."""
    shape = facts.smallest
    axis = max(range(3), key=lambda a: shape[a] / patch[a])
    cut = shape[axis] - max(patch[axis], round(0.15 * shape[axis]))
    wanted = min(64, round(facts.diameter / 2)) if facts.diameter else 8
    return max(0, min(wanted, cut - 2 * patch[axis]))


def _scenes(names: Sequence[str]) -> tuple[str, int] | None:
    """Return the expression that finds groups in all names, several images in most of them, and how many there are."""
    for pattern in _SCENES:
        found = [re.search(pattern, name) for name in names]
        groups = {match[1] for match in found if match is not None}
        if all(found) and 3 <= len(groups) <= len(names) / 2:
            return pattern, len(groups)
    return None
