"""A project with a run whose network is tiny and not trained, and an image: enough to predict."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segkit import Volume
from segkit.writing import write_volume

__all__ = ["make_image", "make_run"]

VOXEL_SIZE = (40.0, 16.0, 16.0)


def make_image(path: Path, shape: tuple[int, int, int] = (16, 64, 64), *, pyramid: int = 1) -> Path:
    """Write a noisy image as OME-Zarr."""
    rng = np.random.default_rng(3)
    voxels = rng.normal(120, 30, shape).clip(0, 255).astype(np.uint8)
    write_volume(Volume.from_array(voxels, voxel_size=VOXEL_SIZE), path, pyramid=pyramid)
    return path


def make_run(run: Path, task: str = "boundaries", voxel_size: tuple[float, float, float] = VOXEL_SIZE) -> Path:
    """Write the folder of a run with a model in it."""
    import torch

    from segkit.contracts import Normalization
    from segkit.model import Model
    from segkit.recipe import Selection

    torch.manual_seed(7)
    chosen = Selection(f"tasks:{task}", {})
    built = chosen.build("tasks")
    options = {"width": 4, "depth": 1}
    network = Selection("unet:unet", options).build("architectures", 1, built.out_channels)
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    Model(
        network.eval(),
        chosen,
        Selection("unet:unet", options),
        built,
        1,
        Normalization((120.0,), (30.0,)),
        (8, 32, 32),
        voxel_size,
        "nm",
        details={"step": 150, "loss": 0.2, "metrics": {"dice_boundary": 0.73}},
    ).save(run / "model")
    return run
