"""Peak memory of predicting a small and a large volume: it must not grow with the volume.

    python benchmarks/prediction_memory.py [small edge] [large edge]

Edges are in voxels; the defaults are volumes of 64 MiB and 2 GiB, of one byte a voxel. The network is a single
convolution, so that the large volume is done in minutes: what counts is what is kept in memory. Each prediction runs in
a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic
from types import SimpleNamespace

import numpy as np

import segkit
from segkit.contracts import Normalization
from segkit.recipe import Selection


def one_convolution(in_channels: int, out_channels: int):
    """One convolution."""
    from torch import nn

    return nn.Conv3d(in_channels, out_channels, 3, padding=1)


class Waves:
    """A volume that is computed as it is read."""

    dtype = np.dtype(np.uint8)

    def __init__(self, edge: int) -> None:
        self.shape = (edge, edge, edge)

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        z, y, x = np.ogrid[key]
        return (128 + 40 * (np.sin(z / 7) + np.sin(y / 9) + np.sin(x / 5))).astype(np.uint8)


def register() -> None:
    hook = segkit.hookimpl(specname="segkit_architectures")(lambda: {"one_convolution": one_convolution})
    segkit.register(SimpleNamespace(segkit_architectures=hook), "benchmark")


def predict(model: str, image: str, target: str) -> None:
    register()
    segkit.predict(model, image, target, device="cpu")


def peak_of(*words: object) -> tuple[float, float]:
    """Predict in a process of its own; return its peak resident memory in MiB, and the seconds it took."""
    began = monotonic()
    process = subprocess.Popen([sys.executable, __file__, "predict", *map(str, words)])
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return usage.ru_maxrss / 1024, monotonic() - began


def main() -> None:
    if sys.argv[1:2] == ["predict"]:
        predict(*sys.argv[2:])
        return
    edges = [int(edge) for edge in sys.argv[1:]] or [406, 1290]
    register()
    choice, task = (
        Selection("benchmark:one_convolution"),
        Selection("tasks:semantic", segkit.tasks["semantic"].bind({})),
    )
    network = choice.build("architectures", 1, 1)
    model = segkit.Model(network, task, choice, task.build("tasks"), 1, Normalization((128.0,), (40.0,)), (64, 64, 64))
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model")
        for edge in edges:
            image, target = Path(folder) / f"{edge}.zarr", Path(folder) / f"prediction{edge}.zarr"
            segkit.write_volume(segkit.Volume.from_array(Waves(edge)), image, pyramid=1)
            peak, seconds = peak_of(Path(folder) / "model", image, target)
            peaks.append(peak)
            size = edge**3 / 2**20
            print(f"{size:8.0f} MiB image: peak {peak:7.0f} MiB, {edge**3 / seconds / 1e6:6.2f} Mvoxel/s", flush=True)
    print(f"ratio of the peaks: {peaks[-1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
