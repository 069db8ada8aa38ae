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
from segkit.sampling._sampler import Example, Room

__all__ = ["load_batches", "stack"]

Array = np.ndarray[Any, Any]
Place = TypeVar("Place")


class _Filling:
    """A batch that examples are put into, by whichever thread read them."""

    def __init__(self, size: int, buffers: Buffers) -> None:
        self._buffers, self._lock = buffers, Lock()
        self._arrays = dict[str, Array]()
        self._origins = [""] * size

    def room(self, number: int) -> Room:
        """Return what gives the place of an image."""
        return lambda shape: self._place("raw", number, shape, np.dtype(np.float32))

    def put(self, number: int, example: Example) -> None:
        mask = example.mask if example.mask.ndim == 4 else example.mask[None]  # or one for each channel
        for name, part in (("raw", example.raw), ("target", example.target), ("mask", mask)):
            place = self._place(name, number, part.shape, np.dtype(np.float32) if part.dtype == bool else part.dtype)
            if (place.ctypes.data, place.strides) != (part.ctypes.data, part.strides):
                place[...] = part
        self._origins[number] = example.origin

    def _place(self, name: str, number: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        with self._lock:
            array = self._arrays.get(name)
            if array is None:
                array = self._arrays[name] = self._buffers.take((len(self._origins), *shape), dtype)
        if array.shape[1:] != shape:  # numpy would spread a patch over the place of another shape
            raise ValueError(f"patches of one batch have the shapes {array.shape[1:]} and {shape}")
        place: Array = array[number]
        return place

    def batch(self) -> Batch:
        import torch

        raw, target, mask = (torch.from_numpy(self._arrays[name]) for name in ("raw", "target", "mask"))
        return Batch(raw, target, mask, tuple(self._origins))


def stack(examples: Sequence[Example]) -> Batch:
    """Return examples as one batch of torch tensors, on the CPU."""
    filling = _Filling(len(examples), Buffers(0))
    for number, example in enumerate(examples):
        filling.put(number, example)
    return filling.batch()


def load_batches(
    addresses: Iterable[Sequence[tuple[int, Place]]],
    read: Callable[[int, Place, Room], Example],
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
        Returns the patch at an address, its image in what the third argument gives for a shape, or elsewhere; called in
        threads.
    workers
        Number of threads. Threads, not processes: a process must not be forked once a store has been read.
    ahead
        Batches that are read ahead.
    """
    source, buffers = iter(addresses), Buffers(ahead + 2)

    def fill(filling: _Filling, number: int, address: tuple[int, Place]) -> None:
        filling.put(number, read(*address, filling.room(number)))

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
