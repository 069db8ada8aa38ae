"""What tasks share whose network is called once on a patch and answers for every voxel of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from segkit.contracts import Batch, Loss, Patch, call_network
from segkit.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Dense", "ids_of", "is_object"]

Array = np.ndarray[Any, Any]


class Dense:
    """Calls the network once and compares all of its output."""

    def step(self, network: nn.Module, batch: Batch, loss: Loss) -> Tensor:
        """Return the loss of the network on a batch."""
        return loss(call_network(network, batch.raw), batch.target, batch.mask)


def is_object(labels: Array) -> Array:
    """Return where labels ``(Z, Y, X)`` or ``(1, Z, Y, X)`` are an object."""
    return np.asarray((labels[0] if labels.ndim == 4 else labels) != 0)


def ids_of(patch: Patch) -> Array:
    """Return the labels of a patch as whole numbers ``(Z, Y, X)``; those of unknown voxels mean nothing.

    Raises
    ------
    DataError
        If there are several channels, or a known label is not a whole number.
    """
    labels = patch.labels
    if labels.ndim == 4:
        if len(labels) != 1:
            raise DataError(
                f"{patch.origin}: the labels have {len(labels)} channels, and ids are a single one. Choose the channel that "
                "holds them, or the task 'regression' for an image."
            )
        labels = labels[0]
    if labels.dtype.kind == "b":
        return labels.astype(np.uint8)
    if labels.dtype.kind in "iu":
        return labels
    known = np.where(patch.mask, labels, 0)
    whole = np.isfinite(known) & (known == np.floor(known))
    if not whole.all():
        raise DataError(
            f"{patch.origin}: the labels hold {known[~whole][0]!s}, and ids are whole numbers. Convert them to an integer "
            "type, mark what is not annotated, or choose the task 'regression' for an image."
        )
    return known.astype(np.int64)
