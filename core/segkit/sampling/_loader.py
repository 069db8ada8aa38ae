"""Batches, read ahead by threads; who reads what, and when, changes nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from threading import Lock
from typing import Any, TypeVar

import numpy as np

from segkit.contracts import Batch
from segkit.sampling._buffers import Buffers
from segkit.sampling._sampler import Example

__all__ = ["load_batches", "stack"]

Place = TypeVar("Place")


class _Filling:
    """A batch that examples are put into, by whichever thread read them."""

    def __init__(self, size: int, buffers: Buffers) -> None:
        self._buffers, self._lock = buffers, Lock()
        self._arrays: tuple[np.ndarray[Any, Any], ...] = ()
        self._origins = [""] * size

    def put(self, number: int, example: Example) -> None:
        mask = example.mask if example.mask.ndim == 4 else example.mask[None]  # or one for each channel
        parts = example.raw, example.target, mask
        with self._lock:
            if not self._arrays:
                size, types = len(self._origins), (example.raw.dtype, example.target.dtype, np.dtype(np.float32))
                self._arrays = tuple(
                    self._buffers.take((size, *part.shape), dtype) for part, dtype in zip(parts, types, strict=True)
                )
        for array, part in zip(self._arrays, parts, strict=True):
            if array.shape[1:] != part.shape:  # numpy would spread it over the place of another shape
                raise ValueError(f"patches of one batch have the shapes {array.shape[1:]} and {part.shape}")
            array[number] = part
        self._origins[number] = example.origin

    def batch(self) -> Batch:
        import torch

        raw, target, mask = (torch.from_numpy(array) for array in self._arrays)
        return Batch(raw, target, mask, tuple(self._origins))


def stack(examples: Sequence[Example]) -> Batch:
    """Return examples as one batch of torch tensors, on the CPU."""
    filling = _Filling(len(examples), Buffers(0))
    for number, example in enumerate(examples):
        filling.put(number, example)
    return filling.batch()


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
    source, buffers = iter(addresses), Buffers(ahead + 2)

    def fill(filling: _Filling, number: int, address: tuple[int, Place]) -> None:
        filling.put(number, read(*address))

    with ThreadPoolExecutor(workers, thread_name_prefix="segkit-loader") as pool:
        waiting: deque[tuple[_Filling, list[Future[None]]]] = deque()

        def submit(count: int) -> None:
            for group in islice(source, count):
                filling = _Filling(len(group), buffers)
                waiting.append((filling, [pool.submit(fill, filling, *entry) for entry in enumerate(group)]))

        submit(ahead)
        try:
            while waiting:
                filling, futures = waiting.popleft()
                for future in futures:
                    future.result()
                submit(1)
                yield filling.batch()
                del filling, futures  # or the memory of this batch could not serve again
        finally:
            for _, futures in waiting:
                for future in futures:
                    future.cancel()
