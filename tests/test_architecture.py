"""The house stays as it was drawn: who imports whom, what stays light, how large a file is, what is never written."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

import segkit
from segkit import errors
from segkit.registry import KINDS

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PLUGINS = sorted(folder.name for folder in (ROOT / "plugins").glob("segkit_*") if (folder / "__init__.py").exists())
SOURCES = sorted(path for root in ("core", "plugins", "napari_segkit") for path in (ROOT / root).rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


# -- who imports whom --------------------------------------------------------------------------------------------------


def test_import_contracts() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports by name, also inside of functions."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", [path for path in SOURCES if "core" not in path.parts], ids=name_of)
def test_plugins_and_the_viewer_use_public_modules_only(path: Path) -> None:
    private = [name for name in imported(path) if re.match(r"segkit\.(.*\.)?_[a-z]|segkit\.cli\.(?!main$)", name)]
    assert not private


def test_the_lists_of_plugins_agree() -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert wheel == ["core/segkit", "napari_segkit", *(f"plugins/{name}" for name in PLUGINS)]
    points = PROJECT["project"]["entry-points"]["segkit"]
    assert sorted(points.values()) == PLUGINS
    assert all(value == f"segkit_{name}" for name, value in points.items())
    assert PROJECT["tool"]["mypy"]["packages"] == ["segkit", "napari_segkit", *PLUGINS]
    linter = PROJECT["tool"]["importlinter"]
    assert linter["root_packages"] == ["segkit", "napari_segkit", *PLUGINS]
    contracts = {contract["name"]: contract for contract in linter["contracts"]}
    library = contracts["The library knows no plugin and no GUI"]
    assert {"napari_segkit", *PLUGINS} <= set(library["forbidden_modules"])
    assert contracts["Plugins do not know each other"]["modules"] == PLUGINS
    assert contracts["Plugins know no GUI"]["source_modules"] == PLUGINS
    assert contracts["The viewer reaches plugins through the registry only"]["forbidden_modules"] == PLUGINS


def test_no_module_hides_a_public_name() -> None:
    # Importing a submodule sets it as an attribute of its package, over whatever had that name.
    modules = {path.stem for path in (ROOT / "core" / "segkit").glob("*") if path.suffix in ("", ".py")}
    assert not modules & set(segkit.__all__)


def test_every_optional_dependency_is_in_all() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    (line,) = extras["all"]
    named = set(re.search(r"\[(.*)\]", line)[1].split(","))
    # Those under the GPL are to be asked for by name.
    assert named == set(extras) - {"all", "traces-teasar"}


# -- what stays light --------------------------------------------------------------------------------------------------

HEAVY = (
    "torch",
    "numpy",
    "scipy",
    "skimage",
    "dask",
    "zarr",
    "tensorstore",
    "matplotlib",
    "napari",
    "pydantic",
    "qtpy",
)


def loaded_by(code: str) -> tuple[set[str], float]:
    """Return the top-level modules in memory after some code ran in a fresh process, and the seconds it took."""
    script = (
        "import sys, time, warnings; warnings.simplefilter('ignore'); began = time.perf_counter()\n"
        f"{code}\n"
        "import json; print(json.dumps([sorted({name.partition('.')[0] for name in sys.modules}), "
        "time.perf_counter() - began]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    modules, seconds = json.loads(done.stdout)
    return set(modules), seconds


def test_importing_segkit_is_light() -> None:
    modules, seconds = loaded_by("import segkit")
    assert not modules & {*HEAVY, *PLUGINS, "napari_segkit", "pluggy", "click", "rich"}
    assert seconds < 0.5  # 0.002 s on an idle machine


def test_listing_components_is_light() -> None:
    modules, _ = loaded_by("import segkit; [c.summary for c in segkit.architectures.values()]; list(segkit.formats)")
    assert not modules & set(HEAVY)
    assert "segkit_unet" in modules


def test_reading_parameters_is_light() -> None:
    modules, _ = loaded_by(
        "import segkit\nfrom segkit.registry import registries\n"
        "[c.parameters for registry in registries.values() for c in registry.values()]"
    )
    assert not modules & set(HEAVY)


# -- how files look ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_holds_one_idea(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400
    assert path.stem not in ("utils", "util", "helpers", "common", "base", "misc")
    assert ast.get_docstring(tree(path)), "a module says what it is for"
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text)


NEVER = {
    "eval": "a string is data",
    "exec": "a string is data",
    "torch.load": "weights are safetensors",
    "torch.save": "weights are safetensors",
    "yaml.load": "recipes are TOML",
    "os.system": "arguments are lists",
}


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def offences(path: Path) -> list[str]:
    """Return what a file does that segkit never does."""
    found = []
    for node in ast.walk(tree(path)):
        where = f"line {getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            unsafe = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
            found += [f"{where}: imports {name}" for name in names if name.partition(".")[0] in unsafe]
            if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
                found.append(f"{where}: star import")
        if isinstance(node, ast.Raise) and dotted(getattr(node.exc, "func", node.exc) or ast.Name("")) in (
            "NotImplementedError",
            "KeyError",
        ):
            found.append(f"{where}: raises an error that says nothing to people")
        if isinstance(node, ast.Call):
            called = dotted(node.func)
            keywords = {keyword.arg: keyword.value for keyword in node.keywords}
            if called in NEVER:
                found.append(f"{where}: {called}, but {NEVER[called]}")
            if called == "print" and "cli" not in path.parts:
                found.append(f"{where}: print outside of the command line")
            if (
                called in ("np.load", "numpy.load")
                and getattr(keywords.get("allow_pickle"), "value", None) is not False
            ):
                found.append(f"{where}: np.load without allow_pickle=False")
            if "shell" in keywords:
                found.append(f"{where}: a command goes through a shell")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_what_is_never_written(path: Path) -> None:
    assert not offences(path)


def test_the_search_for_offences_finds_them(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    lines = [
        "import pickle",
        "from pickle import loads",
        "from os.path import *",
        "eval('1')",
        "torch.load('x')",
        "print(1)",
        "np.load('x')",
        "np.load('x', allow_pickle=True)",
        "run('ls', shell=True)",
        "raise NotImplementedError",
        "raise KeyError('x')",
    ]
    file.write_text("\n".join(lines))
    assert len(offences(file)) == len(lines)
    file = tmp_path / "good.py"
    file.write_text("np.load('x', allow_pickle=False)\nnetwork.eval()\nraise ValueError('x')\nraise\n")
    assert offences(file) == []


# -- kinds and errors --------------------------------------------------------------------------------------------------


def test_every_kind_has_a_hook_a_check_a_registry_and_a_plugin() -> None:
    from segkit import hookspecs, registry

    exported = (ROOT / "core" / "segkit" / "testing" / "__init__.py").read_text()
    for kind in KINDS.values():
        assert "factory(" in (getattr(hookspecs, kind.hook).__doc__ or "")
        assert f'"check_{kind.singular}"' in exported
        assert kind.name in registry.registries
        users = [name for name in PLUGINS if kind.hook in (ROOT / "plugins" / name / "__init__.py").read_text()]
        assert users, f"no built-in plugin uses {kind.hook}"


def test_every_error_is_raised_somewhere() -> None:
    raised = {
        dotted(getattr(node.exc, "func", node.exc)).rpartition(".")[2]
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Raise) and node.exc is not None
    }
    classes = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.SegkitError) and value is not errors.SegkitError
    }
    assert classes <= raised
