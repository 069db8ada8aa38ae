"""`run`: a callable over many indices, on threads or on a cluster, with tries, and results as they come."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

from segkit.errors import StorageError, UsageError
from segkit.execution._connection import Cluster, connected
from segkit.execution._failure import Failure
from segkit.execution._ledger import Ledger, Pool
from segkit.execution._threads import Here, Threads

__all__ = ["run"]

R = TypeVar("R")

_SECONDS = 1.0  # of work in a batch: long against the milliseconds that a cluster needs to hand it out
_MOST = 64
_AHEAD = 4  # results in order wait for the oldest one; so many batches a worker may be ahead of it


def run(
    task: Callable[[int], R],
    indices: Iterable[int],
    *,
    cluster: Cluster | str | None = None,
    workers: int | None = None,
    tries: int = 3,
    batch: int = 1,
    ordered: bool = False,
    fatal: tuple[type[Exception], ...] = (StorageError, MemoryError),
) -> Iterator[tuple[int, R | Failure]]:
    """Do the same with many indices, and yield each index with its result as it comes.

    An index that fails is tried again, on a cluster by other workers, while the others go on; so is one whose worker
    died. What fails for good is yielded as a `Failure`. Only so many indices are out at once as there are workers for, so
    memory depends on the size of a result, not on their number. Closing the iterator drops what is out.

    Parameters
    ----------
    task
        What is done with an index. It may be done more than once with the same one, and on a cluster in another process:
        it is then pickled, sent to each worker once, and returns something that can be pickled. If it has a method
        ``many``, that is given the indices of a batch on a worker, and yields each with its result or `Failure`.
    indices
        What is to be done.
    cluster
        Where to work, as text (see `ClusterSpec.parse`) or connected already; None for threads of this process.
    workers
        Number of threads (with 1 it is the calling one), or of processes or jobs of a cluster that is started here; None takes what the cluster says,
        and up to 4 threads.
    tries
        How often an index may fail.
    batch
        How many neighbouring indices a cluster is best given together, where they share work. Batches grow by themselves
        until they take about a second.
    ordered
        Whether results are yielded in the order of `indices`. One that fails is then tried again at once.
    fatal
        Errors of a task after which nothing else is worth trying: they are raised.

    Raises
    ------
    UsageError
        If the cluster cannot be used, or the task cannot be sent to it.
    IncompleteError
        If the cluster is gone.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"`workers` is {workers}; it takes a number of at least 1.")
    todo = list(indices)
    with ExitStack() as stack:
        connection = stack.enter_context(connected(cluster, workers))
        if not todo:
            return
        threads = min(workers or threads_here(), len(todo))
        pool: Pool
        if connection is not None:
            pool = connection.pool(task)
        else:
            pool = Here(task) if threads == 1 else Threads(task, threads)
        stack.callback(pool.close)
        yield from _work(pool, todo, tries, batch, ordered, fatal)


def threads_here() -> int:
    """Return how many threads do the work where nobody said."""
    return max(1, min(4, os.cpu_count() or 1))


def _work(
    pool: Pool, todo: list[int], tries: int, batch: int, ordered: bool, fatal: tuple[type[Exception], ...]
) -> Iterator[tuple[int, Any]]:
    ledger = Ledger(todo, tries, urgent=ordered)
    ready: dict[int, Any] = {}
    oldest = out = held = 0  # place of the next to be yielded in order; deals and indices that are out
    pace = 0.0  # seconds an index takes
    while ledger or out:
        while out < pool.slots:
            slots = pool.slots
            size = _size(pace, len(ledger.fresh) // (2 * slots), batch) if pool.batches else 1
            room = _AHEAD * slots * size - held - len(ready) if ordered else len(todo)
            deal = ledger.deal(size, room, out)
            if deal is None:
                break
            pool.submit(deal)
            out, held = out + 1, held + len(deal.indices)
        for returned in pool.finished():
            out, held = out - 1, held - len(returned.outcomes)
            for _, outcome in returned.outcomes:
                if isinstance(outcome, Failure) and isinstance(outcome.error, fatal):
                    raise outcome.error
            if returned.seconds:
                each = returned.seconds / len(returned.outcomes)
                pace = each if not pace else 0.7 * pace + 0.3 * each
            ledger.settle(returned, ready.__setitem__)
        if not ordered:
            yield from ready.items()
            ready.clear()
        while ordered and oldest < len(todo) and todo[oldest] in ready:
            yield todo[oldest], ready.pop(todo[oldest])
            oldest += 1


def _size(pace: float, share: int, batch: int) -> int:
    """Return how many indices to hand out together, in whole batches.

    Towards the end (when `share`, half of a worker's part of the rest, is small) there are fewer, so that no worker is
    left with many while others have none.
    """
    wanted = min(_MOST, round(_SECONDS / pace), share) if pace else 1
    return max(1, -(-wanted // batch)) * batch
