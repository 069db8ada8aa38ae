"""The manual is true: every hook, command and component is in it, and its code runs."""

from __future__ import annotations

import inspect
import re
import sys
import tomllib
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

import segkit
from segkit import hookspecs
from segkit.cli import COMMANDS, cli
from segkit.parameters import parameters_of
from segkit.recipe import CHOICES, SECTIONS, Recipe
from segkit.registry import registries
from segkit.testing import components

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/README.md")]
)


class Block(NamedTuple):
    page: Path
    line: int
    language: str
    title: str
    text: str
    runs: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


FENCE = re.compile(
    r'^(?P<run><!-- run -->\n)?(?P<indent> *)```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^ *```$',
    re.M | re.S,
)


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            body = "\n".join(line.removeprefix(match["indent"]) for line in match["text"].splitlines()) + "\n"
            line = text[: match.start()].count("\n") + 1
            found.append(Block(page, line, match["language"], match["title"] or "", body, bool(match["run"])))
    return [block for block in found if "--8<--" not in block.text]


BLOCKS = blocks()
COMPONENTS = components()


def generator() -> ModuleType:
    spec = spec_from_file_location("generated_pages", ROOT / "docs" / "generated_pages.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("hook", [name for name in vars(hookspecs) if name.startswith("segkit_")])
def test_every_hook_is_documented_with_its_signature(hook: str) -> None:
    page = (ROOT / "docs" / "plugins" / "hooks.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {hook}\n(.*?)(?=^## |\Z)", page, re.M | re.S)
    assert section, f"docs/plugins/hooks.md has no section '## {hook}'"
    signature = re.search(r"``(factory\(.*?)``", " ".join(inspect.getdoc(getattr(hookspecs, hook)).split()))[1]
    assert f"`{signature}`" in section[1]


def test_every_command_is_in_the_manual() -> None:
    page = generator().commands_page()
    assert [name for name in COMMANDS if f"## segkit {name}\n" not in page] == []
    assert page.count("Show this message and exit.") == len(COMMANDS) + 1


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: f"{c.kind.singular}-{c.name}")
def test_every_component_is_in_the_manual(component) -> None:
    page = generator().components_page()
    assert component.summary
    assert f"### {component.name}\n\n{component.summary}" in page
    for parameter in component.parameters:
        assert f"| `{parameter.name}` |" in page
        assert parameter.help


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python"], ids=str)
def test_python_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "toml"], ids=str)
def test_recipes_are_accepted(block: Block, tmp_path: Path) -> None:
    data = tomllib.loads(block.text)
    if {"task", "dataset"} <= data.keys():
        Recipe.from_mapping(data, tmp_path)
    elif data.keys() <= {*CHOICES, *SECTIONS}:  # a part of one
        for key, part in data.items():
            for table in part if isinstance(part, list) else [part]:
                if key in CHOICES:
                    registries[CHOICES[key].kind][table.pop("name")].bind(table)
                else:
                    assert table.keys() <= {parameter.name for parameter in parameters_of(SECTIONS[key])}


def lines_of_shell() -> list[tuple[str, str]]:
    return [
        (f"{block}", line.strip())
        for block in BLOCKS
        if block.language == "bash"
        for line in block.text.splitlines()
        if line.startswith("segkit ")
    ]


@pytest.mark.parametrize(("where", "line"), lines_of_shell())
def test_commands_and_options_exist(where: str, line: str) -> None:
    import shlex

    import click

    name, *arguments = shlex.split(line.partition(" #")[0])[1:]
    assert name in COMMANDS, f"{where}: {line}"
    command = cli.get_command(click.Context(cli), name)
    command.make_context(name, arguments, resilient_parsing=False)


def shortened(recipe: str) -> str:
    """Return a recipe that trains two steps on little."""
    recipe = re.sub(r"^(steps|validate_every) = \d+$", r"\1 = 2", recipe, flags=re.M)
    recipe = re.sub(r"^(shape) = .*$", r"\1 = [24, 40, 40]", recipe, flags=re.M)
    return re.sub(r"^(patch_shape) = .*$", r"\1 = [8, 32, 32]", recipe, flags=re.M)


RUNNABLE = sorted({block.page for block in BLOCKS if block.runs})


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.stem)
def test_marked_code_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page run one after the other, in a folder with the files that the page shows; trainings are short."""
    monkeypatch.chdir(tmp_path)
    known = {info.name for info in segkit.plugins()}
    namespace: dict[str, object] = {"__name__": "page"}
    monkeypatch.setitem(sys.modules, "page", ModuleType("page"))
    try:
        for block in BLOCKS:
            if block.page != page:
                continue
            if block.title:
                (tmp_path / block.title).write_text(shortened(block.text), encoding="utf-8")
            elif block.runs:
                exec(compile(block.text, str(block), "exec"), namespace)
    finally:
        for info in segkit.plugins():
            if info.name not in known:
                segkit.unregister(info.name)


def test_links_between_files_of_the_repository() -> None:
    missing = []
    for page in PAGES:
        prose = FENCE.sub("", page.read_text(encoding="utf-8"))
        for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", prose):
            # Two pages of the manual are made when it is built.
            if not (page.parent / target).exists() and Path(target).name not in ("components.md", "cli.md"):
                missing.append(f"{page.relative_to(ROOT)} -> {target}")
    assert missing == []


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")]
    assert [page for page in pages if page not in navigation] == []


def test_citation_has_the_version_of_the_library() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {segkit.__version__}\n" in citation
    assert "cff-version: 1.2.0" in citation


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mkdocs") is None, reason="mkdocs is not installed")
def test_manual_builds_without_a_warning(tmp_path: Path) -> None:
    import subprocess

    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
