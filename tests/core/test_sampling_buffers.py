"""Memory of batches serves again, and never while anything still looks at it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from segkit.sampling._buffers import Buffers


@pytest.mark.parametrize(
    "hold",
    [
        lambda array: array,
        lambda array: array[:, ::-1],
        lambda array: array[1:][::-1].T,
        lambda array: array.reshape(-1)[3:],
        lambda array: torch.from_numpy(array)[1:],
        lambda array: memoryview(array),
    ],
)
def test_memory_serves_again_only_when_nothing_looks_at_it(hold: Callable[[Any], Any]) -> None:
    buffers = Buffers(4)
    array = buffers.take((4, 6), np.dtype(np.float32))
    place = array.ctypes.data
    array[:] = 1
    held = hold(array)
    del array
    gc.collect()
    other = buffers.take((4, 6), np.dtype(np.float32))
    other[:] = 2
    assert other.ctypes.data != place
    assert np.all(np.asarray(held) == 1)
    del held
    gc.collect()
    assert buffers.take((4, 6), np.dtype(np.float32)).ctypes.data == place
