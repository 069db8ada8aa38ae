"""What to install when a plugin's module cannot be imported, from what its distribution declares."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, metadata, requires
from importlib.util import find_spec

__all__ = ["install_advice"]


def install_advice(distribution: str, module: str) -> str:
    """Return a sentence that says how to get a module that a plugin failed to import.

    Only packages that the plugin's own distribution declares are recommended: the name of a module is not always that
    of the package which brings it, and a stranger may own the package of that name.

    Parameters
    ----------
    distribution
        The installed package that brings the plugin; empty where there is none.
    module
        What could not be imported, as `ImportError.name` tells it; may be empty.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    top = module.partition(".")[0]
    if top and _exists(top):
        return f"'{top}' itself is installed; its version may not fit. Upgrade it and {distribution or 'the plugin'}."
    try:
        lines = (requires(distribution) or []) if distribution else []
        extras = (metadata(distribution).get_all("Provides-Extra") or []) if distribution else []
    except PackageNotFoundError:
        lines, extras = [], []
    found = set()
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if top and _normal(requirement.name) == _normal(top):
            extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", str(requirement.marker or ""))
            found.add(extra[1] if extra else "")
    if found:
        narrowest = min(found, key=lambda extra: (extra == "all", extra))
        return f"Install it with: pip install '{distribution}{f'[{narrowest}]' if narrowest else ''}'"
    if extras:
        return f"It may come with an extra of {distribution} ({', '.join(extras)}): pip install '{distribution}[{extras[0]}]'"
    return f"Install the package that provides it, which {distribution or 'the plugin'} does not declare."


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # it is loaded, without a spec
        return True


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
