"""What is learnt, and by which loss."""

from __future__ import annotations

import numpy as np

from segkit.errors import DataError
from segkit.geometry import Box
from segkit.planning._choices import Draft
from segkit.planning._facts import Facts
from segkit.planning._rules import RULES

__all__ = ["choose_loss", "choose_task"]

_TOUCHING = 0.02  # share of objects that may touch another one before they have to be told apart
_SPREAD = 12.0  # largest by smallest diameter (percentiles 95 and 5) of objects that have one radius
_SKEWED = 10.0  # most frequent by rarest class, above which classes are weighted


def choose_task(facts: Facts, draft: Draft) -> None:
    """Choose the task.

    Raises
    ------
    DataError
        If there are no labels.
    """
    labels = facts.fingerprint.labels
    if labels.kind == "none":
        raise DataError(
            "The images have no labels: there is nothing to learn from. Name them with --labels, or annotate a few in the viewer."
        )
    if labels.kind == "image":
        _choose_regression(facts, draft)
    elif labels.kind == "classes":
        _choose_classes(facts, draft)
    else:
        _choose_objects(facts, draft)


def _choose_regression(facts: Facts, draft: Draft) -> None:
    centre, scale, channels = _values_of_labels(facts)
    draft.choose("task.name", "regression", "The labels are an image, not ids: the network learns to restore it.")
    if channels > 1:
        draft.choose("task.channels", channels, "So many channels have the labels.")
    draft.choose("task.centre", centre, "The mean of the labels, so that the network's outputs lie around 0.")
    draft.choose("task.scale", scale, "Their standard deviation, so that the network's outputs lie around -1 to 1.")


def _values_of_labels(facts: Facts) -> tuple[float, float, int]:
    """Return mean, standard deviation and channels of labels that are images, from the middle of up to 16 of them."""
    labels = [sample.labels for sample in facts.samples[:16] if sample.labels is not None]
    parts = []
    for volume in labels:
        shape = tuple(min(n, side) for n, side in zip(volume.spatial_shape, (32, 128, 128), strict=True))
        start = [(n - side) // 2 for n, side in zip(volume.spatial_shape, shape, strict=True)]
        parts.append(volume.read(Box.of_shape(shape, start)).ravel().astype(np.float64))
    values = np.concatenate(parts)
    values = values[np.isfinite(values)]
    if not values.size or values.std() == 0:
        raise DataError(f"The labels {labels[0].source} are the same everywhere. Check that the right file is named.")
    return float(f"{values.mean():.4g}"), float(f"{values.std():.4g}"), labels[0].channels


def _choose_classes(facts: Facts, draft: Draft) -> None:
    labels = facts.fingerprint.labels
    ids = [count.id for count in labels.classes]
    foreground = [number for number in ids if number != 0]
    if len(foreground) <= 1:
        only = f"the id {foreground[0]}" if foreground else "nothing"
        draft.choose("task.name", "semantic", f"Besides background the labels hold {only}: foreground or not.")
        return
    draft.choose("task.name", "semantic", f"The labels hold {labels.ids} classes whose ids recur in many pieces.")
    without = "" if 0 in ids else " The id 0 never occurs where labels are known, so there is no background class."
    draft.choose("task.classes", len(ids), f"So many ids are in the labels.{without}")
    if ids != list(range(len(ids))):
        draft.choose("task.class_ids", ids, "They are not 0, 1, 2 and so on.")


def _choose_objects(facts: Facts, draft: Draft) -> None:
    labels = facts.fingerprint.labels
    touching = f"{labels.touching:.0%} of the objects touch another one"
    if labels.touching < _TOUCHING:
        draft.choose(
            "task.name", "semantic", f"{touching}: foreground and `components` are enough to tell objects apart."
        )
        return
    diameters = labels.object_diameter
    even = diameters is not None and diameters.p95 <= _SPREAD * max(diameters.p5, 1.0)
    if facts.compact and even:
        scale = max(2.0, float(round(facts.diameter / 2)))
        draft.choose(
            "task.name",
            "centre_offsets",
            f"{touching}, and they are round (they fill {facts.filled:.0%} of their bounding boxes): each voxel points to its "
            "centre. Cut the prediction with the segmenter `centres`.",
        )
        draft.choose("task.scale", scale, f"The radius of the larger objects, in voxels ({facts.diameter:.0f} across).")
        if draft.get("architecture.dimensions", "3d") == "2d":
            draft.choose("task.in_plane_only", True, "The network sees single planes.")
    elif draft.get("architecture.dimensions", "3d") == "2d":
        draft.choose(
            "task.name",
            "boundaries",
            f"{touching}, and they have no common shape: boundaries keep them apart. Cut the prediction with `watershed`.",
        )
    else:
        thick = facts.fingerprint.anisotropy >= 3
        draft.choose(
            "task.name",
            "affinities",
            f"{touching}, and they are thin or branched: affinities also keep apart what is thinner than a boundary. Cut the "
            "prediction with `agglomeration` or `mutex_watershed`.",
        )
        if thick:
            draft.choose(
                "task.offsets",
                "anisotropic",
                f"Voxels are {facts.fingerprint.anisotropy:.3g} times as long along z.",
            )
        if labels.positive > 0.97:
            draft.choose("task.foreground", False, f"{labels.positive:.0%} of the voxels belong to an object.")


def choose_loss(facts: Facts, draft: Draft) -> None:
    """Choose the losses of the task that was chosen."""
    task, labels = draft["task.name"], facts.fingerprint.labels
    if task == "regression":
        draft.choose("loss.mse", {}, "The labels are numbers; their mean is what the squared error learns.")
    elif task == "affinities":
        draft.choose("loss.dice", {}, "Pairs that belong apart are few, and Dice is about them.")
        draft.choose("loss.bce", {}, "Steadies Dice, whose gradient is faint where a patch holds few such pairs.")
    elif task in ("boundaries", "centre_offsets"):
        draft.choose("loss.bce", {}, "Judges each voxel, so that its gradient is steady.")
        draft.choose("loss.dice", {}, "Judges the overlap as a whole, however small the share of what is looked for.")
    elif draft.get("task.classes", 2) > 2:
        _choose_class_loss(facts, draft)
    else:
        share = f"{labels.positive:.2%} of the labelled voxels are foreground"
        draft.choose(
            "loss.bce", {}, "Judges each voxel, so that its gradient is steady, also in patches without any object."
        )
        rule = f" The rule {RULES['dense_objects'].name} takes Dice, too." if facts.dense else ""
        draft.choose(
            "loss.dice", {}, f"{share}: Dice weighs foreground and background alike, whatever their shares.{rule}"
        )


def _choose_class_loss(facts: Facts, draft: Draft) -> None:
    counts = [count.voxels for count in facts.fingerprint.labels.classes]
    ratio = max(counts) / max(1, min(counts))
    if ratio < _SKEWED:
        draft.choose(
            "loss.cross_entropy", {}, f"The most frequent class has {ratio:.1f} times the voxels of the rarest."
        )
    else:
        draft.choose(
            "loss.cross_entropy",
            {"balance": 0.5},
            f"The most frequent class has {ratio:,.0f} times the voxels of the rarest: a class weighs by the root of its share, so that "
            "rare ones are learnt and frequent ones not forgotten.",
        )
    draft.choose("loss.dice", {}, "Each class counts alike in it, however rare.")
