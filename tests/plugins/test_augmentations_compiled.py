import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

SOURCE = """
from segkit_augmentations._compiled import compiled

@compiled
def double(x):
    return 2 * x

@compiled
def quadruple(x):
    return double(double(x))
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where numba keeps machine code in this test."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def loaded(path):
    spec = importlib.util.spec_from_file_location("a_loop", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cached(folder, ending):
    return sorted(folder.rglob(f"*.{ending}"))


def test_machine_code_is_kept_and_damage_is_no_harm(tmp_path, cache):
    path = tmp_path / "a_loop.py"
    path.write_text(SOURCE)
    assert loaded(path).quadruple(3) == 12
    assert cached(cache, "nbi")
    again = loaded(path)
    assert again.quadruple(3) == 12
    assert sum(again.quadruple.stats.cache_hits.values()) == 1
    for ending in ("nbc", "nbi"):
        for file in cached(cache, ending):
            file.write_bytes(file.read_bytes()[:9])
        assert loaded(path).quadruple(3) == 12
        mended = loaded(path)
        assert mended.quadruple(3) == 12
        assert sum(mended.quadruple.stats.cache_hits.values()) == 1


def test_a_disk_that_takes_nothing_is_no_harm(tmp_path, cache):
    path = tmp_path / "a_loop.py"
    path.write_text(SOURCE)
    module = loaded(path)
    shutil.rmtree(cache)
    cache.write_text("a file where the folder should be")
    assert module.quadruple(3) == 12


def test_without_any_folder_it_compiles_for_itself(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "a_loop.py").write_text(SOURCE)
    (package / "__pycache__").write_text("")
    home = tmp_path / "home"
    home.write_text("")
    code = "import a_loop; assert a_loop.quadruple(3) == 12; print(a_loop.quadruple._cache.__class__.__name__)"
    environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    environment |= {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(package)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "NullCache"
    assert not Path(package / "__pycache__").is_dir()
