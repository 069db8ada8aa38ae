"""Random patches out of a chunked store: `Volume.read` beside plain zarr-python, tensorstore and memory.

Prints a table of patches a second and of speed relative to zarr-python slicing; medians over interleaved rounds.

    python benchmarks/patch_reading.py [--side 1024] [--rounds 5] [--patches 64]

The default volume, 1 GiB, is four times the cache that `Volume.read` keeps; a smaller one is read from memory alone.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorstore
import zarr
from scipy.ndimage import gaussian_filter

from segkit import Box, Volume
from segkit.store import open_zarr
from segkit.writing import write_volume

PATCHES = {"64^3": (64, 64, 64), "96^3": (96, 96, 96), "1x256^2": (1, 256, 256)}


def texture(side: int) -> np.ndarray:
    """An image that compresses about as well as electron micrographs do."""
    rng = np.random.default_rng(0)
    tile = rng.normal(0, 1, (128, 128, 128)).astype(np.float32)
    tile = gaussian_filter(tile, 2, mode="wrap") * 14 + rng.normal(0, 0.02, tile.shape)
    tile = (128 + 30 * tile / tile.std()).clip(0, 255).astype(np.uint8)
    return np.tile(tile, (-(-side // 128),) * 3)[:side, :side, :side]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--patches", type=int, default=64)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        array = texture(chosen.side)
        own = Path(folder) / "own.zarr"
        write_volume(Volume.from_array(array), own, block_shape=(128,) * 3, chunk_shape=(64,) * 3, pyramid=1)
        plain = Path(folder) / "plain.zarr"
        zarr.create_array(plain, data=array, chunks=(64, 64, 64))  # zarr-python's own defaults: zstd, one file a chunk
        stored = sum(f.stat().st_size for f in own.rglob("*") if f.is_file())
        print(f"{chosen.side}^3 uint8, chunks 64^3, compressed {array.nbytes / stored:.1f} times")
        print(f"{'':30}" + "".join(f"{name:>18}" for name in PATCHES))
        readers = make_readers(array, own, plain)
        found = [measure(readers, shape, chosen) for shape in PATCHES.values()]
        table = {name: [rates[name] for rates in found] for name in readers}
        base = table["zarr-python, plain chunks"]
        for name, rates in table.items():
            cells = (f"{rate:9.0f}/s {rate / first:5.1f}x" for rate, first in zip(rates, base, strict=True))
            print(f"{name:30}" + "".join(f"{cell:>18}" for cell in cells))


def make_readers(array: np.ndarray, own: Path, plain: Path) -> dict[str, Callable[[Box], np.ndarray]]:
    """Return what is compared: each reads one box."""
    sharded, chunked = zarr.open_array(own / "0", mode="r"), zarr.open_array(plain, mode="r")
    volume, foreign = open_zarr(own), open_zarr(plain)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{own / '0'}/"}}
    bare = tensorstore.open(spec, open=True, read=True).result()
    return {
        "zarr-python, plain chunks": lambda box: chunked[box.slices],
        "zarr-python, segkit's shards": lambda box: sharded[box.slices],
        "tensorstore, no cache": lambda box: bare[box.slices].read().result(),
        "Volume.read, plain chunks": foreign.read,
        "Volume.read, segkit's shards": volume.read,
        "in memory": lambda box: array[box.slices].copy(),
    }


def measure(
    readers: dict[str, Callable[[Box], np.ndarray]], shape: tuple[int, int, int], chosen: argparse.Namespace
) -> dict[str, float]:
    """Return the patches a second of each reader, as the median over rounds in which all take turns."""
    rates: dict[str, list[float]] = {name: [] for name in readers}
    for number in range(chosen.rounds):
        rng = np.random.default_rng(number)
        boxes = [
            Box.of_shape(shape, [int(rng.integers(chosen.side - n + 1)) for n in shape]) for _ in range(chosen.patches)
        ]
        for name, read in readers.items():
            began = time.perf_counter()
            sums = [int(read(box)[0, 0, 0]) for box in boxes]
            rates[name].append(len(sums) / (time.perf_counter() - began))
    return {name: statistics.median(found) for name, found in rates.items()}


if __name__ == "__main__":
    main()
