"""Work on all blocks, anywhere and in any order, whose results come in the order of the blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from segkit.errors import IncompleteError, SegkitError
from segkit.execution import Cluster, Failure, run
from segkit.segmentation._layout import Layout

__all__ = ["in_order"]

R = TypeVar("R")


def in_order(
    task: Callable[[int], R],
    indices: Iterable[int],
    layout: Layout,
    *,
    cluster: Cluster | str | None = None,
    workers: int | None = None,
) -> Iterator[R]:
    """Yield what a task makes of each block.

    Raises
    ------
    IncompleteError
        If a block cannot be worked on.
    """
    for index, result in run(task, indices, cluster=cluster, workers=workers, ordered=True):
        if isinstance(result, Failure):
            if isinstance(result.error, SegkitError):
                raise result.error
            raise IncompleteError(
                f"The objects of block {index} ({layout.lattice[index]}) could not be compared with those around it: "
                f"{result.reason}. Run the same again."
            ) from result.error
        yield result
