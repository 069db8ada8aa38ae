"""Every error segkit raises on purpose, and the exit code the command line turns it into.

    SegkitError                    1   anything below
    ├── UsageError (ValueError)    2   an option, recipe or name that cannot be used
    │   ├── UnknownNameError (LookupError)
    │   └── AmbiguousNameError (LookupError)
    ├── DivergedError              1   a training whose numbers are no longer finite
    ├── IncompleteError            3   the work ended with parts missing
    ├── DataError (ValueError)    65   an input that is broken or does not fit
    ├── PluginError               69   a plugin that cannot do what it offers
    ├── OutputExistsError         73   an output that would have to be overwritten
    ├── StorageError (OSError)    74   a disk that refuses (full, read-only, failing)
    └── BusyError                 75   something another process is using

A message says what was asked (with the value), which rule it broke, what would have worked and what to do
next, in that order. It is shown as it is: no traceback is needed to understand it.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "AmbiguousNameError",
    "BusyError",
    "DataError",
    "DivergedError",
    "IncompleteError",
    "OutputExistsError",
    "PluginError",
    "PluginWarning",
    "SegkitError",
    "SegkitWarning",
    "StorageError",
    "UnknownNameError",
    "UsageError",
    "did_you_mean",
]


class SegkitError(Exception):
    """Base of every error that segkit raises on purpose."""

    exit_code = 1

    def __str__(self) -> str:
        # OSError and LookupError render their arguments in their own ways; the message is the first one.
        return str(self.args[0]) if self.args else ""


class UsageError(SegkitError, ValueError):
    """An option, a recipe or a call that breaks a stated rule."""

    exit_code = 2


class UnknownNameError(UsageError, LookupError):
    """A component, plugin, key or file format that is not known by that name."""


class AmbiguousNameError(UsageError, LookupError):
    """A bare component name that several plugins offer."""


class DivergedError(SegkitError):
    """A training whose loss or gradient is no longer finite; the last good state is kept."""


class IncompleteError(SegkitError):
    """Work that ended with parts missing; what exists is valid and can be continued."""

    exit_code = 3


class DataError(SegkitError, ValueError):
    """An input that is missing, broken, or does not fit what it is used for."""

    exit_code = 65


class PluginError(SegkitError):
    """A plugin that failed to load, or a component that broke its contract."""

    exit_code = 69


class OutputExistsError(SegkitError):
    """An output that exists already and is not going to be overwritten."""

    exit_code = 73


class StorageError(SegkitError, OSError):
    """A disk or server that refuses: full, read-only, out of reach."""

    exit_code = 74


class BusyError(SegkitError):
    """A run folder or output that another process holds."""

    exit_code = 75


class SegkitWarning(UserWarning):
    """Base of every warning that segkit gives."""


class PluginWarning(SegkitWarning):
    """A plugin was left out; everything else works."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the known name nearest to `name`, or an empty string."""
    close = get_close_matches(name, list(known), n=1)
    return f" Did you mean '{close[0]}'?" if close else ""
