"""``segkit analyze``: what it prints and writes, for files and for recipes."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from segkit.analysis import Fingerprint
from segkit.cli import main


@pytest.fixture
def slices(tmp_path):
    import tifffile
    from scipy.ndimage import gaussian_filter

    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for number in range(10):
        g = np.random.default_rng(number)
        labels = np.zeros((40, 40), np.uint16)
        for k, (y, x) in enumerate(
            g.permutation([(y, x) for y in range(2, 36, 9) for x in range(2, 36, 9)])[: number + 2]
        ):
            labels[y : y + 6, x : x + 6] = k + 1
        raw = 60 + 100 * (labels > 0) + 30 * gaussian_filter(g.normal(size=(40, 40)), 2) / 0.14
        raw = np.load(tmp_path / "first.npy") if number == 9 else raw.clip(0, 255).astype(np.uint8)
        if number == 0:
            np.save(tmp_path / "first.npy", raw)
        tifffile.imwrite(tmp_path / "images" / f"a{number}.tif", raw)
        tifffile.imwrite(tmp_path / "labels" / f"a{number}.tif", labels)
    return tmp_path


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return end.value.code


def test_files_are_analysed(slices, capsys):
    out = slices / "analysis"
    images = [
        "analyze",
        slices / "images/*.tif",
        "--labels",
        slices / "labels/*.tif",
        "-o",
        "split.by=density",
        "--to",
        out,
    ]
    assert run(*images) == 0
    told = capsys.readouterr().out
    assert "objects a sample" in told
    assert "'a0.tif' and 'a9.tif' hold the same voxels" in told
    assert "split: density, share 0.15" in told
    assert "Kolmogorov-Smirnov" in told
    summary = json.loads((out / "summary.json").read_text())
    found = Fingerprint.from_dict(summary["fingerprint"])
    assert [row.objects for row in found.rows] == list(range(2, 12))
    assert summary["split"]["leakage"]["held_out"] == 2
    assert {finding["kind"] for finding in summary["findings"]} >= {"duplicates"}
    with (out / "samples.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [f"a{n}.tif" for n in range(10)]
    assert rows[0]["shape"] == "1 40 40"
    for name in ("samples.png", "distributions.png", "split.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    page = (out / "index.html").read_text()
    assert page.count("data:image/png;base64") == 3
    assert "http" not in page
    assert run(*images) == 73
    assert "--overwrite" in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["index.html", "samples.png", "distributions.png", "split.png", "samples.csv", "summary.json"]
    )


def test_recipes_are_analysed(slices, capsys):
    recipe = slices / "recipe.toml"
    recipe.write_text(
        "[task]\nname='semantic'\n[architecture]\nname='unet'\n[[loss]]\nname='dice'\n"
        "[dataset]\nname='files'\nraw='images/*.tif'\nlabels='labels/*.tif'\n"
        "[split]\nby='random'\n[sampling]\npatch_shape=[1, 32, 32]\n"
    )
    assert run("analyze", recipe, "--to", slices / "out", "-o", "split.share=0.3") == 0
    assert "split: random, share 0.3" in capsys.readouterr().out
    assert run("analyze", recipe, "--labels", "x.tif", "--to", slices / "other") == 2
    assert "says itself what its data are" in capsys.readouterr().err


def test_one_image_that_cannot_be_split_is_still_analysed(slices, capsys):
    assert run("analyze", slices / "images/a1.tif", "-o", "split.by=random", "--to", slices / "out") == 0
    told = capsys.readouterr().out
    assert "There is no split to look at" in told
    assert "No sample has labels" in told
    assert json.loads((slices / "out/summary.json").read_text())["split"]["leakage"] is None
