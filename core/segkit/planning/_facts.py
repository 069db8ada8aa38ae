"""What choices are made from: the fingerprint, read with a few questions in mind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal

from segkit.analysis import Fingerprint
from segkit.contracts import Sample
from segkit.planning._rules import RULES

__all__ = ["Facts", "Modality"]

Modality = Literal["electrons", "fluorescence", "bands", "other"]

_DECIMETRE = 1e8  # nm: what has such voxels was seen from the air


@dataclass(frozen=True)
class Facts:
    """What is known before anything is chosen.

    Parameters
    ----------
    fingerprint
        What images and labels are like.
    samples
        The images.
    gpu
        Whether a GPU trains.
    minutes
        How long the training may take.
    """

    fingerprint: Fingerprint
    samples: Sequence[Sample]
    gpu: bool
    minutes: float

    @property
    def planar(self) -> bool:
        """Whether all images are single planes."""
        return self.fingerprint.planar

    @property
    def partial(self) -> bool:
        """Whether most voxels are not annotated, so that the size of annotated pieces says nothing of objects."""
        return self.fingerprint.labels.labelled < 0.5

    @cached_property
    def diameter(self) -> float:
        """Diameter of the larger objects in voxels (the upper quartile, since labels often hold crumbs); 0 for unknown."""
        found = self.fingerprint.labels.object_diameter
        return 0.0 if found is None or self.partial else found.p75

    @cached_property
    def filled(self) -> float:
        """Share of its bounding box that a larger object fills: 0.79 for a disc, 0.52 for a ball; 0 for unknown."""
        labels = self.fingerprint.labels
        if labels.object_extent is None or labels.object_voxels is None:
            return 0.0
        return labels.object_voxels.p75 / max(1.0, prod(axis.p75 for axis in labels.object_extent))

    @property
    def compact(self) -> bool:
        """Whether objects are round or nearly so."""
        return self.filled >= (0.55 if self.planar else 0.3)

    @property
    def objects(self) -> float:
        """Mean number of objects in an image; 0 for unknown."""
        found = self.fingerprint.labels.objects
        return 0.0 if found is None else found.mean

    @property
    def dense(self) -> bool:
        """Whether the rule `dense_objects` fires: its images are single planes, in which objects can be counted."""
        labels = self.fingerprint.labels
        known = labels.kind in ("classes", "objects") and not self.partial
        return self.planar and known and self.objects > RULES["dense_objects"].above

    @property
    def middle(self) -> float:
        """Where the median value lies between percentiles 0.5 and 99.5 of the first channel, 0..1."""
        channel = self.fingerprint.intensity[0]
        return (channel.median - channel.p0_5) / max(channel.p99_5 - channel.p0_5, 1e-12)

    @cached_property
    def modality(self) -> Modality:
        """What the image looks like: dark with bright objects is fluorescence, grey throughout an electron micrograph."""
        size = self.fingerprint.voxel_size
        if self.fingerprint.channels >= 4 or (size is not None and min(size) >= _DECIMETRE):
            return "bands"
        if self.fingerprint.channels > 1:
            return "other"
        grey = 0.3 if self.fingerprint.dtype == "uint8" else 0.4
        return "electrons" if self.middle >= grey else "fluorescence"

    @property
    def smallest(self) -> tuple[int, int, int]:
        """The smallest extent of an image along each axis, in voxels."""
        return self.fingerprint.shape[0]
