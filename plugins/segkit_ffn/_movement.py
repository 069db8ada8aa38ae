"""How a field of view moves through an object: what training and flood filling have to agree on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from segkit.errors import UsageError
from segkit.geometry import Triple

__all__ = ["Movement", "logit"]


def logit(probability: float) -> float:
    """Return the logit of a probability between 0 and 1, both excluded."""
    return math.log(probability / (1 - probability))


@dataclass(frozen=True)
class Movement:
    """What a network is trained with, and filled with.

    Parameters
    ----------
    field_of_view
        Voxels (z, y, x) that the network sees at once; odd, so that there is one in the middle.
    deltas
        Steps (z, y, x) from one field of view to the next, in voxels.
    seed
        Probability with which the object map begins at the seed.
    pad
        Probability with which it begins everywhere else.
    move_threshold
        Least probability that the field of view moves to.

    Raises
    ------
    UsageError
        If a field of view is even, a step leads out of it, or the probabilities are out of order.
    """

    field_of_view: Triple
    deltas: Triple
    seed: float
    pad: float
    move_threshold: float

    def __post_init__(self) -> None:
        if not all(view % 2 for view in self.field_of_view):
            raise UsageError(
                f"`field_of_view` is {self.field_of_view}; it takes odd numbers of voxels, such as (33, 33, 33)."
            )
        if not all(0 <= delta <= view // 2 for delta, view in zip(self.deltas, self.field_of_view, strict=True)):
            raise UsageError(
                f"`deltas` is {self.deltas}, which leads out of the field of view {self.field_of_view}. Take at most half of it "
                "along each axis; a quarter is usual."
            )
        if not 0 < self.pad < self.move_threshold <= self.seed < 1:
            raise UsageError(
                f"`pad` ({self.pad}), `move_threshold` ({self.move_threshold}) and `seed` ({self.seed}) must rise in this order, "
                "between 0 and 1."
            )

    @property
    def radius(self) -> Triple:
        """Voxels (z, y, x) on either side of the middle of a field of view."""
        z, y, x = self.field_of_view
        return z // 2, y // 2, x // 2
