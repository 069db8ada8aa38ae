"""The network's part of flood filling: fields of view of an image and of object maps in, new object maps out."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from segkit.errors import DataError, SegkitWarning
from segkit.model import Model, choose_device, hash_package

if TYPE_CHECKING:
    from torch import Tensor

    from segkit_ffn._stack import Stack

__all__ = ["Precision", "Step", "load_model", "load_step", "one_thread"]

Array = np.ndarray[Any, Any]
Precision = Literal["auto", "exact", "float32", "bfloat16"]

_TRIAL = {False: 1e-4, True: 0.15}  # by whether it is in bfloat16: how far fast convolutions may be from torch, at most


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
        fast = _fast(own, half) if precision != "exact" and self.device.type == "cpu" else None
        if fast is not None:
            self._network = fast
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


def _fast(network: nn.Module, half: bool) -> Stack | None:
    """Return what computes a network by fast convolutions; None where plain ones are faster, or those do not work.

    They are vector code for the processor at hand, so they are tried on a few voxels first, beside torch.
    """
    if _multiplies_matrices():
        return None
    try:
        from segkit_ffn._stack import Stack

        if not Stack.takes(network):
            return None
        stack = Stack(network, half)
        with torch.inference_mode():
            channels = network.first.a.in_channels
            seen = torch.linspace(-2, 2, channels * 7**3).sin().reshape(1, channels, 7, 7, 7)
            found, expected = stack(seen), network(seen)
        error = float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-6))
        if error <= _TRIAL[half]:
            return stack
        reason = f"they are wrong by {error:.2g} of the largest value"
    except Exception as error:  # whatever a compiler says, torch can do the same
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
    warnings.warn(
        f"Fast convolutions do not work here ({reason}). The network is computed by torch, which takes two to four times as "
        "long and finds the same. Reinstall numba and llvmlite, or report this with your processor.",
        SegkitWarning,
        stacklevel=2,
    )
    return None


def _computes_in_half(device: torch.device) -> bool:
    """Return whether a device computes in bfloat16, rather than emulating it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and (_has("avx512bf16") or _multiplies_matrices())


def _multiplies_matrices() -> bool:
    """Return whether the processor has units for matrices, which make plain convolutions the fastest."""
    return _has("amx-bf16")


def _has(feature: str) -> bool:
    try:
        from llvmlite.binding import get_host_cpu_features  # type: ignore[import-untyped]
    except ImportError:
        return False
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
