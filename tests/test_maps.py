"""From a satellite scene to objects at their place on the map, as a user goes that way on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tomli_w

from segkit.cli import main

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed: pip install 'segkit-sdk[geo]'")

TRANSFORM = (10.0, 0.0, 387900.0, 0.0, -10.0, 1767040.0)


def write(path: str, array: np.ndarray) -> None:
    count, height, width = array.shape
    options = {"count": count, "height": height, "width": width, "dtype": array.dtype.name, "crs": "EPSG:32616"}
    with rasterio.open(
        path, "w", driver="GTiff", transform=rasterio.Affine(*TRANSFORM), nodata=-9999, **options
    ) as file:
        file.write(array)


def run(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert not ended.value.code, arguments


def test_objects_land_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    monkeypatch.chdir(tmp_path)
    y, x = np.ogrid[:64, :80]
    labels = ((y - 30) ** 2 + (x - 40) ** 2 < 120).astype(np.int16)
    scene = (labels + rng.normal(0, 0.1, (3, 64, 80))).astype(np.float32)
    write("scene.tif", scene)
    write("labels.tif", labels[None])
    tables = {
        "task": {"name": "semantic"},
        "architecture": {"name": "unet", "width": 4, "depth": 2},
        "loss": {"name": "bce"},
        "dataset": {"name": "files", "raw": "scene.tif", "labels": "labels.tif"},
        "sampling": {"patch_shape": [1, 32, 32], "batch_size": 2},
        "training": {"steps": 16, "validate_every": 16},
        "optimizer": {"learning_rate": 0.02},
    }
    Path("recipe.toml").write_text(tomli_w.dumps(tables))
    run("train", "recipe.toml", "--run", "run")
    run("predict", "run", "scene.tif", "prediction.zarr", "--region", "y8:56, x4:76")
    run("segment", "prediction.zarr", "objects.zarr")
    run("convert", "objects.zarr", "objects.tif", "--region", "y4:, x8:")
    with rasterio.open("objects.tif") as file:
        assert file.crs.to_epsg() == 32616
        assert tuple(file.transform)[:6] == (10.0, 0.0, 387900.0 + 120, 0.0, -10.0, 1767040.0 - 120)
        assert file.nodata is None
        found = file.read(1) > 0
    truth = labels[12:56, 12:76] > 0
    assert (found & truth).sum() > 0.8 * (found | truth).sum()
