"""`segkit evaluate`, as it is typed."""

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
