"""The command line: its commands, list, show and plugins, and how it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Le

import segkit
from segkit import Advanced, Location, Unit
from segkit.cli import COMMANDS, main


def network(
    in_channels: int,
    out_channels: int,
    *,
    width: Annotated[int, Ge(4), Le(256)] = 32,
    mode: Literal["[fast]", "exact"] = "[fast]",
):
    """Network with [brackets] in its summary.

    Parameters
    ----------
    width
        Channels at full resolution.
    mode
        How.
    """


def files(
    *,
    raw: Location,
    voxel_size: Annotated[tuple[float, float, float] | None, Unit("nm")] = None,
    strict: Annotated[bool, Advanced] = True,
):
    """Files of yours.

    Parameters
    ----------
    raw
        The image.
    voxel_size
        Size of a voxel.
    strict
        Whether to mind.
    """


def overlap():
    """Overlap of two sets."""


@pytest.fixture(autouse=True)
def _plugins(isolated_plugins: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    for name, hooks in {
        "acme": {"architectures": {"net": network, "both": network}, "losses": {"both": overlap}},
        "other": {"architectures": {"net": network}, "datasets": {"files": files}},
    }.items():
        made = {
            f"segkit_{kind}": segkit.hookimpl(lambda found=found: found, specname=f"segkit_{kind}")
            for kind, found in hooks.items()
        }
        segkit.register(types.SimpleNamespace(**made), name)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    """Return a function that runs a command and returns its exit code, output and error output."""

    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main(list(words))
        said = capsys.readouterr()
        return stopped.value.code, said.out, said.err

    return call


def test_list_groups_by_kind(run) -> None:
    code, out, err = run("list")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "architectures"
    for start in ("acme:net ", "other:net ", "both ", "files "):
        assert any(line.startswith(start) for line in lines), start
    assert "Network with [brackets] in its summary." in out
    assert "tracers\n  none installed" in out


def test_list_of_one_kind(run) -> None:
    for word in ("losses", "loss"):
        _, out, _ = run("list", word)
        assert "both" in out
        assert "architectures" not in out


def test_list_as_json(run) -> None:
    found = json.loads(run("list", "--json")[1])
    assert [row["qualified"] for row in found["architectures"]] == ["acme:both", "acme:net", "other:net"]
    assert found["tracers"] == []
    assert found["datasets"][0] == {
        "name": "files",
        "qualified": "other:files",
        "plugin": "other",
        "distribution": "",
        "version": "",
        "summary": "Files of yours.",
    }


def test_list_of_an_unknown_kind(run) -> None:
    code, out, err = run("list", "architecture_s")
    assert (code, out) == (2, "")
    assert err.startswith(
        "error: There is no kind of component 'architecture_s'. Did you mean 'architectures'? Kinds: "
    )


def test_show_tells_everything(run) -> None:
    code, out, _ = run("show", "acme:net")
    assert code == 0
    assert "architecture acme:net  (plugin acme, from this process)" in out
    assert "Network with [brackets] in its summary." in out
    (width,) = [line for line in out.splitlines() if line.startswith("width ")]
    assert width.split("  ")[0] == "width"
    for part in ("int 4..256", "32", "Channels at full resolution."):
        assert part in width
    assert "one of '[fast]', 'exact'" in out


def test_show_by_kind_and_name(run) -> None:
    assert "Overlap of two sets." in run("show", "loss", "both")[1]
    assert "Nothing can be chosen of it." in run("show", "losses", "both")[1]


def test_show_of_an_ambiguous_name_shows_all(run) -> None:
    assert run("show", "both")[1].count(" acme:both  (plugin") == 2
    out = run("show", "net")[1]
    assert "architecture acme:net" in out
    assert "architecture other:net" in out


def test_show_says_what_is_required(run) -> None:
    out = run("show", "files")[1]
    assert "required" in out
    assert "3 x float nm or none" in out
    (strict,) = [line for line in out.splitlines() if line.startswith("strict ")]
    assert " true " in strict


def test_show_as_json(run) -> None:
    (shown,) = json.loads(run("show", "files", "--json")[1])
    assert shown["kind"] == "dataset"
    assert [(p["name"], p["required"], p["default"], p["advanced"]) for p in shown["parameters"]] == [
        ("raw", True, None, False),
        ("voxel_size", False, None, False),
        ("strict", False, True, True),
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nett",), "No plugin offers a component 'nett'. Did you mean 'net'? 'segkit list' shows what there is."),
        (("acme:nett",), "No plugin offers a component 'acme:nett'. Did you mean 'acme:net'?"),
        (("loss", "net"), "There is no loss 'net'. Installed: both."),
        (("lose", "both"), "There is no kind of component 'lose'. Did you mean 'losses'?"),
    ],
)
def test_show_of_what_is_not_there(run, words: tuple[str, ...], message: str) -> None:
    code, out, err = run("show", *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")


def test_show_wants_a_name(run) -> None:
    assert run("show")[0] == 2
    assert run("show", "a", "b", "c")[0] == 2


def test_plugins(run) -> None:
    code, out, err = run("plugins")
    assert (code, err) == (0, "")
    (acme,) = [line for line in out.splitlines() if line.startswith("acme ")]
    assert acme.rstrip().endswith("2 architectures, 1 loss")
    (record, _) = json.loads(run("plugins", "--json")[1])
    assert record["components"] == {"architectures": ["both", "net"], "losses": ["both"]}


def test_every_command_has_help(run) -> None:
    out = run("--help")[1]
    for name, (module, summary) in COMMANDS.items():
        assert name in out
        assert summary.endswith(".")
        path = Path(segkit.__file__).parent / "cli" / f"{module}.py"
        if path.exists():
            code, text, _ = run(name, "--help")
            assert code == 0, name
            assert f" {name} [OPTIONS]" in text.splitlines()[0]


def test_an_unknown_command_is_explained(run) -> None:
    code, _, err = run("lits")
    assert code == 2
    assert "There is no command 'lits'. Did you mean 'list'?" in err


def test_the_version(run) -> None:
    assert run("--version")[1] == f"segkit, version {segkit.__version__}\n"


def in_a_shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )


def test_a_closed_pipe_is_no_failure() -> None:
    done = in_a_shell(f"{sys.executable} -m segkit list | head -1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "architectures\n", "")


def test_listing_is_quick_and_leaves_heavy_libraries_out() -> None:
    code = (
        "import sys\nfrom segkit.cli import main\n"
        "try:\n    main(['list'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'scipy', 'skimage', 'zarr', 'tensorstore', 'dask', 'matplotlib', 'napari', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    took = time.perf_counter() - began
    assert done.stderr == "[]\n"
    assert took < 3  # 0.2 s on an idle machine
