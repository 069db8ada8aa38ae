"""The network's part of flood filling: fields of view of an image and of object maps in, new object maps out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from llvmlite.binding import get_host_cpu_features  # type: ignore[import-untyped]
from torch import nn

from segkit.errors import DataError
from segkit.model import Model, choose_device, hash_package
from segkit_ffn._stack import Stack

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Precision", "Step", "load_model", "load_step", "one_thread"]

Array = np.ndarray[Any, Any]
Precision = Literal["auto", "exact", "float32", "bfloat16"]


class Step:
    """Calls a network; several threads may do so at once.

    Parameters
    ----------
    network
        Maps ``(N, C + 1, Z, Y, X)``, object maps as logits in the last channel, to their change ``(N, 1, Z, Y, X)``.
    precision
        See `segkit_ffn.flood_fill`.
    device
        Where to compute.
    """

    def __init__(self, network: nn.Module, precision: Precision = "exact", device: str = "cpu") -> None:
        self.device = torch.device(choose_device(device))
        own = deepcopy(network).eval().requires_grad_(False)
        half = precision == "bfloat16" or (precision == "auto" and _computes_in_half(self.device))
        self._dtype, self._format = torch.float32, torch.contiguous_format
        self._network: Callable[[Tensor], Tensor] = own
        if precision != "exact" and self.device.type == "cpu" and Stack.takes(own) and not _multiplies_matrices():
            self._network = Stack(own, half)
        elif precision != "exact":
            self._dtype, self._format = torch.bfloat16 if half else torch.float32, torch.channels_last_3d
        if isinstance(self._network, nn.Module):
            self._network.to(device=self.device, dtype=self._dtype, memory_format=self._format)  # type: ignore[call-overload]

    def __call__(self, images: Array, logits: Array) -> Array:
        """Return new logits ``(N, Z, Y, X)`` float32 for images ``(N, C, Z, Y, X)`` and logits ``(N, Z, Y, X)``."""
        with torch.inference_mode():
            before = torch.from_numpy(logits)
            seen = torch.cat([torch.from_numpy(images), before[:, None]], 1).to(self.device, self._dtype)
            change = self._network(seen.contiguous(memory_format=self._format))
            after: Array = (before + change[:, 0].to("cpu", torch.float32)).numpy()
        return after


def _computes_in_half(device: torch.device) -> bool:
    """Return whether a device computes in bfloat16, rather than emulating it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and (_has("avx512bf16") or _multiplies_matrices())


def _multiplies_matrices() -> bool:
    """Return whether the processor has units for matrices, which make plain convolutions the fastest."""
    return _has("amx-bf16")


def _has(feature: str) -> bool:
    return bool(get_host_cpu_features().get(feature))


_lock = threading.Lock()
_threads: list[int] = []


def load_model(package: Path, fingerprint: str) -> Model:
    """Return a model, loaded once in each process.

    Raises
    ------
    DataError
        If it is not the one that has this fingerprint any more.
    """
    with _lock:
        return _model(package, fingerprint)


def load_step(package: Path, fingerprint: str, precision: Precision, device: str) -> Step:
    """Return what calls the network of a model, made once in each process."""
    with _lock:
        return _step(package, fingerprint, precision, choose_device(device))


@lru_cache(maxsize=4)
def _model(package: Path, fingerprint: str) -> Model:
    if hash_package(package) != fingerprint:
        raise DataError(f"The model {package} was replaced while it was used. Start again, which uses the new one.")
    return Model.load(package, device="cpu")


@lru_cache(maxsize=4)
def _step(package: Path, fingerprint: str, precision: Precision, device: str) -> Step:
    return Step(_model(package, fingerprint).network, precision, device)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread: cells are filled side by side, which is faster than one after the other."""
    with _lock:
        before = _threads[0] if _threads else torch.get_num_threads()
        _threads.append(before)
        torch.set_num_threads(1)  # of this thread, and of those that begin later
    try:
        yield
    finally:
        with _lock:
            _threads.pop()
            torch.set_num_threads(before)
