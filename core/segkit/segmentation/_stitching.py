"""From looks at blocks to the names of all objects."""

from __future__ import annotations

from collections.abc import Callable

from segkit.errors import IncompleteError, SegkitError
from segkit.execution import Cluster, Failure, run
from segkit.segmentation._merging import Found
from segkit.segmentation._seams import Look

__all__ = ["stitch"]


def stitch(
    look: Look,
    found: Found,
    tell: Callable[[], None],
    *,
    cluster: Cluster | str | None = None,
    workers: int | None = None,
) -> None:
    """Look at all blocks that have not been looked at yet, anywhere and in any order, and add them up in theirs.

    Raises
    ------
    IncompleteError
        If a block cannot be read.
    """
    left = range(found.blocks, len(look.layout.lattice))
    tell()
    for index, seen in run(look, left, cluster=cluster, workers=workers, ordered=True):
        if isinstance(seen, Failure):
            if isinstance(seen.error, SegkitError):
                raise seen.error
            raise IncompleteError(
                f"The objects of block {index} ({look.layout.lattice[index]}) could not be compared with those around it: "
                f"{seen.reason}. Run the same again."
            ) from seen.error
        found.add(*seen)
        tell()
