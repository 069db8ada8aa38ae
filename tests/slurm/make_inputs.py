"""A small network and a small image, for `run.sh` and for tests of clusters."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def make_inputs(folder: Path) -> None:
    """Write ``model`` (a U-Net nobody trained) and ``image.zarr`` (noise) into a folder."""
    import torch

    from segkit import Model, Volume, write_volume
    from segkit.contracts import Normalization
    from segkit.recipe import Selection

    torch.manual_seed(4)
    task, architecture = Selection("semantic", {}), Selection("unet", {"width": 4, "depth": 1})
    built = task.build("tasks")
    network = architecture.build("architectures", 1, built.out_channels).eval()
    folder.mkdir(parents=True, exist_ok=True)
    size, unit = (8.0, 8.0, 8.0), "nm"
    Model(network, task, architecture, built, 1, Normalization((128.0,), (50.0,)), (16, 32, 32), size, unit).save(
        folder / "model"
    )
    image = np.random.default_rng(2).integers(0, 255, (48, 96, 96), np.uint8)
    write_volume(Volume(image, voxel_size=size, unit=unit), folder / "image.zarr", block_shape=(16, 32, 32))


if __name__ == "__main__":
    make_inputs(Path(sys.argv[1]))
