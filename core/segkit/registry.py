"""The kinds of components, and the read-only mappings that hold what plugins offer of each.

A kind is one row of `KINDS`; registries, the nouns of the command line, form sections and the index of the manual
follow from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from typing import Any

from segkit._installing import install_advice
from segkit._plugins import PluginInfo, PluginManager
from segkit.errors import AmbiguousNameError, PluginError, SegkitError, UnknownNameError, UsageError, did_you_mean
from segkit.parameters import Parameter, bind, parameters_of, summary_of

__all__ = ["KINDS", "Component", "Kind", "Registry", "plugins", "register", "registries", "unregister"]

_FEW = 3  # names; more would be no hint


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of component.

    Parameters
    ----------
    name
        Plural noun, as in ``segkit.architectures``; the hook is ``segkit_`` and this.
    singular
        The same noun for one.
    wiring
        Names of the positional parameters that segkit supplies to the factory.
    result
        Attributes that whatever the factory returns must have.
    """

    name: str
    singular: str
    wiring: tuple[str, ...] = ()
    result: tuple[str, ...] = ("__call__",)

    @property
    def hook(self) -> str:
        """Name of the hook that plugins implement."""
        return f"segkit_{self.name}"


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("architectures", "architecture", ("in_channels", "out_channels"), ("forward", "state_dict")),
        Kind("losses", "loss"),
        Kind("datasets", "dataset", (), ("__len__", "__getitem__")),
        Kind("initializers", "initializer"),
        Kind("tasks", "task", (), ("out_channels", "best", "target", "foreground", "step", "activate", "metrics")),
        Kind("segmenters", "segmenter", (), ("__call__", "halo", "stitching")),
        Kind("tracers", "tracer"),
        Kind("augmentations", "augmentation"),
        Kind("formats", "format", (), ("accepts", "open")),
        Kind("importers", "importer", (), ("accepts", "read")),
    )
}


def _check_factory(hook: str, factory: Callable[..., Any]) -> None:
    """Refuse a factory that does not keep the contract of its kind, before anybody calls it."""
    kind = KINDS[hook.removeprefix("segkit_")]
    if not callable(factory):
        raise PluginError(f"its hook '{hook}' offers {factory!r}, which cannot be called.")
    parameters_of(factory)
    entries = signature(factory).parameters.values()
    positional = tuple(e.name for e in entries if e.kind is not e.KEYWORD_ONLY)
    if len(positional) != len(kind.wiring):
        raise PluginError(
            f"{factory.__module__}.{getattr(factory, '__qualname__', factory)} takes the positional parameters "
            f"{positional}; a factory of {kind.name} takes {kind.wiring}. What the user chooses follows a bare '*'."
        )


@dataclass(frozen=True)
class Component:
    """A named thing that a plugin offers.

    Parameters
    ----------
    kind
        What sort of thing.
    name
        Its bare name.
    plugin
        The plugin that offers it.
    factory
        The plugin's callable that builds it.
    """

    kind: Kind
    name: str
    plugin: PluginInfo
    factory: Callable[..., Any]

    @property
    def qualified(self) -> str:
        """``plugin:name``, which stays unambiguous whatever is installed later."""
        return f"{self.plugin.name}:{self.name}"

    @cached_property
    def summary(self) -> str:
        """First sentence of the documentation."""
        return summary_of(self.factory)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """What a user may choose."""
        return parameters_of(self.factory)

    @property
    def _authors(self) -> str:
        return f"{self.plugin.distribution or self.plugin.name} {self.plugin.version}".strip()

    def bind(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Check options and fill in the defaults; see `segkit.parameters.bind`."""
        return bind(self.factory, options, self.kind.singular)

    def __str__(self) -> str:
        return f"{self.kind.singular} {self.qualified}"

    def __call__(self, *wiring: Any, **options: Any) -> Any:
        """Build it, after checking the options; what segkit supplies may be given by position or by name.

        Raises
        ------
        UsageError
            If an option does not fit, or the factory refuses a combination of them with a `ValueError`.
        PluginError
            If a library that the factory imports is missing, the factory fails, or its result breaks the contract of
            the kind.
        """
        name = f"{self.kind.singular.capitalize()} '{self.qualified}'"
        wiring += tuple(options.pop(wire) for wire in self.kind.wiring[len(wiring) :] if wire in options)
        if len(wiring) != len(self.kind.wiring):
            asked = f"Give it {', '.join(self.kind.wiring)}" if self.kind.wiring else "Give its options by name"
            raise UsageError(f"{name} was called with {len(wiring)} positional values. {asked}.")
        options = self.bind(options)
        try:
            built = self.factory(*wiring, **options)
        except (SegkitError, OSError, MemoryError):
            raise
        except ImportError as error:
            advice = install_advice(self.plugin.distribution, error.name or "")
            raise PluginError(f"{name} cannot be used: {error}. {advice}") from error
        except ValueError as error:
            raise UsageError(f"{name} refused its options: {error}") from error
        except Exception as error:
            raise PluginError(
                f"{name} failed: {type(error).__name__}: {error}. Report this to the authors of {self._authors}."
            ) from error
        missing = [attribute for attribute in self.kind.result if not hasattr(built, attribute)]
        if missing:
            lacks = "cannot be called" if missing == ["__call__"] else f"has no {', '.join(missing)}"
            raise PluginError(
                f"{name} built {type(built).__name__}, which {lacks}. Report this to the authors of {self._authors}."
            )
        return built


class Registry(Mapping[str, Component]):
    """Everything of one kind, by bare name and by ``plugin:name``; iteration gives each component once.

    A bare name that several plugins offer is iterated in its qualified form, and looking it up bare is an error.
    """

    def __init__(self, kind: Kind, manager: PluginManager) -> None:
        self.kind = kind
        self._manager = manager
        self._generation = -1
        self._by_name: dict[str, list[Component]] = {}

    def _names(self) -> dict[str, list[Component]]:
        infos = self._manager.infos()
        if self._generation != self._manager.generation:
            by_name: dict[str, list[Component]] = {}
            for info in infos:
                for name, factory in info.components.get(self.kind.hook, {}).items():
                    by_name.setdefault(name, []).append(Component(self.kind, name, info, factory))
            self._by_name, self._generation = by_name, self._manager.generation
        return self._by_name

    def __getitem__(self, name: str) -> Component:
        names = self._names()
        plugin, _, bare = name.rpartition(":")
        found = [component for component in names.get(bare, ()) if plugin in ("", component.plugin.name)]
        if len(found) == 1:
            return found[0]
        if found:
            spellings = " or ".join(f"'{component.qualified}'" for component in found)
            raise AmbiguousNameError(
                f"Several plugins offer the {self.kind.singular} '{name}'. Say which: {spellings}."
            )
        message = f"There is no {self.kind.singular} '{name}'.{did_you_mean(name, [*names, *self])}"
        message += f"{self.described(name)} Installed: {', '.join(sorted(self)) or 'none'}."
        broken = [info.name for info in self._manager.infos() if info.error]
        if broken:
            message += (
                f" These plugins failed to load and may offer it: {', '.join(broken)} (see 'segkit plugins --verbose')."
            )
        raise UnknownNameError(message)

    def described(self, name: str) -> str:
        """Return ``" The description of 'x' speaks of that."`` if a summary has a word of `name`, or an empty string.

        Parameters
        ----------
        name
            What somebody called a component that has another name, such as ``elastic`` for one that deforms.
        """
        words = [word for word in re.findall(r"[^\W_]{4,}", name.lower()) if word != self.kind.singular]
        hits = {each: sum(bool(re.search(rf"\b{word}", self[each].summary, re.I)) for word in words) for each in self}
        most = max(hits.values(), default=0)
        best = [f"'{each}'" for each, count in hits.items() if count == most]
        return f" The description of {', '.join(best)} speaks of that." if most and len(best) <= _FEW else ""

    def get(self, name: str, default: Any = None) -> Any:
        """Return a component, or `default` where there is none of that name."""
        if name not in self:  # `Mapping` would wait for a KeyError
            return default
        return self[name]

    def __contains__(self, name: object) -> bool:
        # `Mapping` would call any LookupError a miss; an ambiguous name is not one.
        return isinstance(name, str) and any(
            name in (component.name, component.qualified) for found in self._names().values() for component in found
        )

    def __iter__(self) -> Iterator[str]:
        for name, found in sorted(self._names().items()):
            if len(found) == 1:
                yield name
            else:
                yield from (component.qualified for component in found)

    def __len__(self) -> int:
        return sum(len(found) for found in self._names().values())

    def __repr__(self) -> str:
        return f"<segkit {self.kind.name}: {', '.join(self)}>"


_manager = PluginManager(_check_factory)
registries: Mapping[str, Registry] = {name: Registry(kind, _manager) for name, kind in KINDS.items()}


def plugins() -> tuple[PluginInfo, ...]:
    """Return a record of every installed plugin; those that failed to load have an `error`."""
    return _manager.infos()


def register(plugin: object, name: str | None = None) -> PluginInfo:
    """Add any object with hook implementations to this process, as notebooks and tests do.

    Parameters
    ----------
    plugin
        A module, class instance or namespace with functions marked by `segkit.hookimpl`.
    name
        What to call it; None for its own ``__name__``.

    Raises
    ------
    PluginError
        If it breaks the contract.
    """
    return _manager.register(plugin, name)


def unregister(name: str) -> None:
    """Remove a plugin that `register` added."""
    _manager.unregister(name)
