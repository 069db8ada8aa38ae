"""Compiled loops: machine code is kept, and neither damage nor a change of what it was made from goes unnoticed."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

SOURCE = """
from segkit.compiling import compiled

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


def torn(content):
    return content[:9]


def one_bit_flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [torn, one_bit_flipped])
@pytest.mark.parametrize("ending", ["nbc", "nbi"])
def test_damage_is_no_harm(tmp_path, cache, ending, damage):
    path = tmp_path / "a_loop.py"
    path.write_text(SOURCE)
    assert loaded(path).quadruple(3) == 12
    for file in cached(cache, ending):
        file.write_bytes(damage(file.read_bytes()))
    assert loaded(path).quadruple(3) == 12
    mended = loaded(path)
    assert mended.quadruple(3) == 12
    assert sum(mended.quadruple.stats.cache_hits.values()) == 1


def test_code_for_other_types_is_not_taken(tmp_path, cache):
    path = tmp_path / "a_loop.py"
    path.write_text(SOURCE)
    assert loaded(path).double(3) == 6
    (whole,) = (file.read_bytes() for file in cached(cache, "nbc"))
    shutil.rmtree(cache)
    assert loaded(path).double(2.5) == 5
    (file,) = cached(cache, "nbc")
    file.write_bytes(whole)  # what is left where two processes took the same name
    assert loaded(path).double(2.5) == 5


def test_a_change_of_what_is_called_is_a_change(tmp_path, cache, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "inner_loop", raising=False)
    (tmp_path / "inner_loop.py").write_text(SOURCE)
    outer = tmp_path / "outer_loop.py"
    outer.write_text(
        "from segkit.compiling import compiled\nfrom inner_loop import double\n\n"
        "@compiled\ndef more(x):\n    return double(x) + 1\n"
    )
    assert loaded(outer).more(3) == 7
    (tmp_path / "inner_loop.py").write_text(SOURCE.replace("2 * x", "200 * x"))
    monkeypatch.delitem(sys.modules, "inner_loop")
    importlib.invalidate_caches()
    assert loaded(outer).more(3) == 601


def test_numbers_are_rounded_as_asked(tmp_path, cache):
    path = tmp_path / "a_loop.py"
    path.write_text(
        "from segkit.compiling import compiled\n\n"
        "@compiled\ndef apart(a, b, c):\n    return a * b + c\n\n"
        "@compiled(fused=True)\ndef at_once(a, b, c):\n    return a * b + c\n\n"
        "@compiled\ndef quotient(a, b):\n    return a / b\n"
    )
    loops = loaded(path)
    x = 1 + 2.0**-30
    assert loops.apart(x, x, -(x * x)) == 0
    assert loops.at_once(x, x, -(x * x)) in (0, 2.0**-60)  # 0 where the processor has no instruction for it
    assert loops.quotient(1.0, 0.0) == float("inf")


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
