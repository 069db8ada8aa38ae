"""Finding plugins, each behind a guard of its own.

pluggy isolates nothing: one plugin that fails to import would hide all later ones, one hook that raises would discard
everybody's results, and a misspelt hook would pass in silence. Here a failure becomes a record and one warning, and
every other plugin works.
"""

from __future__ import annotations

import os
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from segkit import hookspecs
from segkit.errors import PluginError, PluginWarning, UnknownNameError, did_you_mean

__all__ = ["GROUP", "PluginInfo", "PluginManager"]

GROUP = "segkit"


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One plugin, healthy or not.

    Parameters
    ----------
    name
        Name of its entry point; the part before the colon in ``plugin:component``.
    distribution
        The installed package that brings it; empty for an object given to `segkit.register`.
    version
        Version of that package.
    value
        The module (or ``module:attribute``) that the entry point names.
    components
        Hook name to ``{component name: factory}``; empty if it failed.
    error
        One line that says what went wrong, or empty.
    traceback
        The whole traceback of that, or empty.
    """

    name: str
    distribution: str = ""
    version: str = ""
    value: str = ""
    components: Mapping[str, Mapping[str, Callable[..., Any]]] = field(default_factory=dict, repr=False)
    error: str = ""
    traceback: str = field(default="", repr=False)


class PluginManager:
    """The plugins of this process; entry points are enumerated on first use and never at import.

    Parameters
    ----------
    check
        Called with a hook name and a factory for each component offered; raises `PluginError` to refuse the plugin.
    points
        Entry points to load; None for those of the installed distributions, read when first needed.
    """

    def __init__(
        self, check: Callable[[str, Callable[..., Any]], None], points: Iterable[EntryPoint] | None = None
    ) -> None:
        self._check = check
        self._points = points
        self._pluggy = pluggy.PluginManager("segkit")
        self._pluggy.add_hookspecs(hookspecs)
        self._hooks = {name for name in vars(hookspecs) if name.startswith("segkit_")}
        self._infos: dict[str, PluginInfo] = {}
        self._failures: list[PluginInfo] = []
        self._lock = threading.RLock()
        self._loaded = False
        self.generation = 0

    def infos(self) -> tuple[PluginInfo, ...]:
        """Return a record of every plugin, sorted by name; those that failed have an `error`."""
        with self._lock:
            if not self._loaded:
                self._loaded = True
                self._load_entry_points()
            return tuple(sorted([*self._infos.values(), *self._failures], key=lambda info: info.name))

    def register(self, plugin: object, name: str | None = None) -> PluginInfo:
        """Add any object with hook implementations; a failure is raised."""
        label = name or getattr(plugin, "__name__", type(plugin).__name__)
        with self._lock:
            self.infos()
            info = self._collect(PluginInfo(label, value=repr(plugin)), plugin)
            return info

    def unregister(self, name: str) -> None:
        """Remove a plugin of this process by name."""
        with self._lock:
            known = {info.name for info in self.infos()}
            if name not in self._infos:
                raise UnknownNameError(f"There is no loaded plugin '{name}'.{did_you_mean(name, known)}")
            del self._infos[name]
            self._pluggy.unregister(name=name)
            self.generation += 1

    def _load_entry_points(self) -> None:
        points = entry_points(group=GROUP) if self._points is None else self._points
        wanted = [name.strip() for name in os.environ.get("SEGKIT_PLUGINS", "").split(",") if name.strip()]
        # By distribution as well as name, so that the outcome of a clash does not depend on the file system.
        for point in sorted(points, key=lambda p: (p.name, p.dist.name if p.dist else "")):
            if wanted and point.name not in wanted:
                continue
            dist = point.dist
            info = PluginInfo(point.name, (dist and dist.name) or "", (dist and dist.version) or "", point.value)
            try:
                self._collect(info, point.load())
            except (Exception, SystemExit) as error:  # whatever a plugin does at import, the others must load
                if os.environ.get("SEGKIT_STRICT_PLUGINS") == "1":
                    raise
                self._fail(info, error)

    def _fail(self, info: PluginInfo, error: BaseException) -> None:
        cause = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error))
        self._failures.append(
            PluginInfo(info.name, info.distribution, info.version, info.value, {}, " ".join(cause.split()), trace)
        )
        warnings.warn(
            f"Plugin '{info.name}' ({info.distribution} {info.version}) was left out: {' '.join(cause.split())} "
            "See 'segkit plugins --verbose'.",
            PluginWarning,
            stacklevel=2,
        )

    def _collect(self, info: PluginInfo, plugin: object) -> PluginInfo:
        """Register one plugin and call its hooks; on failure nothing of it stays."""
        if info.name in self._infos:
            other = self._infos[info.name]
            raise PluginError(
                f"Another plugin is called '{info.name}' already ({other.distribution or other.value}); the entry point "
                "needs a name of its own."
            )
        try:
            self._pluggy.register(plugin, info.name)
            components = self._call_hooks(plugin)
        except BaseException:
            if self._pluggy.has_plugin(info.name):  # pluggy before 1.7 keeps what failed its validation
                self._pluggy.unregister(name=info.name)
            raise
        complete = PluginInfo(info.name, info.distribution, info.version, info.value, components)
        self._infos[info.name] = complete
        self.generation += 1
        return complete

    def _call_hooks(self, plugin: object) -> dict[str, dict[str, Callable[..., Any]]]:
        components: dict[str, dict[str, Callable[..., Any]]] = {}
        for caller in self._pluggy.get_hookcallers(plugin) or ():
            if caller.name not in self._hooks:
                raise PluginError(
                    f"it implements '{caller.name}', and there is no such hook.{did_you_mean(caller.name, self._hooks)}"
                )
            for implementation in caller.get_hookimpls():
                if implementation.plugin is not plugin:
                    continue
                offered = implementation.function()
                if not isinstance(offered, Mapping):
                    raise PluginError(
                        f"its hook '{caller.name}' returned {type(offered).__name__}, not a mapping from names to factories."
                    )
                for name, factory in offered.items():
                    if not (isinstance(name, str) and name.isidentifier()):
                        raise PluginError(f"its hook '{caller.name}' offers {name!r}; a name is a Python identifier.")
                    self._check(caller.name, factory)
                components[caller.name] = dict(offered)
        if not components:
            raise PluginError(
                "it implements no hook. Mark a function such as 'segkit_architectures' with '@segkit.hookimpl'."
            )
        return components
