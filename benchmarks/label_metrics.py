"""Variation of information, adapted Rand error and matching of two label volumes: segkit beside scikit-image.

    OMP_NUM_THREADS=1 python benchmarks/label_metrics.py [--side 256] [--rounds 5] [--piece 8]

Labels are cubes with random ids; the segmentation is the same, shifted by a few voxels, with a tenth of its ids merged.
Everything runs in one process, interleaved, and medians are compared. The limit is one pass that only reads both.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from skimage.metrics import adapted_rand_error
from skimage.metrics import variation_of_information as skimage_voi

from segkit.metrics import (
    Contingency,
    adapted_rand,
    match,
    mean_average_precision,
    variation_of_information,
    without_background,
)


def volumes(side: int, piece: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    cells = -(-side // piece)
    ids = rng.permutation(cells**3).reshape(cells, cells, cells).astype(np.uint32)
    labels = np.kron(ids, np.ones((piece,) * 3, np.uint32))[:side, :side, :side]
    renamed = np.arange(cells**3, dtype=np.uint32)
    merged = rng.choice(cells**3, cells**3 // 10, replace=False)
    renamed[merged] = rng.permutation(merged) // 2
    return np.ascontiguousarray(renamed[np.roll(labels, (1, 2, 3), (0, 1, 2))]), np.ascontiguousarray(labels)


def with_segkit(segmentation: np.ndarray, labels: np.ndarray) -> tuple[float, ...]:
    table = Contingency()
    table.update(segmentation, labels)
    overlaps = table.overlaps()
    return (*variation_of_information(overlaps), *adapted_rand(without_background(overlaps)))


def with_matching(segmentation: np.ndarray, labels: np.ndarray) -> tuple[float, ...]:
    table = Contingency()
    table.update(segmentation, labels)
    return (mean_average_precision(match(table.overlaps())),)


def with_skimage(segmentation: np.ndarray, labels: np.ndarray) -> tuple[float, ...]:
    split, merge = skimage_voi(labels, segmentation)
    error, recall, precision = adapted_rand_error(labels, segmentation)  # it gives these two in each other's place
    return (split, merge, error, precision, recall)


def only_read(segmentation: np.ndarray, labels: np.ndarray) -> tuple[float, ...]:
    return (float(segmentation.max()), float(labels.max()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--piece", type=int, default=8)
    chosen = parser.parse_args()
    segmentation, labels = volumes(chosen.side, chosen.piece)
    contenders = {
        "scikit-image, VOI + adapted Rand": with_skimage,
        "segkit, VOI + adapted Rand": with_segkit,
        "segkit, matching at 10 thresholds": with_matching,
        "limit: read both": only_read,
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    values: dict[str, tuple[float, ...]] = {}
    for _ in range(chosen.rounds):
        for name, function in contenders.items():
            began = time.perf_counter()
            values[name] = function(segmentation, labels)
            seconds[name].append(time.perf_counter() - began)
    peer = statistics.median(seconds["scikit-image, VOI + adapted Rand"])
    for name, times in seconds.items():
        median = statistics.median(times)
        print(
            f"{name:36} {median:7.3f} s  {labels.size / median / 1e6:7.1f} Mvox/s  {peer / median:6.1f} x scikit-image"
        )
    ours, theirs = values["segkit, VOI + adapted Rand"], values["scikit-image, VOI + adapted Rand"]
    print(f"largest difference of a value: {max(abs(a - b) for a, b in zip(ours, theirs, strict=True)):.2e}")


if __name__ == "__main__":
    main()
