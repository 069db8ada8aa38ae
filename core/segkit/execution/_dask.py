"""Work on a dask cluster: batches go out as tasks of its scheduler, and come back as they finish."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from segkit.errors import IncompleteError, UsageError
from segkit.execution._failure import Failure
from segkit.execution._ledger import Deal, Pool, Returned
from segkit.execution._worker import Unfit, keep, pack, work

__all__ = ["DaskPool"]

_SMALL = 1 << 16  # bytes that may go along with every batch
_MOST = 1 << 30
_LOOK_EVERY = 2.0  # seconds
_PATIENCE = 300.0  # seconds without any worker


class DaskPool(Pool):
    """The workers of a cluster, each with one batch at a time and one that waits.

    Parameters
    ----------
    client
        The connection to the scheduler.
    task
        What is done with an index.
    threads
        Threads of torch for one index; 0 leaves them as they are.
    waits
        Whether workers may come at any time, as jobs in a queue do; otherwise it is an error when there are none for
        long.
    """

    batches = True

    def __init__(self, client: Any, task: Callable[[int], Any], threads: int, *, waits: bool) -> None:
        self._client, self._threads, self._waits = client, threads, waits
        try:
            self._packed, self._name = pack(task)
        except Exception as error:  # pickling runs code of whatever the task holds
            raise UsageError(
                f"The work cannot be sent to the workers of a cluster: {Failure.of(error).reason}. Write what it reads as a "
                "file first ('segkit convert'), or work without a cluster."
            ) from error
        if len(self._packed) > _MOST:
            raise UsageError(
                f"The work holds {len(self._packed) / 2**30:.1f} GiB, which every worker would have to be sent. Write the volume "
                "as a file first ('segkit convert') and open that."
            )
        self._shared: Any = None
        self._out: dict[Any, Deal] = {}
        self._sent_to: dict[Any, frozenset[str]] = {}
        self._done: SimpleQueue[Any] = SimpleQueue()
        self._workers: dict[str, int] = {}
        self._looked = -_LOOK_EVERY

    @property
    def slots(self) -> int:
        """Two for each thread of a worker, so that none waits for us; what waits at one that dies is tried again."""
        return max(1, 2 * sum(self._present().values()))

    def _present(self) -> dict[str, int]:
        """Return the workers there are, with their threads, as of a moment ago."""
        if monotonic() - self._looked > _LOOK_EVERY:
            self._workers, self._looked = self._client.nthreads(), monotonic()
            # What waits for a worker that is gone would wait for ever.
            for future, wanted in list(self._sent_to.items()):
                if not wanted & self._workers.keys():
                    deal = self._out.pop(future)
                    del self._sent_to[future]
                    self._client.cancel([future])
                    self._submit(deal, frozenset())
        return self._workers

    def submit(self, deal: Deal) -> None:
        """Hand a batch to the scheduler."""
        self._submit(deal, frozenset(self._present()) - deal.avoid if deal.avoid else frozenset())

    def _submit(self, deal: Deal, others: frozenset[str]) -> None:
        where = {"workers": list(others), "allow_other_workers": True} if others else {}
        future = self._client.submit(
            work, self._payload(), self._name, deal.indices, self._threads, pure=False, retries=0, **where
        )
        self._out[future] = deal
        if others:
            self._sent_to[future] = others
        future.add_done_callback(self._done.put)

    def _payload(self) -> Any:
        """Return the task as bytes, or as something of the scheduler's that workers pass on to each other."""
        if len(self._packed) <= _SMALL:
            return self._packed
        if self._shared is None or self._shared.status in ("error", "lost", "cancelled"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it is large, and sent once
                self._shared = self._client.submit(keep, self._packed, pure=False)
        return self._shared

    def finished(self) -> Iterable[Returned]:
        """Wait for any batch."""
        alone = monotonic()
        while True:
            try:
                future = self._done.get(timeout=_LOOK_EVERY)
                if future in self._out:  # and was not handed out anew
                    return [self._returned(future)]
            except Empty:
                if self._present() or self._waits:
                    alone = monotonic()
                elif monotonic() - alone > _PATIENCE:
                    raise IncompleteError(
                        f"The cluster has had no worker for {_PATIENCE:.0f} seconds. What is done is kept: start workers, then run "
                        "the same again."
                    ) from None

    def _returned(self, future: Any) -> Returned:
        from distributed import KilledWorker

        deal = self._out.pop(future)
        self._sent_to.pop(future, None)
        try:
            returned: Returned = future.result()
        except KilledWorker as error:
            worker = str(error.last_worker.address)
            failure = Failure(f"the worker {worker} died over it (killed, or out of memory)")
            return Returned(tuple((index, failure) for index in deal.indices), worker=worker, died=True)
        except CancelledError as error:
            raise IncompleteError(
                "The cluster's scheduler is gone or was told to stop. What is done is kept: start it, then run the same again."
            ) from error
        except Exception as error:  # such as a result that cannot be sent
            return Returned(tuple((index, Failure.of(error)) for index in deal.indices))
        for _, outcome in returned.outcomes:
            if isinstance(outcome, Failure) and isinstance(outcome.error, Unfit):
                raise UsageError(f"{outcome.reason}. Give the workers the same environment and files as this machine.")
        return returned

    def close(self) -> None:
        """Take back what has not begun; a batch that has takes about a second, and nobody waits for it."""
        with suppress(Exception):  # the scheduler may be gone, which is why this is called
            self._client.cancel([*self._out, *([self._shared] if self._shared is not None else [])], force=True)
        self._out.clear()
        self._sent_to.clear()
