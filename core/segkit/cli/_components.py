"""``segkit list``, ``segkit show`` and ``segkit plugins``: what is installed, what can be chosen of it, what is broken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segkit.errors import UnknownNameError, did_you_mean
from segkit.registry import KINDS, Component, Kind, plugins, registries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segkit.parameters import Parameter

__all__ = ["list_command", "plugins_command", "show_command"]


@click.command("list")
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def list_command(kind: str | None, as_json: bool) -> None:
    """List the installed components, of one KIND (such as architectures) or all."""
    chosen = [_kind(kind)] if kind else list(KINDS.values())
    if as_json:
        rows = {each.name: [_brief(c) for c in registries[each.name].values()] for each in chosen}
        click.echo(json.dumps(rows, indent=2))
        return
    for each in chosen:
        registry = registries[each.name]
        rows_shown = [(name, component.plugin.name, component.summary) for name, component in registry.items()]
        _table(each.name, ("name", "plugin", "what it is"), rows_shown)
    click.echo("'segkit show NAME' tells what can be chosen of one.")


@click.command("show")
@click.argument("names", nargs=-1, required=True, metavar="[KIND] NAME")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def show_command(names: tuple[str, ...], as_json: bool) -> None:
    """Show a component, with everything you can choose of it.

    NAME may be qualified, as in plugin:name; KIND, such as loss, is needed only to pick one of several of that name.
    """
    if len(names) > 2:
        raise click.UsageError(f"It shows one component, and {len(names)} words were given: [KIND] NAME.")
    found = _find(names[-1], [_kind(names[0])] if len(names) == 2 else list(KINDS.values()))
    if as_json:
        click.echo(json.dumps([_details(component) for component in found], indent=2))
        return
    for component in found:
        plugin = component.plugin
        origin = f"{plugin.distribution} {plugin.version}" if plugin.distribution else "this process"
        click.secho(f"{component.kind.singular} {component.qualified}", bold=True, nl=False)
        click.echo(f"  (plugin {plugin.name}, from {origin})")
        click.echo(f"{component.summary}\n" if component.summary else "")
        rows = [(p.name, p.type_text, _default_text(p), p.help) for p in component.parameters]
        if rows:
            _table("", ("parameter", "type", "default", "what it does"), rows)
        else:
            click.echo("Nothing can be chosen of it.\n")


@click.command("plugins")
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of each plugin that failed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def plugins_command(verbose: bool, as_json: bool) -> None:
    """List the installed plugins, and what is wrong with the broken ones.

    \b
    SEGKIT_PLUGINS=unet,losses   load only these
    SEGKIT_STRICT_PLUGINS=1      fail at the first plugin that does
    """
    import warnings

    from segkit.errors import PluginWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # the table says it
        infos = plugins()
    if as_json:
        records = [
            {
                "name": info.name,
                "distribution": info.distribution,
                "version": info.version,
                "value": info.value,
                "components": {hook.removeprefix("segkit_"): sorted(names) for hook, names in info.components.items()},
                "error": info.error,
                "traceback": info.traceback,
            }
            for info in infos
        ]
        click.echo(json.dumps(records, indent=2))
        return
    _table(
        "",
        ("plugin", "distribution", "version", "offers"),
        [(i.name, i.distribution, i.version, "FAILED" if i.error else _offers(i.components)) for i in infos],
    )
    broken = [info for info in infos if info.error]
    for info in broken:
        click.secho(f"{info.name} ({info.distribution} {info.version}) failed: ", fg="red", nl=False)
        click.echo(f"{info.error}\n{info.traceback}" if verbose else info.error)
    if broken and not verbose:
        click.echo("'segkit plugins --verbose' shows where. Everything else works.")


def _kind(name: str) -> Kind:
    for kind in KINDS.values():
        if name in (kind.name, kind.singular):
            return kind
    raise UnknownNameError(
        f"There is no kind of component '{name}'.{did_you_mean(name, KINDS)} Kinds: {', '.join(KINDS)}."
    )


def _find(name: str, kinds: list[Kind]) -> list[Component]:
    """Return every component that a bare or qualified name may mean."""
    every = [c for kind in kinds for c in registries[kind.name].values()]
    found = [component for component in every if name in (component.name, component.qualified)]
    if found:
        return found
    if len(kinds) == 1:
        return [registries[kinds[0].name][name]]  # its error says what there is
    known = {component.name for component in every} | {component.qualified for component in every}
    broken = [info.name for info in plugins() if info.error]
    hint = (
        f" Plugins that failed to load and may offer it: {', '.join(broken)} (see 'segkit plugins')." if broken else ""
    )
    described = "".join(registries[kind.name].described(name) for kind in kinds)
    raise UnknownNameError(
        f"No plugin offers a component '{name}'.{did_you_mean(name, known)}{described} 'segkit list' shows what there is.{hint}"
    )


def _brief(component: Component) -> dict[str, str]:
    plugin = component.plugin
    return {
        "name": component.name,
        "qualified": component.qualified,
        "plugin": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "summary": component.summary,
    }


def _details(component: Component) -> dict[str, Any]:
    parameters = [
        {
            "name": p.name,
            "type": p.type_text,
            "required": p.required,
            "default": None if p.required else _plain(p.default),
            "choices": list(p.choices),
            "minimum": p.minimum,
            "maximum": p.maximum,
            "unit": p.unit,
            "advanced": p.advanced,
            "help": p.help,
        }
        for p in component.parameters
    ]
    return {"kind": component.kind.singular, **_brief(component), "parameters": parameters}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value


def _default_text(parameter: Parameter) -> str:
    """Return the default as ``-o`` would take it."""
    value = parameter.default
    if parameter.required:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _offers(components: Any) -> str:
    counts = [(KINDS[hook.removeprefix("segkit_")], len(names)) for hook, names in components.items()]
    return ", ".join(f"{count} {kind.singular if count == 1 else kind.name}" for kind, count in counts)


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table as wide as the terminal; piped output is not cut at 80 columns."""
    import sys

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if title:
        click.secho(title, bold=True)
    if not rows:
        click.echo("  none installed\n")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, column in enumerate(columns):
        # Names stay whole, so that they can be copied.
        table.add_column(column, no_wrap=index == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))  # as text: brackets are no markup here
    width = shutil.get_terminal_size((160, 24)).columns  # the fallback is for pipes, where nothing needs to be narrow
    Console(file=sys.stdout, width=width, highlight=False).print(table)
    click.echo()
