"""Pages of the manual that are made from the code when it is built: commands and components.

mkdocs calls `on_files`; the two functions below it return Markdown and know nothing of mkdocs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segkit.parameters import Parameter


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to those in the folder."""
    from mkdocs.structure.files import File

    for name, text in (("cli.md", commands_page()), ("components.md", components_page())):
        files.append(File.generated(config, name, content=text))
    return files


def commands_page() -> str:
    """Return the page about the command line: the help of every command."""
    import click

    from segkit.cli import COMMANDS, cli

    top = click.Context(cli, info_name="segkit", terminal_width=100, help_option_names=["-h", "--help"])
    parts = [
        "# Command line\n\n",
        "Every long command can be interrupted with Ctrl-C and run again: it goes on where it was. What was written before\n",
        "stays valid whatever happens. Progress goes to stderr, results to stdout.\n\n",
        f"```text\n{cli.get_help(top)}\n```\n\n",
    ]
    for name in COMMANDS:
        command = cli.get_command(top, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=top, terminal_width=100)
        parts.append(f"## segkit {name}\n\n```text\n{command.get_help(context)}\n```\n\n")
    return "".join(parts)


def components_page() -> str:
    """Return the page about the installed components: a table of parameters for each."""
    from segkit.registry import KINDS, registries

    parts = [
        "# Components\n\n",
        "What segkit brings along. Everything here comes from plugins, and a plugin of yours adds to it; see\n",
        "[Write a plugin](plugins/writing.md). `segkit list` and `segkit show NAME` print what is installed on your machine.\n\n",
    ]
    for kind in KINDS.values():
        parts.append(f"## {kind.name.capitalize()}\n\n")
        for component in registries[kind.name].values():
            parts.append(f"### {component.name}\n\n{component.summary} Plugin `{component.plugin.name}`.\n\n")
            if component.parameters:
                parts.append("| parameter | type | default | what it does |\n|---|---|---|---|\n")
                parts += [_row(parameter) for parameter in component.parameters]
                parts.append("\n")
    parts.append("## Settings of a recipe\n\n")
    from segkit.parameters import parameters_of, summary_of
    from segkit.recipe import SECTIONS

    for name, section in SECTIONS.items():
        parts.append(f"### [{name}]\n\n{summary_of(section)}\n\n")
        parts.append("| key | type | default | what it does |\n|---|---|---|---|\n")
        parts += [_row(parameter) for parameter in parameters_of(section)]
        parts.append("\n")
    return "".join(parts)


def _row(parameter: Parameter) -> str:
    default = parameter.default
    if parameter.required:
        shown = "required"
    elif default is None:
        shown = "none"
    elif isinstance(default, bool):
        shown = str(default).lower()
    else:
        shown = ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)
    cells = (f"`{parameter.name}`", parameter.type_text, f"`{shown}`" if shown else "empty", parameter.help)
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |\n"
