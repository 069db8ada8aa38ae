"""`segkit evaluate`, as it is typed."""

import csv
import json

import h5py
import numpy as np
import pytest

from segkit.cli import main
from segkit.metrics import EXPLANATIONS


@pytest.fixture
def volumes(tmp_path):
    labels = np.arange(1, 9, dtype=np.uint64).reshape(2, 2, 2).repeat(4, 0).repeat(4, 1).repeat(4, 2)
    labels[0] = 0
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["labels"] = labels
        file["segmentation"] = np.where(labels > 4, 4, labels)
        file["prediction"] = np.stack([labels > 4, labels == 0]).astype(np.float32)
        file["cropped"] = labels[:3]
    return f"{tmp_path / 'v.h5'}:"


def run(capsys, *args):
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", *map(str, args)])
    return stopped.value.code, *capsys.readouterr()


def test_objects(volumes, capsys, tmp_path):
    code, out, _ = run(capsys, volumes + "segmentation", volumes + "labels", "--json", tmp_path / "s.json")
    assert code == 0
    written = json.loads((tmp_path / "s.json").read_text())
    assert written["compare"] == "objects"
    assert (written["scores"]["voi_split"], written["scores"]["objects"]) == (0, 8)
    for name, value in written["scores"].items():
        (line,) = [line for line in out.splitlines() if line.split()[:1] == [name]]
        assert float(line.split()[1]) == pytest.approx(value, abs=1e-4)
        assert EXPLANATIONS[name].better in line
    code, out, _ = run(capsys, volumes + "segmentation", volumes + "labels", "--ignore-background", "--region", "z0:4")
    assert code == 0
    assert "compared as objects: 0 voxels" not in out


def test_foreground_and_classes(volumes, capsys, tmp_path):
    arguments = (volumes + "prediction", volumes + "labels", "--json", tmp_path / "s.json")
    code, _, err = run(capsys, *arguments)
    assert (code, "'channel'" in err) == (2, True)
    assert not (tmp_path / "s.json").exists()
    code, out, _ = run(capsys, *arguments, "--channel", 0)
    assert code == 0
    assert "compared as foreground: 512 voxels" in out
    assert json.loads((tmp_path / "s.json").read_text())["scores"]["precision"] == 1
    code, out, _ = run(capsys, *arguments, "--compare", "classes", "--class-ids", "8,0")
    assert code == 0
    assert "undefined" in out  # precision of the ids that no channel stands for
    assert json.loads((tmp_path / "s.json").read_text())["scores"]["recall_0"] == 1


def test_which_class_is_taken_for_which(volumes, capsys, tmp_path):
    file = tmp_path / "confusion.csv"
    arguments = (volumes + "segmentation", volumes + "labels", "--confusion", file)
    code, out, _ = run(capsys, *arguments, "--compare", "classes")
    assert (code, f"written to {file}" in out) == (0, True)
    with file.open() as lines:
        rows = {row["labelled as"]: row for row in csv.DictReader(lines)}
    assert (rows["8"]["4"], rows["8"]["8"], rows["8"]["recall"], rows["8"]["precision"]) == ("64", "0", "0.000000", "")
    code, _, err = run(capsys, *arguments)
    assert (code, "--compare classes" in err) == (2, True)
    code, _, err = run(capsys, *arguments[:2], "--compare", "classes", "--confusion", tmp_path / "v.h5")
    assert (code, "something.csv" in err) == (2, True)


def test_regression(volumes, capsys, tmp_path):
    arguments = (
        volumes + "prediction",
        volumes + "prediction",
        "--compare",
        "regression",
        "--json",
        tmp_path / "s.json",
    )
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert "compared as regression: 512 voxels" in out
    written = json.loads((tmp_path / "s.json").read_text())
    assert (written["scores"]["mse"], written["scores"]["psnr"], written["scores"]["correlation_0"]) == (0, None, 1)
    assert [line.split()[0] for line in out.splitlines()[-3:-1]] == ["0", "1"]
    code, out, _ = run(capsys, *arguments[:1], volumes + "labels", *arguments[2:], "--channel", 0, "--data-range", 8)
    assert code == 0
    assert json.loads((tmp_path / "s.json").read_text())["settings"]["data_range"] == 8


def test_mistakes_are_one_line_and_a_code(volumes, capsys, tmp_path):
    code, _, err = run(capsys, volumes + "cropped", volumes + "labels")
    assert code == 65
    assert err.count("error:") == 1
    assert "differ in extent" in err
    assert run(capsys, volumes + "absent", volumes + "labels")[0] == 65
    assert run(capsys, volumes + "labels", volumes + "labels", "--class-ids", "a")[0] == 2
    assert run(capsys, volumes + "labels", volumes + "labels", "--json", tmp_path / "v.h5")[0] == 2
    assert run(capsys, volumes + "labels", volumes + "labels", "--json", tmp_path / "no" / "s.json")[0] == 2
    assert h5py.is_hdf5(tmp_path / "v.h5")


@pytest.fixture
def along(tmp_path):
    """A segmentation of two neurites, one cut in two and one with a gap, and their skeletons."""
    import segkit

    labels = np.zeros((5, 12, 40), np.uint64)
    labels[1:4, 1:4], labels[1:4, 7:10] = 1, 2
    with h5py.File(tmp_path / "v.h5", "w") as file:
        for name in ("labels", "segmentation"):
            file[name] = labels
            file[name].attrs["resolution"], file[name].attrs["offset"] = (10.0, 10.0, 10.0), (0.0, 50.0, 0.0)
        file["segmentation"][1:4, 1:4, 22:] = 3
        file["segmentation"][1:4, 7:10, 10:13] = 0
    segkit.trace(f"{tmp_path / 'v.h5'}:labels", "skeleton", out_dir=tmp_path / "traces")
    return f"{tmp_path / 'v.h5'}:"


def test_skeletons(along, capsys, tmp_path):
    folder, scores = tmp_path / "a" / "errors", tmp_path / "s.json"
    arguments = (along + "segmentation", "--skeletons", tmp_path / "traces", "--errors", folder, "--json", scores)
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    written = json.loads(scores.read_text())
    assert written.keys() == {"traces"}
    assert (written["traces"]["scores"]["splits"], written["traces"]["outside"]) == (1, 0)
    for name, value in written["traces"]["scores"].items():
        (line,) = [line for line in out.splitlines() if line.split()[:1] == [name]]
        assert float(line.split()[1]) == pytest.approx(value, abs=1e-4)
    lines = (folder / "errors.csv").read_text().splitlines()
    assert sorted(line.split(",")[0] for line in lines) == ["kind", "omission", "split"]
    assert (folder / "errors.png").read_bytes().startswith(b"\x89PNG")
    assert "1 3" in out
    code, out, _ = run(capsys, along + "segmentation", along + "labels", *arguments[1:])
    assert code == 0
    assert json.loads(scores.read_text()).keys() > {"traces", "scores", "compare"}


def test_something_to_compare_with_is_named(along, capsys, tmp_path):
    for arguments, said in (((), "--skeletons"), ((along + "labels", "--errors", tmp_path), "--errors")):
        code, _, err = run(capsys, along + "segmentation", *arguments)
        assert (code, said in err) == (2, True)
    code, _, err = run(capsys, along + "segmentation", "--skeletons", tmp_path / "nowhere")
    assert (code, "nowhere" in err) == (65, True)
