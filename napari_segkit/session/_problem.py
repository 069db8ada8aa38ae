"""What went wrong, as people can act on it: a sentence, ways to fix it, and everything else for a report."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from typing import Any

from segkit.errors import SegkitError

__all__ = ["Fix", "Problem"]


@dataclass(frozen=True)
class Fix:
    """A way out that is one click away.

    Parameters
    ----------
    key
        Which action of `Session.fixes` it is.
    label
        Text of the button, beginning with a verb.
    value
        What the action needs.
    """

    key: str
    label: str
    value: Any = None


@dataclass(frozen=True)
class Problem:
    """One failure.

    Parameters
    ----------
    sentence
        What happened and what to do, for people.
    details
        Everything else that is known, such as the output of a command.
    fixes
        Ways out, the best first.
    page
        Title of the page it belongs to; empty for all.
    """

    sentence: str
    details: str = ""
    fixes: tuple[Fix, ...] = field(default=())
    page: str = ""

    @classmethod
    def of(cls, error: BaseException, page: str = "") -> Problem:
        """Describe an exception."""
        sentence = str(error) if isinstance(error, SegkitError) else f"{type(error).__name__}: {error}"
        return cls(sentence, "".join(traceback.format_exception(error)), page=page)
