"""The marine debris example on small scenes made here: unpacked, trained, scored, and written at their place on the map."""

from __future__ import annotations

import importlib
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from segkit.cli import main
from segkit.recipe import load_recipe
from segkit.training import fit

rasterio = pytest.importorskip("rasterio")
pytest.importorskip("sklearn")

FOLDER = Path(__file__).parents[2] / "examples" / "marine_debris"
SIDE = 64
NAMES = [
    "S2_14-9-18_16PCC_14",
    "S2_14-9-18_16PCC_15",
    "S2_16-2-18_16PEC_3",
    "S2_30-8-18_16PCC_9",
    "S2_30-8-18_16PCC_10",
]
UNSEEN = ["S2_27-1-19_16PCC_28", "S2_22-12-20_18QYF_0"]
CLASSES = (1, 2, 7, 10)


@pytest.fixture(scope="module")
def example():
    """The scripts of the example, importable while the tests of this file run."""
    sys.path.insert(0, str(FOLDER))
    names = ("unpack", "baseline", "picture", "speed", "tables", "score")
    yield {name: importlib.import_module(name) for name in names}
    sys.path.remove(str(FOLDER))
    for name in names:
        del sys.modules[name]


def scene(g: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return bands ``(11, y, x)`` of stripes of four classes, and labels of about one pixel in twenty, 0 elsewhere."""
    spectra = {1: 0.05, 2: 0.02, 7: 0.01, 10: 0.08}
    truth = np.repeat(g.permutation(np.repeat(CLASSES, 2)), SIDE // 8)[:, None] * np.ones((1, SIDE), int)
    slope = np.linspace(1, 0.2, 11)[:, None, None]
    bands = sum((truth == i) * level * (slope if i in (7, 10) else slope[::-1]) for i, level in spectra.items())
    bands = bands * g.normal(1, 0.05, bands.shape)
    bands[:, :6, :6] = np.nan
    return bands.astype(np.float32), np.where(g.random(truth.shape) < 0.05, truth, 0).astype(np.float32)


@pytest.fixture(scope="module")
def data(tmp_path_factory, example):
    """An archive as MARIDA's, unpacked."""
    folder = tmp_path_factory.mktemp("marida")
    g = np.random.default_rng(0)
    with tarfile.open(folder / "patches.tar.xz", "w:xz") as archive:
        for number, name in enumerate([*NAMES, *UNSEEN, "S2_1-1-01_00AAA_0"]):
            for suffix, bands in zip(("", "_cl"), scene(g), strict=True):
                path = folder / f"{name}{suffix}.tif"
                bands = bands.reshape(-1, SIDE, SIDE)
                transform = rasterio.Affine(10, 0, 387900 + 2560 * number, 0, -10, 1767040)
                profile = {"count": len(bands), "dtype": "float32", "crs": "EPSG:32616", "transform": transform}
                with rasterio.open(path, "w", driver="GTiff", width=SIDE, height=SIDE, **profile) as file:
                    file.write(bands)
                archive.add(path, f"patches/{path.name}")
    assert example["unpack"].unpack(folder / "patches.tar.xz", folder / "data") == len(NAMES) + len(UNSEEN)
    return folder / "data"


def given(data: Path, *more: str) -> dict[str, str]:
    few = dict(option.split("=", 1) for option in more)
    places = {
        f"dataset.{key}": str(data / "{b,c}" / key.replace("raw", "images") / "*.tif") for key in ("raw", "labels")
    }
    return {**places, "training.device": "cpu", "training.validate_every": "30", **few}


@pytest.mark.parametrize("name", ["recipe", "narrow", "pixels"])
def test_recipes_are_what_they_say(name):
    recipe = load_recipe(FOLDER / f"{name}.toml")
    assert [(choice.name.partition(":")[2], choice.weight) for choice in recipe.loss] == [
        ("dice", 0.4),
        ("focal", 0.4),
        ("cross_entropy", 0.2),
    ]
    assert recipe.training.clip == 1.0
    assert recipe.sampling.balance == "classes"
    assert recipe.split.by == "groups"
    assert "{b,c}" in recipe.dataset.options["raw"]
    assert recipe.dataset.options["unlabelled"] == 0
    if name == "pixels":
        assert recipe.architecture.name.endswith(":simple_fc")
        return
    assert recipe.architecture.options["bottleneck"] == "self_attention"
    assert recipe.training.patience == 15
    width, depth = (recipe.architecture.options[key] for key in ("width", "depth"))
    assert (width, width * 2**depth) == ((64, 1024) if name == "recipe" else (16, 128))


def test_patches_are_sorted_by_day_and_labels_are_ids(data):
    assert sorted(path.name for path in (data / "a" / "images").iterdir()) == sorted(f"{name}.tif" for name in UNSEEN)
    assert len(list(data.rglob("images/*.tif"))) == len(list(data.rglob("labels/*.tif"))) == len(NAMES) + len(UNSEEN)
    for path in data.rglob("labels/*.tif"):
        with rasterio.open(path) as labels, rasterio.open(path.parents[1] / "images" / path.name) as image:
            assert labels.dtypes == ("uint8",)
            assert set(np.unique(labels.read())) <= {0, *CLASSES}
            assert (labels.crs, labels.transform) == (image.crs, image.transform)


def test_every_patch_has_a_part(example):
    days = {name.split("_")[1] for name in example["unpack"].WANTED}
    assert days == set(example["unpack"].PART)
    assert len(example["unpack"].WANTED) == 60


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "narrow"
    few = ("architecture.width=8", "training.steps=60", "sampling.batch_size=12", "split.seed=1", "split.share=0.3")
    fit(load_recipe(FOLDER / "narrow.toml", given(data, *few)), folder)
    return folder


@pytest.fixture(scope="module")
def pixels_run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "pixels"
    fit(
        load_recipe(FOLDER / "pixels.toml", given(data, "split.seed=1", "split.share=0.3", "training.steps=100")),
        folder,
    )
    return folder


@pytest.mark.slow
def test_scenes_that_were_not_seen_are_scored_beside_the_forest(run, pixels_run, data, example, tmp_path, capsys):
    example["score"].main(data / "a", tmp_path / "scores", [run, pixels_run])
    out = capsys.readouterr().out
    assert "simple_fc minus forest" in out
    assert out.count("Turbid Water") == 3
    assert out.count("times the bare network") == 2
    report = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert {name: len(report[name]) for name in ("attention_unet", "simple_fc", "forest")} == {
        "attention_unet": 1,
        "simple_fc": 1,
        "forest": 1,
    }
    assert report["attention_unet"][0]["f1"] > 0.8
    assert report["simple_fc"][0]["f1"] > 0.8
    assert report["forest"][0]["f1"] > 0.8
    above = report["simple_fc"][0]["f1"] - report["forest"][0]["f1"]
    assert report["above forest"]["simple_fc"]["f1"] == pytest.approx([above])
    assert (tmp_path / "scores" / "scenes.png").read_bytes().startswith(b"\x89PNG")
    lines = (tmp_path / "scores" / "confusion_simple_fc.csv").read_text().splitlines()
    assert len(lines) == 16
    with pytest.raises(SystemExit, match="score it on another part"):
        example["score"].main(data / "b", tmp_path / "again", [run])


@pytest.mark.slow
def test_what_is_predicted_lies_where_the_scene_lies(run, data, tmp_path):
    image = data / "a" / "images" / f"{UNSEEN[0]}.tif"
    for arguments in (
        ["predict", str(run / "final"), str(image), str(tmp_path / "found.zarr")],
        ["convert", str(tmp_path / "found.zarr"), str(tmp_path / "found.tif")],
    ):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 0
    with rasterio.open(image) as before, rasterio.open(tmp_path / "found.tif") as after:
        assert (after.crs, after.transform, after.shape) == (before.crs, before.transform, before.shape)
        assert after.count == 15
        assert after.descriptions[0] == "Marine Debris"
        chances = after.read()
    np.testing.assert_allclose(chances.sum(0), 1, atol=1e-4)  # also where the image was NaN
