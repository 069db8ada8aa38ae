"""Traces on the command line: somata, pictures, meshes, and conversion between SWC files and precomputed skeletons."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from segkit import Volume, read_swc, write_volume
from segkit.cli import main
from segkit.tracing import read_precomputed


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    labels = np.zeros((24, 24, 44), np.uint32)
    labels[11:14, 11:14, 8:42] = 5
    labels[np.linalg.norm(np.indices(labels.shape).transpose(1, 2, 3, 0) - (12, 12, 10), axis=-1) < 8] = 5
    labels[2:5, 2:5, 4:40] = 6
    write_volume(Volume.from_array(labels, voxel_size=(10.0, 10.0, 10.0)), tmp_path / "cells.zarr", labels=True)
    return tmp_path / "cells.zarr"


def test_everything_at_once(cells: Path, capsys) -> None:
    out = cells.with_name("traces")
    arguments = ("trace", cells, out, "--soma", 50, "--also", "precomputed", "--also", "meshes")
    assert run(*arguments) == 0
    assert "2 objects traced" in capsys.readouterr().out
    assert (out / "traces.png").read_bytes().startswith(b"\x89PNG")
    assert read_swc(out / "5.swc")[0].soma == 0
    assert [trace.soma for trace in read_precomputed(out / "skeletons")] == [0, None]
    assert sorted(file.name for file in (out / "meshes").iterdir()) == ["5.ply", "6.ply"]
    assert run(*arguments) == 0  # nothing is left to do
    assert run("trace", cells, out, "--also", "stl") == 2


def test_conversion_there_and_back(tmp_path: Path, capsys) -> None:
    source = tmp_path / "swc"
    source.mkdir()
    (source / "17.swc").write_text("1 1 0 0 0 5 -1\n2 0 0 0 10 2 1\n7 0 50 0 0 2 -1\n8 3 50 0 4 1 7\n")
    (source / "18.swc").write_text("1 0 1 2 3 5 -1\n2 0 1 2 8 2 1\n")
    assert run("convert", source, tmp_path / "skeletons", "--voxel-size", 33, 8, 8) == 0
    shown = capsys.readouterr()
    assert "2 traces, 0.627 um of cable" in shown.out
    assert "not connected, each piece with a root of its own: 17 (2 pieces)" in shown.err
    assert run("convert", tmp_path / "skeletons", tmp_path / "again") == 0
    (trace,) = read_swc(tmp_path / "again" / "17.swc")
    assert sorted(map(tuple, trace.nodes.tolist())) == [(0, 0, 0), (0, 0, 400), (132, 0, 400), (330, 0, 0)]
    assert sorted(trace.types.tolist()) == [0, 0, 1, 3]
    assert run("convert", f"{tmp_path / 'skeletons'}#ids=18", tmp_path / "one") == 0
    assert [file.name for file in (tmp_path / "one").iterdir()] == ["18.swc"]
    capsys.readouterr()

    assert run("info", source / "17.swc") == 0
    assert "17 (2 pieces); each piece has a root of its own" in capsys.readouterr().out
    assert run("info", tmp_path / "skeletons", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["traces"], found["pieces"], found["in_several_pieces"], found["somata"]) == (2, 3, {"17": 2}, 1)


def test_what_cannot_be_converted(tmp_path: Path, capsys) -> None:
    (tmp_path / "1.swc").write_text("1 0 1 2 3 5 -1\n")
    assert run("convert", tmp_path / "1.swc", tmp_path / "skeletons") == 0
    assert run("convert", tmp_path / "1.swc", tmp_path / "skeletons") == 73
    assert run("convert", tmp_path / "1.swc", tmp_path / "skeletons", "--overwrite") == 0
    assert run("convert", tmp_path / "skeletons", tmp_path, "--voxel-size", 1, 1, 1) == 73
    assert run("convert", tmp_path / "skeletons", tmp_path / "a", "--voxel-size", 1, 1, 1) == 2
    assert run("convert", f"{tmp_path / 'skeletons'}#ids=one", tmp_path / "a") == 2
    assert run("convert", f"{tmp_path / 'skeletons'}#ids=3", tmp_path / "a") == 65
    assert run("convert", tmp_path / "1.swc", tmp_path / "a", "--region", "z0:3") == 2
    assert "about images" in capsys.readouterr().err
