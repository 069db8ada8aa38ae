"""Batches, read ahead by threads; who reads what, and when, changes nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np

from segkit.contracts import Batch
from segkit.sampling._sampler import Example

__all__ = ["load_batches", "stack"]

Place = TypeVar("Place")


def stack(examples: Sequence[Example]) -> Batch:
    """Return examples as one batch of torch tensors, on the CPU."""
    import torch

    def joined(arrays: list[np.ndarray]) -> torch.Tensor:
        return torch.from_numpy(np.stack(arrays))

    return Batch(
        joined([example.raw for example in examples]),
        joined([example.target for example in examples]),
        joined([example.mask.reshape(-1, *example.mask.shape[-3:]).astype(np.float32) for example in examples]),
        tuple(example.origin for example in examples),
    )


def load_batches(
    addresses: Iterable[Sequence[tuple[int, Place]]],
    read: Callable[[int, Place], Example],
    *,
    workers: int = 2,
    ahead: int = 4,
) -> Generator[Batch, None, None]:
    """Yield the batch for each group of addresses, in order, while threads read the next ones.

    Parameters
    ----------
    addresses
        For each batch the addresses of its patches, such as pairs of step and sample, or of sample and box.
    read
        Returns the patch at an address; called in threads.
    workers
        Number of threads. Threads, not processes: a process must not be forked once a store has been read.
    ahead
        Batches that are read ahead.
    """
    source = iter(addresses)
    with ThreadPoolExecutor(workers, thread_name_prefix="segkit-loader") as pool:
        waiting: deque[list[Future[Example]]] = deque()

        def submit(count: int) -> None:
            for group in islice(source, count):
                waiting.append([pool.submit(read, *address) for address in group])

        submit(ahead)
        try:
            while waiting:
                futures = waiting.popleft()
                batch = stack([future.result() for future in futures])
                submit(1)
                yield batch
        finally:
            for futures in waiting:
                for future in futures:
                    future.cancel()
