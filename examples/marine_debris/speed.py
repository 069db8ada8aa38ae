"""How fast patches are predicted, and what reading, scaling and storing add to the bare network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

import numpy as np
import torch

import segkit
from segkit.geometry import Triple


def tile_for(model: segkit.Model) -> Triple | None:
    """Return the tiles to predict: of the size that self-attention was trained on, any for networks of single pixels."""
    return model.patch_shape if any(getattr(model.network, "halo", model.patch_shape)) else None


def measure_speed(model: segkit.Model, samples: Sequence[segkit.Sample], rounds: int = 3) -> str:
    """Return patches a second of processor time, and that time over the bare network's, medians of rounds that alternate."""
    chosen = [sample.raw for sample in samples[:2]]
    inputs = torch.from_numpy(np.stack([np.nan_to_num(model.normalization(raw.read())) for raw in chosen]))[:, :, 0]
    tile = tile_for(model)
    _, y, x = tile or chosen[0].spatial_shape
    tiles = inputs.unfold(2, y, y).unfold(3, x, x).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
    batches = tiles.split(max(1, 2**16 // (y * x)))
    whole, bare = [], []
    for _ in range(rounds + 1):
        start = time.process_time()
        for raw in chosen:
            model(raw, block_shape=tile, halo=(0, 0, 0)).read()
        middle = time.process_time()
        with torch.inference_mode():
            for batch in batches:
                model.network(batch).softmax(1)
        whole.append(middle - start)
        bare.append(time.process_time() - middle)
    spent, least = median(whole[1:]), median(bare[1:])
    return (
        f"{len(chosen) / spent:.1f} patches of {chosen[0].spatial_shape[1:]} pixels a second of processor time, "
        f"{spent / least:.2f} times the bare network"
    )
