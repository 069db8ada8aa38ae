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
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, distributions, entry_points
from typing import Any

import pluggy

from segkit import hookspecs
from segkit._installing import install_advice
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
        self._hooks = {name for name in vars(hookspecs) if name.startswith("segkit_")}
        self._lock = threading.RLock()
        self.generation = 0
        self._forget()

    def _forget(self) -> None:
        self._pluggy = pluggy.PluginManager("segkit")
        self._pluggy.add_hookspecs(hookspecs)
        self._infos: dict[str, PluginInfo] = {}
        self._failures: list[PluginInfo] = []
        self._loaded = False
        self.generation += 1

    def infos(self) -> tuple[PluginInfo, ...]:
        """Return a record of every plugin, sorted by name; those that failed have an `error`."""
        with self._lock:
            if not self._loaded:
                self._loaded = True  # at once: a plugin may look into a registry while it is imported
                try:
                    self._load_entry_points()
                except BaseException:
                    self._forget()
                    raise
                # After the last one has loaded, because a filter may turn a warning into an exception.
                for info in self._failures:
                    warnings.warn(_complaint(info), PluginWarning, stacklevel=2)
            return tuple(sorted([*self._infos.values(), *self._failures], key=lambda info: info.name))

    def register(self, plugin: object, name: str | None = None) -> PluginInfo:
        """Add any object with hook implementations; a failure is raised."""
        label = name or str(getattr(plugin, "__name__", type(plugin).__name__))
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
        wanted = {name.strip() for name in os.environ.get("SEGKIT_PLUGINS", "").split(",")} - {""}
        points, unreadable = _installed() if self._points is None else (self._points, [])
        found = {info.name for info, _ in unreadable}
        for info, error in unreadable:
            if not wanted or info.name in wanted:
                self._fail(info, error)
        # By distribution as well as name, so that the outcome of a clash does not depend on the file system.
        records = [(_record(point), point) for point in points]
        for info, point in sorted(records, key=lambda pair: (pair[0].name, pair[0].distribution)):
            found.add(info.name)
            if wanted and info.name not in wanted:
                continue
            try:
                self._collect(info, point.load())
            except (Exception, SystemExit) as error:  # whatever a plugin does at import, the others must load
                self._fail(info, error)
        for name in sorted(wanted - found):
            cause = f"SEGKIT_PLUGINS names it, and no such plugin is installed.{did_you_mean(name, found)}"
            self._fail(PluginInfo(name), PluginError(cause))

    def _fail(self, info: PluginInfo, error: BaseException) -> None:
        failure = _failed(info, error)
        if os.environ.get("SEGKIT_STRICT_PLUGINS") == "1":
            raise PluginError(f"{_complaint(failure)} SEGKIT_STRICT_PLUGINS=1 makes this an error.") from error
        self._failures.append(failure)

    def _collect(self, info: PluginInfo, plugin: object) -> PluginInfo:
        """Register one plugin and call its hooks; on failure nothing of it stays."""
        if info.name in self._infos:
            other = self._infos[info.name]
            raise PluginError(
                f"Another plugin is called '{info.name}' already ({other.distribution or other.value}); the entry point "
                "needs a name of its own."
            )
        try:
            try:
                self._pluggy.register(plugin, info.name)
            except ValueError as error:
                raise PluginError("the same object is registered already, under another name.") from error
            except pluggy.PluginValidationError as error:
                raise PluginError(f"a hook takes no arguments and wraps nothing. {error}") from error
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
            for implementation in caller.get_hookimpls():
                if implementation.plugin is not plugin:
                    continue
                if caller.name not in self._hooks:
                    if implementation.optionalhook:  # the plugin knows of a kind that a later segkit has
                        continue
                    raise PluginError(
                        f"it implements '{caller.name}', and there is no such hook.{did_you_mean(caller.name, self._hooks)}"
                    )
                offered = implementation.function()
                if not isinstance(offered, Mapping):
                    raise PluginError(
                        f"its hook '{caller.name}' returned {type(offered).__name__}, not a mapping from names to factories."
                    )
                for name, factory in offered.items():
                    if not (isinstance(name, str) and name.isidentifier()):
                        raise PluginError(f"its hook '{caller.name}' offers {name!r}; a name is a Python identifier.")
                    self._check(caller.name, factory)
                components.setdefault(caller.name, {}).update(offered)
        if not components:
            raise PluginError(
                "it implements no hook. Mark a function such as 'segkit_architectures' with '@segkit.hookimpl'."
            )
        return components


def _installed() -> tuple[list[EntryPoint], list[tuple[PluginInfo, Exception]]]:
    """Return the entry points of all installed plugins, and which distributions have some that cannot be read."""
    try:
        return list(entry_points(group=GROUP)), []
    except Exception:  # one unreadable entry_points.txt in the environment hides everybody's: read them one by one
        found: dict[str, Iterable[EntryPoint]] = {}
        unreadable: list[tuple[PluginInfo, Exception]] = []
        for distribution in distributions():
            name = distribution.metadata["Name"] or ""
            try:
                found.setdefault(name, distribution.entry_points.select(group=GROUP))
            except Exception as error:
                if f"[{GROUP}]" in (distribution.read_text("entry_points.txt") or ""):
                    cause = PluginError(f"its entry_points.txt cannot be read ({type(error).__name__}: {error}).")
                    cause.__cause__ = error
                    unreadable.append((PluginInfo(name, name, distribution.version or "", "entry_points.txt"), cause))
        return [point for points in found.values() for point in points], unreadable


def _record(point: EntryPoint) -> PluginInfo:
    """Describe an entry point, from whatever its distribution says about itself."""
    name = version = ""
    with suppress(Exception):  # metadata may be missing or unreadable
        if point.dist is not None:
            name, version = point.dist.metadata["Name"] or "", point.dist.version or ""
    return PluginInfo(point.name, name, version, point.value)


def _failed(info: PluginInfo, error: BaseException) -> PluginInfo:
    cause = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
    cause = " ".join(cause.split())
    if isinstance(error, ImportError) and error.name and error.name.partition(".")[0] != info.value.partition(".")[0]:
        cause = f"{cause}. {install_advice(info.distribution, error.name)}"
    trace = "".join(traceback.format_exception(error))
    return PluginInfo(info.name, info.distribution, info.version, info.value, {}, cause, trace)


def _complaint(info: PluginInfo) -> str:
    origin = (
        f" ({info.distribution or 'unknown distribution'} {info.version or 'of unknown version'})" if info.value else ""
    )
    stop = "" if info.error.endswith((".", "?", "!")) else "."
    return f"Plugin '{info.name}'{origin} was left out: {info.error}{stop} See 'segkit plugins --verbose'."
